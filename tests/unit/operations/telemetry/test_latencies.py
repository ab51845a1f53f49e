"""Latencies by second."""

import pytest

from memdeck_daemon.operations.telemetry.latency import KEPT, Latencies
from tests.fakes.clock import ManualClock


@pytest.fixture
def latencies(clock: ManualClock) -> Latencies:
    return Latencies(lambda: clock.now().timestamp())


def test_a_slot_holds_the_calls_of_its_second(latencies: Latencies) -> None:
    """By operation, failures beside; the next one starts empty and is not kept when nothing happened."""
    latencies.record("search", 0.01)
    latencies.record("search", 0.02, failed=True)
    latencies.record("add", 0.03)
    first, second = latencies.close_slot(), latencies.close_slot()
    assert ({"search": 2, "add": 1}, {"search": 1}) == (
        {k: h.count for k, h in first.ops.items()},
        first.errors,
    )
    assert ({}, {}, 1) == (second.ops, second.errors, len(latencies.slots))


def test_a_percentile_is_that_of_the_last_minute(latencies: Latencies, clock: ManualClock) -> None:
    """None where nothing was called."""
    latencies.record("search", 9.0)
    latencies.close_slot()
    clock.advance(61)
    for _ in range(20):
        latencies.record("search", 0.010)
    latencies.close_slot()
    assert pytest.approx(10.0, rel=0.045) == latencies.p95_ms("search")
    assert latencies.p95_ms("add") is None
    clock.advance(61)
    assert latencies.p95_ms("search") is None


def test_the_slots_after_some_are_the_last_ones(latencies: Latencies) -> None:
    """Also when older ones have gone."""
    for _ in range(KEPT + 5):
        latencies.record("search", 0.01)
        latencies.close_slot()
    assert (KEPT, KEPT + 5) == (len(latencies.slots), latencies.closed)
    assert [KEPT, KEPT, 3, 0] == [len(latencies.after(n)) for n in (0, 5, KEPT + 2, KEPT + 5)]
