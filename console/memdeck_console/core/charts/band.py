"""The band: p50 to p99 over time in braille, p99 as bright crest, with the objective as a dashed line and gaps.

Row centres carry the ticks: the first row's centre is the top of the range, the last row's is 0, and 7 or 10 rows put
the ticks on equal steps. A cell has one ink: warn when it lies above the objective, crest where a column of dots ends,
band elsewhere. A gap is a raised column true to scale; nothing is drawn inside and nothing interpolated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from memdeck_console.core.charts.scale import Range

DOTS = 4
"""Dots of a cell, one above the other; two side by side."""
_BITS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""Bits of the left and right dots, from the bottom up. The lowest dots came late to braille, hence the order."""
OBJECTIVE = "╌"

Cell = tuple[str, str, str]
"""Glyph, ink, ground."""
EMPTY: Cell = (" ", "text", "")


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch without link or data, as a share of the time axis."""

    begin: float
    end: float
    label: str


def row_of(value: float, scale: Range, rows: int) -> int:
    """The row whose centre is nearest to a value, counted from the top."""
    return min(rows - 1, max(0, round((rows - 1) * (1 - value / scale.top))))


def band(
    columns: Sequence[tuple[float, float] | None],
    scale: Range,
    rows: int,
    holes: Sequence[Hole] = (),
    *,
    stale: bool = False,
) -> list[list[Cell]]:
    """`rows` rows of `len(columns) // 2` cells; a column is (p50, p99) in ms, two columns per cell."""
    width = len(columns) // 2
    inks = ("stale-band", "stale-dim", "stale-dim") if stale else ("band", "crest", "warn")
    dots = [_dots(column, scale, rows) for column in columns]
    objective = row_of(scale.slo, scale, rows)
    grid = [[EMPTY] * width for _ in range(rows)]
    for row in range(rows):
        for cell in range(width):
            pair = (dots[2 * cell], dots[2 * cell + 1])
            grid[row][cell] = _cell(pair, row, rows, objective, inks)
    for hole in holes:
        _cut_out(grid, hole, width)
    return grid


def _dots(column: tuple[float, float] | None, scale: Range, rows: int) -> tuple[int, int] | None:
    """First and last dot of a column, counted from the bottom."""
    if column is None:
        return None
    low, high = (_dot(value, scale, rows) for value in column)
    return low, max(low, high)


def _dot(value: float, scale: Range, rows: int) -> int:
    centre = (rows - 1) * min(value, scale.top) / scale.top
    return min(rows * DOTS - 1, max(0, round((centre + 0.5) * DOTS - 0.5)))


def _cell(
    pair: tuple[tuple[int, int] | None, tuple[int, int] | None],
    row: int,
    rows: int,
    objective: int,
    inks: tuple[str, str, str],
) -> Cell:
    lowest = (rows - 1 - row) * DOTS
    bits, crest = 0, False
    for side, span in enumerate(pair):
        if span is None:
            continue
        for dot in range(DOTS):
            if span[0] <= lowest + dot <= span[1]:
                bits |= _BITS[side][dot]
        crest = crest or lowest <= span[1] < lowest + DOTS
    if not bits:
        return (OBJECTIVE, "muted", "") if row == objective else EMPTY
    ink = inks[2] if row < objective else inks[1] if crest else inks[0]
    return chr(0x2800 + bits), ink, ""


def _cut_out(grid: list[list[Cell]], hole: Hole, width: int) -> None:
    first = min(width - 1, max(0, int(hole.begin * width)))
    last = min(width, max(first + 1, math.ceil(hole.end * width - 1e-9)))
    for row in grid:
        row[first:last] = [(" ", "text", "raised")] * (last - first)
    _label(grid, hole.label, first, last, width)


def _label(grid: list[list[Cell]], text: str, first: int, last: int, width: int) -> None:
    """Write the label beside the hole, in the first row where nothing else is drawn; nowhere when there is none."""
    for begin in (last + 1, first - 1 - len(text)):
        if begin < 0 or begin + len(text) > width:
            continue
        for row in grid:
            if all(cell == EMPTY for cell in row[max(0, begin - 1) : begin + len(text) + 1]):
                row[begin : begin + len(text)] = [(letter, "stale", "") for letter in text]
                return
