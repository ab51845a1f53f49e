"""How many requests are worked on at once, and what becomes of the rest.

Beyond what runs, requests wait in the order in which they came; when too many wait, or one has waited too long, it is
turned away at once with 503 and Retry-After. So an overloaded daemon answers some of its callers in time instead of all
of them too late. A request takes its place when its body is there: clients that stall hold no place.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Final, Self

from memdeck_daemon.api.http.refusals import Overloaded

PATIENCE: Final = 2.0
"""Seconds that a request waits for its turn."""
QUEUE: Final = 4
"""How many wait for each one that runs."""


class Admission:
    """The places. Use as an async context manager around the work."""

    def __init__(self, places: int, patience: float = PATIENCE) -> None:
        self._free, self._waiting = places, places * QUEUE
        self._patience = patience
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._queue)

    async def __aenter__(self) -> Self:
        """Take a place, or wait for one.

        Raises:
            Overloaded: none came free in time, or too many wait already.
        """
        if self._free > 0:
            self._free -= 1
            return self
        if len(self._queue) >= self._waiting:
            raise Overloaded
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it was given a place in the same moment
                self._leave()
            elif turn in self._queue:
                self._queue.remove(turn)
            if isinstance(error, TimeoutError):
                raise Overloaded from None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hand the place to whoever waits longest."""
        self._leave()

    def _leave(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
