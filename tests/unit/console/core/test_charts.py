"""Charts: numbers in, cells out."""

import pytest

from memdeck_console.core.charts.band import Hole, band, row_of
from memdeck_console.core.charts.bar import bar, cells_of, stacked, stage
from memdeck_console.core.charts.bullet import bullet
from memdeck_console.core.charts.scale import Range, range_of
from memdeck_console.core.charts.sparkline import sparkline
from memdeck_console.core.line import Line, width_of


def text(line: Line) -> str:
    return "".join(span.text for span in line)


def inks(line: Line) -> list[str]:
    """The ink of each cell."""
    return [span.ink for span in line for _ in span.text]


@pytest.mark.parametrize(
    ("highest", "top"),
    [(None, 150), (0, 150), (150, 150), (150.1, 300), (301, 750), (751, 1500), (1501, 3000), (7501, 15000)],
)
def test_the_range_is_150_percent_and_steps_by_2_5_and_10(highest: float | None, top: float) -> None:
    """It never follows the values smoothly."""
    assert top == range_of(100, highest).top


def test_ticks_are_0_50_100_and_150_percent() -> None:
    assert (150, 100, 50, 0) == Range(100, 150).ticks


@pytest.mark.parametrize(("rows", "expected"), [(10, (0, 3, 6, 9)), (7, (0, 2, 4, 6))])
def test_ticks_stand_on_equal_row_steps(rows: int, expected: tuple[int, ...]) -> None:
    scale = Range(100, 150)
    assert expected == tuple(row_of(tick, scale, rows) for tick in scale.ticks)


@pytest.mark.parametrize(
    ("share", "cells"), [(0, 0), (-1, 0), (0.001, 1), (0.5, 5), (0.99, 9), (0.9999, 9), (1, 10), (7, 10)]
)
def test_a_bar_is_full_only_at_100_percent_and_has_a_cell_above_0(share: float, cells: int) -> None:
    assert cells == cells_of(share, 10)


def test_a_bar_stands_on_its_track() -> None:
    assert ["ok"] * 4 + ["rule"] * 6 == inks(bar(0.4, 10, "ok"))


def test_a_bar_without_a_value_is_only_its_track() -> None:
    assert ["rule"] * 10 == inks(bar(None, 10, "ok"))


def test_stacked_parts_are_as_long_as_their_sum() -> None:
    """Rounding each part by itself would drift."""
    parts = [(0.26, "dense"), (0.26, "lexical"), (0.26, "graph"), (0.02, "recency")]
    cells = inks(stacked(parts, 1.0, 10))
    assert 8 == len(cells) - cells.count("rule")
    assert 10 == len(cells)


def test_negative_parts_are_not_drawn() -> None:
    cells = inks(stacked([(0.5, "dense"), (-0.3, "lexical"), (0.2, "graph")], 1.0, 10))
    assert ["dense"] * 5 + ["graph"] * 2 + ["rule"] * 3 == cells


def test_a_stage_is_drawn_where_it_ran() -> None:
    assert "   ━━━" == text(stage(3, 3, 12, 12, "band"))


def test_the_shortest_stage_has_one_cell_at_the_very_end() -> None:
    assert " " * 11 + "━" == text(stage(12, 0, 12, 12, "band"))


def test_a_bullet_is_heavy_to_p95_and_light_to_p99() -> None:
    """12 cells for 0 to 150: 12.5 a cell, drawn in halves; the objective at two thirds."""
    assert " ━─     │   " == text(bullet(12.5, 25, 37.5, 100, 12))


def test_a_bullet_crosses_the_objective_in_warn() -> None:
    line = bullet(62.5, 87.5, 137.5, 100, 12)
    assert "     ━━─┼── " == text(line)
    assert ["crest"] * 8 + ["warn"] * 4 == inks(line)


def test_a_bullet_that_leaves_the_range_ends_in_an_arrow() -> None:
    assert "▸" == text(bullet(50, 100, 900, 100, 12))[-1]


def test_a_bullet_beyond_the_range_is_three_arrows() -> None:
    assert "        │▸▸▸" == text(bullet(960, 1200, 1490, 100, 12))


