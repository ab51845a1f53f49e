"""Latency per operation: figures, a bullet against the objective, and the last minute."""

from memdeck_console.core import formatting
from memdeck_console.core.charts.bullet import bullet, objective_cell
from memdeck_console.core.charts.sparkline import NO_DATA, sparkline
from memdeck_console.core.line import Line, Row, Span, left, plain, right, space, spread
from memdeck_console.core.store import View
from memdeck_console.core.window import SPARK_SECONDS, Operation, crests
from memdeck_console.widgets.panel import Panel
from memdeck_console.widgets.services import age_of

FIGURES = 43
"""Columns before the bullet."""
SPARK, WIDEST_SPARK, WIDEST_BULLET = 10, 30, 48
LEGEND_FROM = 30
"""Rows of the terminal from which there is room to explain the marks."""


class Latency(Panel):
    """One row per operation, in the daemon's order."""

    def rows(self, view: View, width: int) -> list[Row]:
        """Title, header, operations, legend."""
        head = self.head("Latency", width, unit="ms", summary=age_of(view) or (Span("over 5 min", "muted"),))
        if not view.operations:
            return [head, Row((Span("Nothing known yet.", "muted"),))]
        wide, spark = _widths(width)
        rows = [head, Row(_columns(wide, spark))]
        rows += [_row(operation, view, wide, spark) for operation in view.operations]
        if self.app.size.height >= LEGEND_FROM and wide:
            rows.append(Row(_legend(view, width, wide)))
        return rows


def _widths(width: int) -> tuple[int, int]:
    """Cells of the bullet (a multiple of three) and of the sparkline; 0 where there is no room."""
    room = width - FIGURES - 1 - SPARK
    if room < 9:  # noqa: PLR2004 - a bullet below nine cells says nothing
        return 0, max(0, min(SPARK, width - FIGURES))
    wide = min(WIDEST_BULLET, room // 3 * 3)
    return wide, min(WIDEST_SPARK, SPARK + room - wide)


def _columns(wide: int, spark: int) -> Line:
    head = f"{'OP':8}{'now':>5}{'p50':>6}{'p95':>6}{'p99':>6}{'SLO':>5}{'burn':>5}  "
    if wide:
        at = objective_cell(wide)
        head += ("0" + " " * (at - 2) + "SLO").ljust(wide + 1)
    return (Span(head + ("60s" if spark else ""), "muted"),)


def _row(operation: Operation, view: View, wide: int, spark: int) -> Row:
    stale, over = view.stale, operation.over and not view.stale
    value, quiet = ("stale-dim", "stale-dim") if stale else ("text", "muted")
    burning = (operation.burn or 0) >= 0.5  # noqa: PLR2004 - half the budget's pace is worth reading
    line: Line = (
        left(plain(operation.name), 8, "warn" if over else value, bold=over),
        right(formatting.latency(operation.now), 5, quiet),
        right(formatting.latency(operation.p50), 6, quiet),
        right(formatting.latency(operation.p95), 6, value),
        right(formatting.latency(operation.p99), 6, "warn" if over else value, bold=over),
        right(f"{operation.slo:.0f}", 5, quiet),
        right(formatting.burn(operation.burn), 5, "warn" if over else value if burning else quiet, bold=over),
        Span("  "),
    )
    if wide:
        chart = bullet(operation.p50, operation.p95, operation.p99, operation.slo, wide, stale=stale)
        line = (*line, *chart, Span(" "))
    return Row((*line, *_minute(operation, view, spark)), ground="warn-tint" if over else "")


def _minute(operation: Operation, view: View, spark: int) -> Line:
    """The last minute; seconds without link or calls are dots."""
    if not spark:
        return ()
    end = view.edge + 1
    values = crests(view.slots, operation.name, end - SPARK_SECONDS, end, spark)
    return sparkline(values, operation.slo, stale=view.stale)


def _legend(view: View, width: int, wide: int) -> Line:
    if view.vitals.degraded:
        since = f" since {formatting.clock(view.mode_since)}" if view.mode_since else ""
        words = plain(", ".join(view.vitals.degraded)) + since
        return spread((), (Span(words, "stale" if view.stale else "warn"),), width)
    if view.stale:
        return spread((), (Span(f"{NO_DATA} no data", "muted"),), width)
    marks: Line = (
        Span("━", "crest"), Span(" p50 to p95   ", "muted"), Span("─", "crest"), Span(" to p99", "muted"),
    )  # fmt: skip
    begin = FIGURES + wide + 1
    indent = begin - 3 - sum(len(span.text) for span in marks)
    return (space(indent), *marks, Span("   "), Span("█", "warn"), Span(" over SLO", "muted"))
