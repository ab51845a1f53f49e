"""What a server costs its machine, read from /proc: CPU time and resident memory.

Owns the question which processes belong to a daemon: itself with the search process that it may have started, and apart
from it the PostgreSQL that it started. Where
there is no /proc (macOS) or the process is another user's, there is no figure rather than a wrong one.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from memdeck_daemon.memory.searcher.client import MODULE

PROC: Final = Path("/proc")
DATABASE: Final = "postgres"
SEARCHER: Final = MODULE.encode()


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since the processes began; `database` is None when the server started none."""

    server: float
    database: float | None
    waited: float = 0.0
    """Seconds in which the server's main thread was ready and others had the processors: how disturbed a figure is."""

    def since(self, before: "Usage") -> "Usage":
        """What was used between two looks."""
        return Usage(
            self.server - before.server,
            None if self.database is None or before.database is None else self.database - before.database,
            self.waited - before.waited,
        )

    def plus(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(
            self.server + other.server,
            None if self.database is None or other.database is None else self.database + other.database,
            self.waited + other.waited,
        )


@dataclass(frozen=True, slots=True)
class Process:
    """One process as /proc/PID/stat shows it."""

    pid: int
    name: str
    parent: int
    own: float
    """CPU seconds of its threads."""
    ended: float
    """CPU seconds of its children that have ended."""


def parse_stat(line: str, ticks: int) -> Process:
    """A line of /proc/PID/stat; the name stands in parentheses and may hold anything, spaces and parentheses too."""
    head, _, tail = line.rpartition(")")
    pid, _, name = head.partition(" (")
    fields = tail.split()
    user, system, ended_user, ended_system = (int(fields[index]) / ticks for index in (11, 12, 13, 14))
    return Process(int(pid), name, int(fields[1]), user + system, ended_user + ended_system)


def usage_of(pid: int, processes: dict[int, Process]) -> Usage | None:
    """CPU time of a server and of the databases below it; None when it is not there."""
    server = processes.get(pid)
    if server is None:
        return None
    below = list(_descendants(pid, processes))
    databases = [process for process in below if process.name.startswith(DATABASE)]
    own = server.own + sum(process.own for process in below if not process.name.startswith(DATABASE))
    # Time of a backend that ended has gone over to its postmaster.
    return Usage(own, sum(process.own + process.ended for process in databases) if databases else None)


def _descendants(pid: int, processes: dict[int, Process]) -> Iterator[Process]:
    for process in processes.values():
        if process.parent == pid:
            yield process
            yield from _descendants(process.pid, processes)


def usage(pid: int | None) -> Usage | None:
    """CPU time of a running server; None where it cannot be known."""
    if pid is None or not PROC.is_dir():
        return None
    found = usage_of(pid, _processes())
    return replace(found, waited=_waited(pid)) if found else None


def _processes() -> dict[int, Process]:
    ticks = os.sysconf("SC_CLK_TCK")
    processes: dict[int, Process] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                process = parse_stat((entry / "stat").read_text(errors="replace"), ticks)
            except OSError:
                continue
            processes[process.pid] = process
    return processes


def _waited(pid: int) -> float:
    """The second figure of /proc/PID/schedstat, in ns; 0 where the kernel keeps none."""
    try:
        return int((PROC / str(pid) / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def searcher_of(pid: int | None) -> int | None:
    """The search process of a daemon, if it has one."""
    if pid is None or not PROC.is_dir():
        return None
    for process in _descendants(pid, _processes()):
        try:
            if SEARCHER in (PROC / str(process.pid) / "cmdline").read_bytes():
                return process.pid
        except OSError:
            continue
    return None


def resident_mb(pid: int | None) -> float | None:
    """Memory of one process that is in RAM, in MB (10^6 bytes); None where it cannot be known."""
    if pid is None:
        return None
    try:
        pages = int((PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
