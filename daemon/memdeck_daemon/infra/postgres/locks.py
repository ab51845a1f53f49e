"""A lock on a file, held by one daemon for as long as it lives.

Owns the guarantee that one cluster has one supervisor. The kernel drops the lock with its holder, kill -9 included, so
it can be neither stale nor stuck; children do not inherit it.
"""

import asyncio
import fcntl
import os
from pathlib import Path

from memdeck_common.clock import Clock
from memdeck_common.errors import DatabaseUnusable

PATIENCE = 15.0
"""Seconds that an earlier daemon gets to finish its stop."""
STEP = 0.05


class SupervisorLock:
    """An exclusive lock; the file holds the pid of its last holder, for people."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    async def acquire(self, clock: Clock) -> None:
        """Take it, waiting for a daemon that is on its way out.

        Raises:
            DatabaseUnusable: another daemon keeps it.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            await self._wait(descriptor, clock)
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    async def _wait(self, descriptor: int, clock: Clock) -> None:
        until = clock.monotonic() + PATIENCE
        while not _try(descriptor):
            if clock.monotonic() >= until:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                raise DatabaseUnusable(
                    f"Another memdeckd (pid {holder}) uses this database; stop it with `memdeck down`, "
                    f"or give this one a home of its own with --home. The lock is {self._path}."
                )
            await asyncio.sleep(STEP)

    def release(self) -> None:
        """Give it back; does nothing when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
