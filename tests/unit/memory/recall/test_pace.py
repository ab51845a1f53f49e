"""The dense arm's time."""

from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.memory.recall.pace import BUDGET, LESS, Pace
from tests.fakes.clock import ManualClock

MOST = 200_000


def test_less_is_compared_while_it_is_late_again_and_again() -> None:
    """One late search changes nothing; being in time for a while ends it."""
    clock = ManualClock()
    modes = Modes(clock)
    pace = Pace(modes)
    for seconds in (2 * BUDGET, 2 * BUDGET, 0.1, 2 * BUDGET, 2 * BUDGET):
        pace.note(seconds)
    clock.advance(60)
    assert (MOST, "normal") == (pace.most_exact(MOST), str(modes.current))
    pace.note(2 * BUDGET)
    clock.advance(1)
    assert (LESS, "reduced-precision", ["dense"]) == (pace.most_exact(MOST), modes.current, modes.without())
    assert 100 == pace.most_exact(100)
    pace.note(0.1)
    clock.advance(10)
    assert MOST == pace.most_exact(MOST)
