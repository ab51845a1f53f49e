"""The range of a chart: fixed by the objective, so that 100 % stands at two thirds in every panel.

0 to 150 % of the objective; when the highest value leaves it, the range steps by 2, 5 and 10, never smoothly, so that a
curve does not seem to sink while its range grows.
"""

from dataclasses import dataclass

REACH = 1.5
_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Range:
    """0 to `top`, with the objective `slo` somewhere inside."""

    slo: float
    top: float

    @property
    def ticks(self) -> tuple[float, float, float, float]:
        """Top to bottom, in equal steps."""
        return (self.top, self.top * 2 / 3, self.top / 3, 0.0)


def range_of(slo: float, highest: float | None) -> Range:
    """The smallest range of the steps that holds `highest`."""
    factor, decade = 1, 1
    while highest is not None and highest > slo * REACH * factor and decade < 10**6:
        position = _STEPS.index(factor // decade)
        if position == len(_STEPS) - 1:
            decade *= 10
        factor = _STEPS[(position + 1) % len(_STEPS)] * decade
    return Range(slo, slo * REACH * factor)
