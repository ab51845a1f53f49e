"""Finds callbacks that hold the event loop for too long.

What counts is the CPU time of the loop's own thread: on a machine whose cores are shared a callback may take long on the
wall for no fault of its own. A callback that waits instead of computing (a `time.sleep`, a subprocess that is waited for)
uses no CPU, so there is a limit on the wall too, far beyond what a busy neighbour costs.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

CPU_LIMIT = 0.5
"""Seconds of CPU time that one callback may use."""
WALL_LIMIT = 4.0
"""Seconds that one callback may last."""

# Private, but the one place through which every callback of asyncio's loops goes, and asyncio's own debug mode uses it too.
RUN = "_run"


@dataclass(slots=True)
class LoopWatch:
    """While entered, notes each callback of any asyncio loop that goes over a limit."""

    cpu_limit: float = CPU_LIMIT
    wall_limit: float = WALL_LIMIT
    complaints: list[str] = field(default_factory=list)
    _original: Callable[[Any], None] = field(init=False)

    def __enter__(self) -> Self:
        self._original = run = getattr(asyncio.Handle, RUN)

        def watched(handle: asyncio.Handle) -> None:
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                run(handle)
            finally:
                self._judge(handle, time.perf_counter() - wall, time.thread_time() - cpu)

        setattr(asyncio.Handle, RUN, watched)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        setattr(asyncio.Handle, RUN, self._original)

    def _judge(self, handle: asyncio.Handle, wall: float, cpu: float) -> None:
        if cpu > self.cpu_limit or wall > self.wall_limit:
            self.complaints.append(f"{cpu:.2f} s of CPU, {wall:.2f} s in all: {_described(handle)}")


def _described(handle: asyncio.Handle) -> str:
    """The task whose step this is; else the callback."""
    owner = getattr(getattr(handle, "_callback", None), "__self__", None)
    return repr(owner if isinstance(owner, asyncio.Task) else handle)
