"""A failing embedder is left alone, for longer each time."""

import pytest

from memdeck_daemon.memory.embedding.outage import LONGEST, MOST_ASKED, Outage
from tests.fakes.clock import ManualClock


def test_pauses_double_up_to_a_minute() -> None:
    """Half a second first."""
    clock = ManualClock()
    outage = Outage(clock)
    pauses = []
    for _ in range(9):
        outage.failed("no answer")
        pauses.append(outage.remaining)
        clock.advance(outage.remaining)
    assert pytest.approx([0.5, 1, 2, 4, 8, 16, 32, LONGEST, LONGEST]) == pauses


def test_failures_of_one_moment_count_once() -> None:
    """Requests that were under way together."""
    outage = Outage(ManualClock())
    for _ in range(20):
        outage.failed("no answer")
    assert 1 == outage.failures


@pytest.mark.parametrize(("asked", "pause"), [(7.0, 7.0), (0.1, 0.5), (1e9, MOST_ASKED)])
def test_retry_after_is_honoured_within_reason(asked: float, pause: float) -> None:
    """Never shorter than its own pause, never for hours."""
    outage = Outage(ManualClock())
    outage.failed("rate limited", asked)
    assert pytest.approx(pause) == outage.remaining


def test_success_ends_it() -> None:
    """At once."""
    outage = Outage(ManualClock())
    outage.failed("no answer")
    outage.succeeded()
    assert (0.0, "", 0) == (outage.remaining, outage.reason, outage.failures)
