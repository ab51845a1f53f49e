"""Requests of one moment, brought to the same point before one of them goes on.

Owns a short wait of a few turns of the event loop. Without it requests run through their stages staggered, and between
any two searches the loop reads, parses and writes for others: what a search has in the processor's caches is gone by the
next one, and each answer wakes its client on its own. Who is alone waits some 15 µs longer. Refuses to wait for anything
but what is ready already: there is no timer.
"""

import asyncio
from typing import Final

MOST: Final = 24
"""Requests that go on together: the twenty agents for whom memdeck is built in one batch, with room. With searches of 0.3 ms each
the loop stands still for 7 ms at most."""


class MicroBatch:
    """The requests that wait for each other."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def turn(self) -> None:
        """Go on together with those that come here while the loop turns."""
        loop = asyncio.get_running_loop()
        mine = loop.create_future()
        self._waiting.append(mine)
        if len(self._waiting) == 1:
            loop.call_soon(self._look, loop, 0)
        await mine

    def _look(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        """Let them go on once nobody came during a turn of the loop, or enough are here."""
        here = len(self._waiting)
        if before < here < MOST:
            loop.call_soon(self._look, loop, here)
            return
        going, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        for one in going:
            if not one.done():  # its request may have been cancelled
                one.set_result(None)
        if self._waiting:
            loop.call_soon(self._look, loop, len(self._waiting))
