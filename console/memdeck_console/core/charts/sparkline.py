"""A sparkline of blocks on the same fixed range as the bullet: 0 to 150 % of the objective.

Seven of the eight steps, so that rows do not touch; above the objective in warn; no data is `·`.
"""

from collections.abc import Sequence
from itertools import groupby

from memdeck_console.core.charts.scale import REACH
from memdeck_console.core.glyphs import SPARK
from memdeck_console.core.line import Line, Span

NO_DATA = "·"


def sparkline(values: Sequence[float | None], slo: float, *, stale: bool = False) -> Line:
    """One cell per value."""
    cells = [_cell(value, slo, stale=stale) for value in values]
    return tuple(
        Span("".join(c for c, _ in run), ink) for ink, run in groupby(cells, key=lambda cell: cell[1])
    )


def _cell(value: float | None, slo: float, *, stale: bool) -> tuple[str, str]:
    if value is None:
        return NO_DATA, "faint"
    steps = len(SPARK)
    step = min(steps, max(1, round(value / (slo * REACH) * steps)))
    if stale:
        return SPARK[step - 1], "stale-dim"
    return SPARK[step - 1], "warn" if value > slo else "band"