def test_a_bullet_without_calls_is_the_objective_alone() -> None:
    assert "        │   " == text(bullet(None, None, None, 100, 12))


@pytest.mark.parametrize("width", [9, 12, 21, 36])
@pytest.mark.parametrize("p50", [0.01, 20, 99, 149, 151, 10_000])
def test_a_bullet_fills_its_width(width: int, p50: float) -> None:
    assert width == width_of(bullet(p50, p50 * 1.1, p50 * 3, 100, width))


def test_a_stale_bullet_has_no_colour_of_a_state() -> None:
    assert {"stale-dim", "muted"} >= set(inks(bullet(62.5, 87.5, 137.5, 100, 12, stale=True)))


def test_a_sparkline_shares_the_bullets_range() -> None:
    line = sparkline([None, 0, 50, 100, 101, 150, 999], 100)
    assert "·▁▂▅▅▇▇" == text(line)
    assert ["faint", "band", "band", "band", "warn", "warn", "warn"] == inks(line)


def test_a_sparkline_does_not_touch_the_row_above() -> None:
    """Seven of eight steps."""
    assert "█" not in text(sparkline([10_000], 100))


def test_the_band_runs_from_p50_to_p99_with_a_bright_end() -> None:
    """Ten rows for 0 to 150: the first row's centre is 150, the last one's 0."""
    grid = band([(50, 75)] * 4, Range(100, 150), 10)
    glyphs = ["".join(cell[0] for cell in row) for row in grid]
    assert ["  ", "  ", "  ", "╌╌", "⣀⣀", "⣿⣿", "⠛⠛", "  ", "  ", "  "] == glyphs
    assert ("crest", "band", "band") == (grid[4][0][1], grid[5][0][1], grid[6][0][1])


def test_above_the_objective_the_band_is_warn() -> None:
    grid = band([(50, 140)] * 2, Range(100, 150), 10)
    assert ["warn", "warn"] == [grid[row][0][1] for row in (1, 2)]
    assert "band" == grid[3][0][1]


def test_columns_without_calls_stay_empty() -> None:
    """Nothing is interpolated: only the objective's line is there."""
    grid = band([None] * 4, Range(100, 150), 10)
    assert [" "] * 2 == [cell[0] for cell in grid[9]]
    assert ["╌"] * 2 == [cell[0] for cell in grid[3]]


def test_half_a_cell_may_be_empty() -> None:
    grid = band([(50, 75), None], Range(100, 150), 10)
    assert "⡇" == grid[5][0][0]


def test_a_hole_is_a_raised_column_true_to_scale_with_its_label_beside_it() -> None:
    grid = band([(10, 20)] * 80, Range(100, 150), 10, [Hole(0.25, 0.375, "gap 12s")])
    raised = [cell for cell in range(40) if grid[0][cell][2] == "raised"]
    assert list(range(10, 15)) == raised
    assert all(grid[row][12] == (" ", "text", "raised") for row in range(10))
    assert "gap 12s" == "".join(cell[0] for cell in grid[0][16:23])


def test_the_label_of_a_hole_at_the_right_end_stands_at_its_left() -> None:
    grid = band([(10, 20)] * 80, Range(100, 150), 10, [Hole(0.95, 1.0, "no link 18s")])
    assert "no link 18s" == "".join(cell[0] for cell in grid[0][26:37])


def test_a_label_covers_no_data() -> None:
    """It moves down to the first free rows, and goes where there are none."""
    grid = band([(100, 150)] * 80, Range(100, 150), 10, [Hole(0.25, 0.375, "gap 12s")])
    rows = ["".join(cell[0] for cell in row) for row in grid]
    assert "gap 12s" not in rows[0]
    assert any("gap 12s" in row for row in rows[4:])


def test_a_short_hole_is_still_seen() -> None:
    grid = band([None] * 80, Range(100, 150), 10, [Hole(0.5, 0.5001, "gap 1s")])
    assert 1 == sum(cell[2] == "raised" for cell in grid[0])


def test_a_stale_band_has_no_colour_of_a_state() -> None:
    grid = band([(50, 140)] * 2, Range(100, 150), 10, stale=True)
    assert {"stale-band", "stale-dim", "text", "muted"} >= {cell[1] for row in grid for cell in row}
