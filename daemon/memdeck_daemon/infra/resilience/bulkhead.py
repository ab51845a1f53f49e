"""A bulkhead: so many calls of one dependency at once, so many that wait, and no more.

Owns the bound. Who finds the queue full is told at once, and who waits too long is told then: a dependency that hangs
keeps neither tasks nor memory of the daemon beyond the bound.
"""

import asyncio
from types import TracebackType

from memdeck_daemon.infra.resilience import deadline


class Overloaded(Exception):
    """Too many calls of this dependency are under way already."""


class Bulkhead:
    """The calls of one dependency; `async with` it around each."""

    def __init__(self, name: str, calls: int, queue: int, patience: float) -> None:
        """`calls` at once, `queue` of them waiting for at most `patience` seconds."""
        self.name, self._queue, self._patience = name, queue, patience
        self._permits = asyncio.Semaphore(calls)
        self.waiting = 0
        self.shed = 0
        """Calls that were refused since the start."""

    async def __aenter__(self) -> None:
        """Before a call.

        Raises:
            Overloaded: the queue is full, or the wait took too long.
        """
        if self._permits.locked():
            await self._queued()
        else:
            await self._permits.acquire()  # free: does not wait

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After it."""
        self._permits.release()

    async def _queued(self) -> None:
        if self.waiting >= self._queue:
            self._refuse()
        self.waiting += 1
        try:
            async with asyncio.timeout(deadline.left(self._patience)):
                await self._permits.acquire()
        except TimeoutError:
            self._refuse()
        finally:
            self.waiting -= 1

    def _refuse(self) -> None:
        self.shed += 1
        raise Overloaded(self.name) from None
