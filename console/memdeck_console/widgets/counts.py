"""How much there is, and how the daemon is: memories, those who own them, the disk, the process."""

from collections.abc import Callable

from memdeck_common.wire import feed as wire
from memdeck_console.core import formatting
from memdeck_console.core.charts.bar import bar
from memdeck_console.core.line import BLANK, Line, Row, Span, left, right, spread, width_of
from memdeck_console.core.store import View
from memdeck_console.widgets.panel import Panel
from memdeck_console.widgets.services import NARROW, age_of
from memdeck_console.widgets.trend import TALL_FROM

LABEL = 10
PAIR = 19
"""Columns of one of two figures in a row."""
LOW, LOWEST = 0.10, 0.05
SHORT = 30
"""Rows of the terminal below which two dense rows do."""


class Counts(Panel):
    """Two sections: what is kept, and what keeps it."""

    def rows(self, view: View, width: int) -> list[Row]:
        """Both sections, or two dense rows where the terminal is narrow."""
        if view.snapshot is None:
            return [self.head("Memories", width), Row((Span("Nothing known yet.", "muted"),))]
        if self.app.size.width < NARROW or self.app.size.height < SHORT:
            return self._dense(view, width)
        counts, ink = view.counts, _ink(view)
        figure, database = _kept(counts)
        gap = [BLANK] if self.app.size.height >= TALL_FROM else []
        free = _free_share(view)
        summary = age_of(view) or (Span(f"{formatting.percent(free)} disk free", _disk_ink(free, "muted")),)
        return [
            self.head("Memories", width, summary=summary),
            Row(
                _two(
                    "memories",
                    figure(counts.memories),
                    "users",
                    figure(counts.users),
                    ink,
                    width,
                )
            ),
            Row(
                _two(
                    "agents",
                    figure(counts.agents),
                    "runs",
                    figure(counts.runs),
                    ink,
                    width,
                )
            ),
            Row(_two("database", database, "", "", ink, width)),
            *gap,
            Row(_disk(view, width)),
            *gap,
            *self._daemon(view, width, ink, gap),
        ]

    def _daemon(self, view: View, width: int, ink: str, gap: list[Row]) -> list[Row]:
        snapshot = view.snapshot
        up = view.at - snapshot.started_at if snapshot else None
        calls = sum(operation.calls for operation in view.operations)
        errors = sum(operation.errors for operation in view.operations)
        seconds = max(1.0, view.edge - view.slots[0].at) if view.slots else 1.0
        summary = age_of(view) or (Span(f"up {formatting.duration(up)}", "muted"),)
        failed = "stale-dim" if view.stale else "warn" if errors else ink
        resident = formatting.size(view.counts.resident_bytes)
        return [
            Row(self.head("Daemon", width, summary=summary).line),
            Row(_two("resident", resident, "calls/s", formatting.rate(calls / seconds), ink, width)),
            Row(
                _two("calls", formatting.count(calls), "failed", formatting.count(errors), ink, width, failed)
            ),
            *gap,
            Row(_since(view)),
        ]

    def _dense(self, view: View, width: int) -> list[Row]:
        counts, ink = view.counts, _ink(view)
        quiet = "stale-dim" if view.stale else "muted"
        figure, database = _kept(counts)
        figures = tuple(
            (name, figure(getattr(counts, name))) for name in ("memories", "users", "agents", "runs")
        )
        first = _series(figures, ink, quiet, width)
        begin: Line = (
            Span("database ", quiet),
            Span(database, ink),
            Span("   disk ", quiet),
        )
        free = _free_share(view)
        end: Line = (
            Span(f" {formatting.percent(free)} free", _disk_ink(free, quiet) if not view.stale else quiet),
            Span("   daemon ", quiet),
            Span(formatting.size(counts.resident_bytes), ink),
        )
        room = max(3, width - width_of(begin) - width_of(end))
        track = bar(_used_share(view), room, _bar_ink(view, free))
        return [self.head("Memories", width, summary=age_of(view)), Row(first), Row((*begin, *track, *end))]


def _kept(counts: wire.Counts) -> tuple[Callable[[int], str], str]:
    """How figures of the database are told, and its size. What it was never asked for is missing, not 0."""
    if counts.database_bytes or counts.memories:
        return formatting.count, formatting.size(counts.database_bytes)
    return lambda _: formatting.MISSING, formatting.MISSING


def _ink(view: View) -> str:
    return "stale-dim" if view.stale else "text"


def _free_share(view: View) -> float | None:
    counts = view.counts
    return counts.disk_free_bytes / counts.disk_total_bytes if counts.disk_total_bytes else None


def _used_share(view: View) -> float | None:
    free = _free_share(view)
    return None if free is None else 1 - free


def _disk_ink(free: float | None, ordinary: str) -> str:
    if free is None or free >= LOW:
        return ordinary
    return "crit" if free < LOWEST else "warn"


def _bar_ink(view: View, free: float | None) -> str:
    return "stale-dim" if view.stale else _disk_ink(free, "ok")


def _two(first: str, value: str, second: str, other: str, ink: str, width: int, other_ink: str = "") -> Line:
    quiet = "stale-dim" if ink == "stale-dim" else "muted"
    pair = (width - (width - 2 * PAIR)) // 2
    line: Line = (left(first, LABEL, quiet), right(value, pair - LABEL, ink), Span("  "))
    return (*line, left(second, LABEL - 2, quiet), right(other, pair - LABEL + 2, other_ink or ink))


def _disk(view: View, width: int) -> Line:
    free, quiet = _free_share(view), "stale-dim" if view.stale else "muted"
    counts = view.counts
    used = counts.disk_total_bytes - counts.disk_free_bytes
    words = f"{formatting.size(used)} of {formatting.size(counts.disk_total_bytes)}"
    end: Line = (Span(words, quiet),)
    track = bar(_used_share(view), max(3, width - LABEL - width_of(end) - 2), _bar_ink(view, free))
    return spread((left("disk", LABEL, quiet), *track), end, width)


def _since(view: View) -> Line:
    snapshot = view.snapshot
    quiet = "stale-dim" if view.stale else "muted"
    if snapshot is None:
        return ()
    return (
        Span("started ", quiet),
        Span(formatting.day(snapshot.started_at), _ink(view)),
        Span("   boot ", quiet),
        Span(formatting.short_id(snapshot.boot_id), _ink(view)),
    )


def _series(figures: tuple[tuple[str, str], ...], ink: str, quiet: str, width: int) -> Line:
    line: Line = ()
    for name, number in figures:
        longer = (
            *line,
            Span("   " if line else ""),
            Span(f"{name} ", quiet),
            Span(number, ink),
        )
        if width_of(longer) > width:
            break
        line = longer
    return line
