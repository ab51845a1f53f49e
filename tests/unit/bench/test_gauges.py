"""What is read off a daemon's metrics: the lateness of its event loop, and slopes."""

import math

from bench.faults.gauges import Look, slope


def seen(*counts: float) -> Look:
    return Look(tuple(zip((0.01, 0.02, 0.05, math.inf), counts, strict=True)), 0, None, None)


def test_the_lateness_is_that_of_what_came_since() -> None:
    """Between the bounds of its bucket; beyond the last one it is that bound."""
    before = seen(0, 0, 50, 50)
    assert 9.9 == seen(100, 100, 150, 150).lag_ms(before)
    assert 15.0 == seen(50, 150, 200, 200).lag_ms(before, share=2 / 3)
    assert 50.0 == seen(0, 0, 50, 150).lag_ms(before)


def test_a_slope_is_per_hour() -> None:
    assert 3600.0 == slope([(0, 1), (1, 2), (2, 3)])
    assert 0.0 == slope([(0, 5), (10, 5)]) == slope([(0, 5)])
