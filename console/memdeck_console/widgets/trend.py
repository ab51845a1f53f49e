"""The band graph of one operation over five minutes, or of several side by side where the terminal is wide."""

from collections.abc import Sequence
from itertools import groupby

from memdeck_console.core import formatting
from memdeck_console.core.charts.band import Cell, Hole, band, row_of
from memdeck_console.core.charts.scale import Range, range_of
from memdeck_console.core.line import BLANK, Line, Row, Span, plain, right, space, title, width_of
from memdeck_console.core.store import View
from memdeck_console.core.window import SECONDS, Operation, columns
from memdeck_console.widgets.panel import Panel

TALL, SHORT = 10, 7
"""Plot rows; both put 0, 50, 100 and 150 % on equal steps."""
TALL_FROM = 35
"""Rows of the terminal from which there is room for the tall one."""
LABELS = 9
"""Columns of the labels at the right end."""
ALL_FROM, EACH, BETWEEN = 160, 46, 3
"""Width of the terminal from which several operations are shown; least columns of one; columns between."""
MINUTES = 5
LEAST_PLOT = 12


class Trend(Panel):
    """p50 to p99 over time against the objective."""

    chosen: str | None = None
    """The operation that the person chose; None: the one that needs a look."""

    def turn(self, step: int) -> None:
        """Choose the next or the previous operation."""
        operations = self._view.operations if self._view else ()
        if operations:
            self.chosen = operations[(self._first(operations) + step) % len(operations)].name
            self.redraw()

    def _first(self, operations: Sequence[Operation]) -> int:
        """The chosen operation; else the one that burns its budget fastest; else the first."""
        names = [operation.name for operation in operations]
        if self.chosen in names:
            return names.index(self.chosen)
        worst = max(range(len(operations)), key=lambda i: (operations[i].over, operations[i].burn or 0, -i))
        return worst if operations[worst].over else 0

    def rows(self, view: View, width: int) -> list[Row]:
        """Title, plot and axis of as many operations as fit."""
        tall = TALL if self.app.size.height >= TALL_FROM else SHORT
        operations = view.operations
        if not operations:
            head = self.head("Trend", width)
            return [head, Row((Span("No calls yet.", "muted"),)), *[BLANK] * tall]
        fit = 1
        if self.app.size.width >= ALL_FROM:
            fit = max(1, min(len(operations), (width + BETWEEN) // (EACH + BETWEEN)))
        each = (width - BETWEEN * (fit - 1)) // fit
        first = self._first(operations)
        graphs = [
            _graph(operations[(first + i) % len(operations)], view, each, tall, last=i == fit - 1)
            for i in range(fit)
        ]
        return [Row(_side_by_side(lines, each)) for lines in zip(*graphs, strict=True)]


def _side_by_side(lines: Sequence[Line], each: int) -> Line:
    joined: list[Span] = []
    for position, line in enumerate(lines):
        if position:
            joined.append(space(BETWEEN))
        joined += [*line, space(each - width_of(line))]
    return tuple(joined)


def _graph(operation: Operation, view: View, width: int, tall: int, *, last: bool) -> list[Line]:
    end = view.edge
    slots = view.slots
    coarse = columns(slots, operation.name, end - SECONDS, end, 2 * max(1, width - 16))
    highest = max((column[1] for column in coarse if column), default=None)
    scale = range_of(operation.slo, highest)
    ticks = [f"{tick:,.0f}" for tick in scale.ticks]
    axis = max(4, *(len(tick) for tick in ticks))
    plot = max(LEAST_PLOT, width - axis - 1 - 1 - LABELS - 1)
    found = columns(slots, operation.name, end - SECONDS, end, 2 * plot)
    grid = band(found, scale, tall, _holes(view, end), stale=view.stale)
    labels = _labels(operation, scale, tall, stale=view.stale)
    step = (tall - 1) // 3
    marks = {row * step: tick for row, tick in enumerate(ticks)}
    hint: Line = (Span("[ ]", "accent"), Span(" other operation", "muted")) if last else ()
    lines: list[Line] = [title(plain(operation.name), width, unit="ms", summary=hint)]
    for row in range(tall):
        label = labels.get(row, ())
        lines.append(
            (right(marks.get(row, ""), axis, "muted"), Span(" "), *_runs(grid[row]), Span(" "), *label)
        )
    lines.append((space(axis + 1), *_times(plot)))
    return lines


def _holes(view: View, end: float) -> list[Hole]:
    holes: list[Hole] = []
    for gap in view.gaps:
        until = min(gap.end if gap.end is not None else view.at, end)
        begin = max(gap.begin, end - SECONDS)
        if until > begin:
            length = (gap.end if gap.end is not None else view.at) - gap.begin
            label = gap.cause if gap.cause == "restart" else f"{gap.cause} {formatting.duration(length)}"
            holes.append(Hole((begin - end) / SECONDS + 1, (until - end) / SECONDS + 1, label))
    return holes


def _runs(cells: Sequence[Cell]) -> Line:
    return tuple(
        Span("".join(cell[0] for cell in run), ink, ground=ground)
        for (ink, ground), run in groupby(cells, key=lambda cell: cell[1:])
    )


def _labels(operation: Operation, scale: Range, tall: int, *, stale: bool) -> dict[int, Line]:
    """p99, SLO and p50 beside their heights, each on a row of its own."""
    taken: dict[int, Line] = {row_of(scale.slo, scale, tall): _label("SLO", f"{operation.slo:,.0f}", "muted")}
    over = operation.over and not stale
    if operation.p99 is not None:
        row = _free(row_of(operation.p99, scale, tall), taken, tall, upwards=operation.p99 > operation.slo)
        ink = "warn" if over else "stale-dim" if stale else "text"
        taken[row] = _label("p99", formatting.latency(operation.p99), ink, bold=over)
    if operation.p50 is not None:
        row = _free(row_of(operation.p50, scale, tall), taken, tall, upwards=False)
        taken[row] = _label("p50", formatting.latency(operation.p50), "stale-dim" if stale else "muted")
    return taken


def _free(row: int, taken: dict[int, Line], tall: int, *, upwards: bool) -> int:
    for step in (-1, 1) if upwards else (1, -1):
        candidate = row
        while 0 <= candidate < tall:
            if candidate not in taken:
                return candidate
            candidate += step
    return row


def _label(name: str, value: str, ink: str, *, bold: bool = False) -> Line:
    return (Span(name + value.rjust(LABELS - len(name)), ink, bold),)


def _times(plot: int) -> Line:
    """`-5 min` at the left, a tick a minute, `now` at the right end."""
    row = list(f"-{MINUTES} min".ljust(plot))
    for minute in range(1, MINUTES):
        end = -(-plot * minute // MINUTES)
        text = f"-{MINUTES - minute}"
        if end - len(text) > len(f"-{MINUTES} min"):
            row[end - len(text) : end] = text
    row[plot - 3 :] = "now"
    return (Span("".join(row), "muted"),)
