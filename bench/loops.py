"""Loops over a daemon, from one process: closed (each client waits for its answer) and open (requests come as they come).

Owns the clock and the counting. Latencies of the open loop run from the moment at which a request was due, so that waiting
for a free connection counts. Whatever is not answered with 200 is counted by reason and enters no percentile; what an
answer had to do without is counted too.
"""

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.staleness import Line

DEGRADED: Final = re.compile(rb"(?i)memdeck-degraded: ([^\r]+)")
HIT: Final = b"Memdeck-Cache: hit"
PATH: Final = "/search"


@dataclass(slots=True)
class Answers:
    """What came of a loop."""

    latencies: list[float] = field(default_factory=list)
    """In ms, of right answers."""
    hits: int = 0
    """Answered from kept answers."""
    errors: Counter[str] = field(default_factory=Counter)
    degraded: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Right answers per second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def took(self, status: int, head: bytes, milliseconds: float) -> None:
        """Count an answer."""
        if status != 200:
            self.errors[f"HTTP {status}"] += 1
            return
        self.latencies.append(milliseconds)
        self.hits += HIT in head
        if (without := DEGRADED.search(head)) and without[1].strip():
            self.degraded[without[1].decode()] += 1


@contextlib.asynccontextmanager
async def lines(url: str, key: str, count: int) -> AsyncIterator[list[Line]]:
    """Connections."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Line(url, key)) for _ in range(count)]


async def closed(
    connections: Sequence[Line], bodies: Sequence[bytes], *, path: str = PATH, limit: float = 60.0
) -> Answers:
    """Every connection sends its next request when the last one was answered, until all are sent or time is up."""
    answers, queue = Answers(), iter(bodies)
    began = time.perf_counter()
    await asyncio.gather(*(_client(line, queue, answers, path, began + limit) for line in connections))
    answers.seconds = time.perf_counter() - began
    return answers


async def _client(line: Line, queue: Iterator[bytes], answers: Answers, path: str, until: float) -> None:
    for body in queue:
        began = time.perf_counter()
        if began > until:
            return
        status, head, _ = await line.call("POST", path, body)
        answers.took(status, head, (time.perf_counter() - began) * 1e3)


async def opened(
    connections: Sequence[Line], bodies: Sequence[bytes], rate: float, *, path: str = PATH
) -> Answers:
    """`rate` requests a second, evenly, however long their answers take."""
    answers, free = Answers(), asyncio.Queue[Line]()
    for line in connections:
        free.put_nowait(line)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number, body in enumerate(bodies):
            due = began + number / rate
            if (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            tasks.create_task(_one(free, body, due, answers, path))
    answers.seconds = time.perf_counter() - began
    return answers


async def _one(free: asyncio.Queue[Line], body: bytes, due: float, answers: Answers, path: str) -> None:
    line = await free.get()
    status, head, _ = await line.call("POST", path, body)
    answers.took(status, head, (time.perf_counter() - due) * 1e3)
    free.put_nowait(line)
