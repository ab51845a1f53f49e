"""Figures out of measurements, as a table for people and as JSON for programs.

Owns percentiles and ratios. Percentiles are exact: the nearest rank among all latencies, no histogram in between. A ratio
of two servers is that of their rates in the same round; the median of the rounds is given with the least and the greatest.
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench import machine
from bench.measurement import Measured, Series
from memdeck_common import __version__


class Figure(Struct, frozen=True, kw_only=True):
    """One phase of one server. Times in ms; None where nothing was measured."""

    server: str
    operation: str
    clients: int
    """0: the open loop."""
    answered: int
    """Right answers: those that rate and percentiles are made of."""
    hits: int
    """Of those, answers that the server had kept."""
    failed: int
    unsent: int
    """Left over at the time limit."""
    rate: float
    p50: float | None
    p95: float | None
    p99: float | None
    server_cpu: float | None
    """CPU time of the server per answer, without its database."""
    database_cpu: float | None
    driver_cpu: float | None
    """CPU time of this benchmark per answer; it shares the machine."""
    waited: float | None
    """Share of the time (0 to 1) in which the server could have worked but other processes had the processors."""


class Ratio(Struct, frozen=True, kw_only=True):
    """How many times the peer's rate the first server's is."""

    operation: str
    clients: int
    median: float
    least: float
    greatest: float


class Readiness(Struct, frozen=True, kw_only=True):
    """Seconds from the start of the process to 200 from /health/ready."""

    first_start: float
    """With a new home: the database is made."""
    later_start: float


class Report(Struct, frozen=True, kw_only=True):
    """Everything of one run."""

    at: str
    version: str
    machine: dict[str, str | int]
    parameters: dict[str, int | float]
    readiness: Readiness | None
    resident_mb: dict[str, float]
    backfilled: float | None
    """Memories a second that got their vector of the remote embedder, from the first add to the last vector."""
    figures: list[Figure]
    ratios: list[Ratio]
    errors: dict[str, int]
    """Failed requests by server, operation and reason."""


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed; None without values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def figure(series: Series) -> Figure:
    """The figures of one series."""
    outcome, used = series.outcome, series.used
    answered = len(outcome.latencies)

    def each(seconds: float | None) -> float | None:
        return seconds * 1e3 / answered if seconds is not None and answered else None

    return Figure(
        server=series.target,
        operation=series.operation,
        clients=series.clients,
        answered=answered,
        hits=outcome.hits,
        failed=outcome.failed,
        unsent=outcome.unsent,
        rate=outcome.rate,
        p50=percentile(outcome.latencies, 0.50),
        p95=percentile(outcome.latencies, 0.95),
        p99=percentile(outcome.latencies, 0.99),
        server_cpu=each(used.server if used else None),
        database_cpu=each(used.database if used else None),
        driver_cpu=each(series.driver_seconds),
        waited=used.waited / outcome.seconds if used and outcome.seconds else None,
    )


def ratio(first: Series, peer: Series) -> Ratio | None:
    """The ratio of two servers in the same phase; None when the peer answered nothing in any round."""
    pairs = zip(first.rates, peer.rates, strict=False)
    found = [ours / theirs for ours, theirs in pairs if theirs > 0]
    if not found:
        return None
    return Ratio(
        operation=first.operation,
        clients=first.clients,
        median=statistics.median(found),
        least=min(found),
        greatest=max(found),
    )


def ratios(series: Sequence[Series]) -> list[Ratio]:
    """All phases that two servers were measured in."""
    by_phase: dict[tuple[str, int], list[Series]] = {}
    for one in series:
        by_phase.setdefault((one.operation, one.clients), []).append(one)
    found = (ratio(*pair) for pair in by_phase.values() if len(pair) == 2)
    return [one for one in found if one is not None]


def report(measured: Measured, parameters: dict[str, int | float], readiness: Readiness | None) -> Report:
    """The report of a run that ended now."""
    errors: Counter[str] = Counter()
    for series in measured.series:
        for reason, count in series.outcome.errors.items():
            errors[f"{series.target}, {series.operation}: {reason}"] += count
    return Report(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        machine=machine.described(),
        parameters=parameters,
        readiness=readiness,
        resident_mb=measured.resident,
        backfilled=measured.backfilled,
        figures=[figure(series) for series in measured.series],
        ratios=ratios(measured.series),
        errors=dict(errors + measured.warm_up_errors),
    )


COLUMNS = (
    "SERVER",
    "OPERATION",
    "CLIENTS",
    "ANSWERED",
    "FAILED",
    "HITS",
    "RATE/s",
    "P50 ms",
    "P95 ms",
    "P99 ms",
)
CPU_COLUMNS = ("CPU ms", "DB CPU ms", "DRIVER ms", "WAITED")


def show(found: Report, console: Console) -> None:
    """Print it."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in (*COLUMNS, *CPU_COLUMNS):
        table.add_column(name, justify="left" if name in COLUMNS[:2] else "right", no_wrap=True)
    for row in found.figures:
        times = [_ms(value, 1) for value in (row.p50, row.p95, row.p99)]
        cpu = [_ms(value, 2) for value in (row.server_cpu, row.database_cpu, row.driver_cpu)]
        cpu.append("–" if row.waited is None else f"{row.waited:.0%}")
        failed = f"[bold red]{row.failed:,}[/]" if row.failed else "0"
        kept = f"{row.hits / row.answered:.0%}" if row.answered else "–"
        counts = (str(row.clients or "open"), f"{row.answered:,}", failed, kept, f"{row.rate:,.0f}")
        table.add_row(row.server, row.operation, *counts, *times, *cpu)
    console.print(table)
    console.print(
        "WAITED: how much of the time the server was ready to work and others had the processors", style="dim"
    )
    for name, size in found.resident_mb.items():
        console.print(f"{name}: {size:.0f} MB resident after the adds, without its database")
    if found.backfilled is not None:
        console.print(f"vectors of the remote embedder: {found.backfilled:,.0f} memories/s, adds included")
    if found.readiness:
        ready = found.readiness
        console.print(f"ready after {ready.first_start:.2f} s (new home), {ready.later_start:.2f} s (later)")
    for one in found.ratios:
        span = f"{one.least:.1f} to {one.greatest:.1f} in the rounds"
        console.print(
            f"{one.operation}, {one.clients} client(s): {one.median:.1f} times the peer's rate ({span})"
        )
    for row in found.figures:
        if row.unsent:
            console.print(f"[yellow]{row.server}, {row.operation}: {row.unsent:,} not sent (limit)[/]")
    for what, count in found.errors.items():
        console.print(f"[bold red]{count:,} ×[/] {escape(what)}", highlight=False)


def _ms(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
