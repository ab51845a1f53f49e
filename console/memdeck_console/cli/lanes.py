"""Work that keeps its order within a lane and runs beside other lanes, in bounded memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")


class Lanes(Generic[Item]):
    """Hands items to `work`: one at a time per lane, in the order in which they came, up to `width` lanes at once.

    At most `depth` items wait; `put` waits when there are more. The first error of `work` ends everything and leaves
    the context with that error.
    """

    def __init__(self, work: Callable[[Item], Awaitable[None]], *, width: int, depth: int) -> None:
        self._work, self._width = work, width
        self._waiting: dict[Hashable, deque[Item]] = {}
        self._ready: asyncio.Queue[Hashable] = asyncio.Queue()
        self._room = asyncio.Semaphore(depth)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Run; leaving waits until everything is done."""
        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self._run()) for _ in range(self._width)]
                yield self
                await self._ready.join()
                for worker in workers:
                    worker.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def put(self, lane: Hashable, item: Item) -> None:
        """Take one more item; waits while too many are waiting."""
        await self._room.acquire()
        queue = self._waiting.get(lane)
        if queue is None:
            self._waiting[lane] = deque([item])
            self._ready.put_nowait(lane)
        else:
            queue.append(item)

    async def _run(self) -> None:
        while True:
            lane = await self._ready.get()
            queue = self._waiting[lane]
            await self._work(queue.popleft())
            self._room.release()
            if queue:
                self._ready.put_nowait(lane)
            else:
                del self._waiting[lane]
            self._ready.task_done()
