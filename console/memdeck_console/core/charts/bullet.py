"""A bullet: heavy from p50 to p95, light from p95 to p99, on 0 to 150 % of the operation's own objective.

Drawn in half cells. The objective is one vertical line at two thirds; what lies right of it is warn; beyond the range
stands `▸`. A bullet that lies beyond the range as a whole is three of them.
"""

from itertools import groupby

from memdeck_console.core.charts.scale import REACH
from memdeck_console.core.line import Line, Span

NONE, LIGHT, HEAVY = 0, 1, 2
_HALVES = {
    (0, 0): " ", (1, 1): "─", (2, 2): "━", (0, 1): "╶", (1, 0): "╴", (0, 2): "╺", (2, 0): "╸",
    (2, 1): "╾", (1, 2): "╼",
}  # fmt: skip
_CROSSED = {
    (0, 0): "│", (1, 1): "┼", (2, 2): "┿", (0, 1): "├", (1, 0): "┤", (0, 2): "┝", (2, 0): "┥",
    (2, 1): "┽", (1, 2): "┾",
}  # fmt: skip
BEYOND = "▸"


def objective_cell(width: int) -> int:
    """The cell of the objective's line."""
    return width * 2 // 3


def bullet(
    p50: float | None, p95: float | None, p99: float | None, slo: float, width: int, *, stale: bool = False
) -> Line:
    """`width` cells, a multiple of three."""
    at = objective_cell(width)
    ink, over = ("stale-dim", "stale-dim") if stale else ("crest", "warn")
    if p50 is None or p95 is None or p99 is None:
        return (Span(" " * at), Span("│", "muted"), Span(" " * (width - at - 1)))
    top = slo * REACH
    if p50 > top:
        return (
            Span(" " * at),
            Span("│", "muted"),
            Span((BEYOND * min(3, width - at - 1)).rjust(width - at - 1), over),
        )
    halves = _halves(p50 / top, p95 / top, p99 / top, 2 * width)
    cells: list[tuple[str, str]] = []
    for cell in range(width):
        pair = (halves[2 * cell], halves[2 * cell + 1])
        if cell == at:
            cells.append((_CROSSED[pair], over if pair[1] else "muted"))
        else:
            cells.append((_HALVES[pair], over if cell > at else ink))
    if p99 > top:
        cells[-1] = (BEYOND, over)
    return tuple(
        Span("".join(c for c, _ in run), key) for key, run in groupby(cells, key=lambda cell: cell[1])
    )


def _halves(p50: float, p95: float, p99: float, size: int) -> list[int]:
    begin = min(size - 1, round(p50 * size))
    middle = min(size, max(begin + 1, round(p95 * size)))
    end = min(size, max(middle + 1, round(p99 * size)))
    return [HEAVY if begin <= i < middle else LIGHT if middle <= i < end else NONE for i in range(size)]
