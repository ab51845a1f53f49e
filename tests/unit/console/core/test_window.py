"""Five minutes of calls: running totals equal what a merge of everything would give."""

import random
from collections.abc import Sequence

import pytest

from memdeck_common.wire.feed import Slot
from memdeck_common.wire.latency import bucket_of, from_counts, merged, percentile_ms
from memdeck_console.core.window import Window, columns, crests


def slot(at: int, values: Sequence[float], *, errors: int = 0, name: str = "search") -> Slot:
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    return Slot(
        at=at, ops={name: from_counts(counts)} if values else {}, errors={name: errors} if errors else {}
    )


def test_running_totals_equal_a_merge_of_what_is_kept() -> None:
    """Percentiles come from merged counts, after slots were added, replaced and dropped."""
    chance = random.Random(3)  # noqa: S311 - seeded, so that a failure can be looked at
    window = Window()
    for at in range(400):
        window.add([slot(at, [chance.uniform(1, 200) for _ in range(chance.randint(0, 5))])])
        window.forget_before(at - 299)
    kept = merged(one.ops["search"] for one in window.slots() if "search" in one.ops)
    found = window.operation("search", 100, 399)
    assert (kept.count, percentile_ms(kept, 0.99)) == (found.calls, found.p99)


def test_a_second_that_is_told_twice_counts_once() -> None:
    """A resumed stream may repeat the second in which it broke."""
    window = Window()
    window.add([slot(5, [10, 10])])
    window.add([slot(5, [10, 10, 10])])
    assert 3 == window.operation("search", 100, 5).calls


def test_now_is_the_last_five_seconds() -> None:
    window = Window()
    window.add([slot(1, [10] * 50), slot(9, [80, 80, 80])])
    assert 80 == pytest.approx(window.operation("search", 100, 10).now, rel=0.05)
    assert window.operation("search", 100, 20).now is None


def test_burn_is_the_share_over_the_objective_by_the_share_that_is_allowed() -> None:
    """2 of 100 calls are over, 1 may be."""
    window = Window()
    window.add([slot(1, [10] * 98 + [250, 250])])
    assert 2.0 == pytest.approx(window.operation("search", 100, 1).burn)


def test_an_operation_without_calls_has_no_figures() -> None:
    found = Window().operation("add", 200, 10)
    assert (None, None, None, 0, False) == (found.p99, found.burn, found.now, found.calls, found.over)


@pytest.mark.parametrize(("calls", "over"), [(19, False), (20, True)])
def test_a_broken_objective_needs_calls_enough_to_say_so(calls: int, over: bool) -> None:
    window = Window()
    window.add([slot(1, [250.0] * calls)])
    assert over is window.operation("search", 100, 1).over


def test_failed_calls_are_counted_and_forgotten() -> None:
    window = Window()
    window.add([slot(1, [10], errors=2), slot(200, [10], errors=1)])
    window.forget_before(100)
    assert 1 == window.operation("search", 100, 200).errors


def test_columns_are_empty_where_there_were_no_calls() -> None:
    slots = [slot(0, [10] * 9), slot(20, [40] * 9)]
    found = columns(slots, "search", 0, 30, 3)
    assert [True, False, True] == [column is not None for column in found]


def test_crests_rise_with_the_slowest_calls() -> None:
    slots = [slot(0, [10] * 9), slot(20, [40] * 9)]
    low, none, high = crests(slots, "search", 0, 30, 3)
    assert none is None
    assert low is not None
    assert high is not None
    assert 4 == pytest.approx(high / low, rel=0.1)
