"""Background tasks and their owner.

Owns that every task is awaited: it is cancelled and waited for when the owner leaves, and a task that ends by itself
with an error stops the daemon instead of leaving it half alive.
"""

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from memdeck_common.log import action

log = logging.getLogger(__name__)


class Tasks:
    """Runs coroutines until left. Use as an async context manager."""

    def __init__(self, failed: asyncio.Event) -> None:
        """`failed` is set when a task ends by itself."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed = failed

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, which never returns by itself."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        log.critical(
            "%s ended by itself", task.get_name(), exc_info=task.exception(), extra=action("task_failed")
        )
        self._failed.set()

    async def __aenter__(self) -> Self:
        """Nothing runs yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel all tasks and wait until they are done."""
        tasks = list(self._tasks)
        for task in tasks:
            task.remove_done_callback(self._ended)
            task.cancel()
        for name, result in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
            if isinstance(result, Exception):
                log.error(
                    "%s failed while stopping", name.get_name(), exc_info=result, extra=action("task_failed")
                )
