"""What `bench.scale` found, as a table and as JSON."""

import os

from msgspec import Struct, field
from rich.console import Console
from rich.table import Table

from bench.driver import Outcome
from bench.processes import PROC, Usage, parse_stat
from bench.report import percentile


class SearchFigure(Struct, kw_only=True):
    """One loop. Times in ms."""

    name: str
    answered: int
    failed: int
    errors: dict[str, int]
    degraded: dict[str, int]
    rate: float
    p50: float
    p95: float
    p99: float
    hits: int
    pool_hits: float | None = None
    """Share of the questions from the pool that were answered from kept answers."""
    daemon_cpu: float | None = None
    database_cpu: float | None = None
    driver_cpu: float | None = None
    """CPU ms per answer."""
    waited: float | None = None
    """Share of the time in which the daemon could have worked but others had the processors."""


class ScaleReport(Struct, kw_only=True):
    """One run. Sizes in MB (10^6 bytes), times in s where nothing else is said."""

    machine: dict[str, str | int]
    memories: int
    users: int
    dimensions: int
    run_length: int
    first_start_seconds: float = 0.0
    load_seconds: float = 0.0
    keyword_index_seconds: float = 0.0
    vector_index_seconds: float = 0.0
    """Both from the same moment, side by side."""
    files_mb: float = 0.0
    restart_seconds: float = 0.0
    full_speed_seconds: float = 0.0
    top_cosine: float | None = None
    median_cosine: float | None = None
    recall_dense: float | None = None
    recall_fused: float | None = None
    bare_rate: float | None = None
    """Answers per second of a loop over the same arms in one process, without HTTP and database."""
    daemon_mb: float | None = None
    searcher_mb: float | None = None
    """In RAM, mapped files included."""
    database_mb: float | None = None
    """Shared buffers and processes of the database in RAM, each page once."""
    searches: list[SearchFigure] = field(default_factory=list)


def figure(
    name: str, outcome: Outcome, used: Usage | None = None, driver: float | None = None
) -> SearchFigure:
    """The figures of a loop."""
    count = len(outcome.latencies)

    def each(seconds: float | None) -> float | None:
        return seconds * 1e3 / count if seconds is not None and count else None

    p50, p95, p99 = (percentile(outcome.latencies, share) or 0.0 for share in (0.5, 0.95, 0.99))
    return SearchFigure(
        name=name, answered=count, failed=outcome.failed, errors=dict(outcome.errors),
        degraded=dict(outcome.degraded), rate=outcome.rate, p50=p50, p95=p95, p99=p99, hits=outcome.hits,
        daemon_cpu=each(used.server if used else None), database_cpu=each(used.database if used else None),
        driver_cpu=each(driver), waited=used.waited / outcome.seconds if used and outcome.seconds else None,
    )  # fmt: skip


def database_mb(pid: int | None) -> float | None:
    """Proportional memory of the database's processes below a daemon."""
    if pid is None or not PROC.is_dir():
        return None
    ticks, parents, names = os.sysconf("SC_CLK_TCK"), dict[int, int](), dict[int, str]()
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                one = parse_stat((entry / "stat").read_text(errors="replace"), ticks)
            except OSError:
                continue
            parents[one.pid], names[one.pid] = one.parent, one.name
    below = {one for one in parents if names[one].startswith("postgres") and _under(one, pid, parents)}
    return sum(filter(None, (_proportional(one) for one in below))) or None


def _under(one: int, pid: int, parents: dict[int, int]) -> bool:
    while one in parents:
        if one == pid:
            return True
        one = parents[one]
    return False


def _proportional(pid: int) -> float | None:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:")), None)


def show(found: ScaleReport, console: Console) -> None:
    """Print it."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    names = (
        "LOOP",
        "ANSWERED",
        "FAILED",
        "RATE/s",
        "P50 ms",
        "P95 ms",
        "P99 ms",
        "HITS",
        "POOL",
        "CPU ms",
        "DB ms",
        "DRIVER",
        "WAITED",
    )
    for name in names:
        table.add_column(name, justify="left" if name == "LOOP" else "right", no_wrap=True)
    for row in found.searches:
        cpu = [_number(value, 2) for value in (row.daemon_cpu, row.database_cpu, row.driver_cpu)]
        share = "–" if row.waited is None else f"{row.waited:.0%}"
        pool = "–" if row.pool_hits is None else f"{row.pool_hits:.1%}"
        times = [f"{value:.1f}" for value in (row.p50, row.p95, row.p99)]
        counts = (f"{row.answered:,}", str(row.failed), f"{row.rate:,.0f}")
        table.add_row(row.name, *counts, *times, f"{row.hits:,}", pool, *cpu, share)
    console.print(table)
    console.print(
        f"{found.memories:,} memories of {found.users:,} users, {found.dimensions} dimensions; loaded in {found.load_seconds:.0f} s, "
        f"keyword index {found.keyword_index_seconds:.0f} s, vector index {found.vector_index_seconds:.0f} s, "
        f"ready again after {found.restart_seconds:.1f} s, at full speed after {found.full_speed_seconds:.1f} s"
    )
    console.print(
        f"memory: daemon {_number(found.daemon_mb, 0)} MB, search process {_number(found.searcher_mb, 0)} MB (mapped files included), database {_number(found.database_mb, 0)} MB, "
        f"index files {found.files_mb:.0f} MB"
    )
    if found.recall_dense is not None:
        console.print(
            f"recall@10: dense arm {found.recall_dense:.3f} against exact cosine, answers {_number(found.recall_fused, 3)} against "
            f"the same with exact arms; cosines: nearest {_number(found.top_cosine, 2)}, median {_number(found.median_cosine, 2)}"
        )
        console.print(
            f"bare loop over the same arms, no HTTP, no database: {_number(found.bare_rate, 0)} answers/s"
        )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
