"""One look at each service that every daemon has.

Owns the words for their states. A probe answers within its own deadline, whatever its service does.
"""

import asyncio
import os
import resource
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from memdeck_common.errors import MemdeckError, Unavailable
from memdeck_common.wire.feed import Counts, Service, State
from memdeck_daemon.operations.telemetry.latency import Latencies

DEADLINE: Final = 1.0
LOW_DISK: Final = 10 * 10**9
"""Bytes; O5."""
FULL_DISK: Final = 100 * 10**6
SLOW_MS: Final = 60.0
"""p95 of the database above which it is worth a look."""
FEW: Final = 100
"""Calls of a minute by which nothing is judged: their p95 is one call of a database that just woke up, or of a busy moment."""


class Usage(Protocol):
    """Connections of a pool."""

    @property
    def in_use(self) -> int:
        """Lent."""

    @property
    def maximum(self) -> int:
        """Most at once."""


def api_probe(
    latencies: Latencies, started_at: float, in_flight: Callable[[], int]
) -> Callable[[], Awaitable[Service]]:
    """The API itself."""

    async def api() -> Service:
        p95 = max(
            (p for op in ("search", "add", "get", "list") if (p := latencies.p95_ms(op)) is not None),
            default=None,
        )
        return Service(name="api", state="ok", up_since=started_at, p95_ms=p95, in_use=in_flight())

    return api


def postgres_probe(
    ping: Callable[[], Awaitable[float]],
    usage: Callable[[], Usage],
    latencies: Latencies,
    read_only: Callable[[], bool] = lambda: False,
) -> Callable[[], Awaitable[Service]]:
    """The database. `ping` returns the epoch second at which the server started; `read_only`: it takes no writes."""

    async def postgres() -> Service:
        connections = usage()
        p95 = latencies.p95_ms("query")
        state: State = "ok"
        note, since = "", None
        try:
            since = await asyncio.wait_for(ping(), DEADLINE)
        except (MemdeckError, TimeoutError) as error:
            state, note = "crit", "no answer" if isinstance(error, TimeoutError) else "unreachable"
        slow = p95 is not None and p95 > SLOW_MS and latencies.calls("query") >= FEW
        if state == "ok" and slow:
            state, note = "warn", f"max {SLOW_MS:.0f}"
        if state != "crit" and read_only():
            state, note = "warn", "read-only"
        return Service(
            name="postgres",
            state=state,
            up_since=since,
            p95_ms=p95,
            in_use=connections.in_use,
            capacity=connections.maximum,
            note=note,
        )

    return postgres


class Store(Protocol):
    """A store that the daemon can do without."""

    @property
    def capacity(self) -> int:
        """Most calls at once."""

    async def ping(self) -> None:
        """Raises Unavailable when it does not answer, within a second."""


def store_probe(name: str, store: Store) -> Callable[[], Awaitable[Service]]:
    """Such a store. Without it answers are slower or poorer, never wrong: it is a warning at most."""

    async def probe() -> Service:
        try:
            await store.ping()
        except Unavailable:
            return Service(name=name, state="warn", capacity=store.capacity, note="no answer, bypassed")
        return Service(name=name, state="ok", capacity=store.capacity)

    return probe


def embedder_probe(
    latencies: Latencies, started_at: float, remote: Callable[[], Awaitable[Service | None]] | None = None
) -> Callable[[], Awaitable[Service]]:
    """The remote embedder as `remote` sees it; where that is None, the local embedding space."""

    async def embedder() -> Service:
        found = await remote() if remote is not None else None
        if found is not None:
            return msgspec.structs.replace(
                found, up_since=started_at, p95_ms=latencies.p95_ms("embed_remote")
            )
        return Service(
            name="embedder", state="ok", up_since=started_at, p95_ms=latencies.p95_ms("embed"), note="local"
        )

    return embedder


def disk_probe(
    folder: Path, free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
) -> Callable[[], Awaitable[Service]]:
    """The disk that holds the home; reads go on when it is full, so it never makes the daemon unready."""

    async def disk() -> Service:
        free = free_bytes(folder)
        low = free < LOW_DISK
        # Eight characters are what a console of 120 columns has for a note.
        words = f"{free / 1e9:.1f} GB" if low else f"{free / 1e9:.0f} GB"
        return Service(
            name="disk", state="warn" if low else "ok", note=words if free >= FULL_DISK else "full"
        )

    return disk


async def counts(
    totals: Callable[[], Awaitable[tuple[int, dict[str, int], int]]], folder: Path, known: Counts
) -> Counts:
    """How much there is: memories and names, the database, the disk under `folder`, this process.

    While the database does not answer, its numbers are those that were `known` last.
    """
    disk = shutil.disk_usage(folder)
    machine = msgspec.structs.replace(
        known, disk_free_bytes=disk.free, disk_total_bytes=disk.total, resident_bytes=resident_bytes()
    )
    try:
        memories, names, size = await totals()
    except Unavailable:
        return machine
    return msgspec.structs.replace(
        machine,
        memories=memories,
        users=names.get("user", 0),
        agents=names.get("agent", 0),
        runs=names.get("run", 0),
        database_bytes=size,
    )


def resident_bytes() -> int:
    """Memory of this process that is in RAM now; on macOS the most there ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")
