"""Histograms of latencies: percentiles within 4.5 %, merged without loss."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdeck_common.wire.latency import (
    BASE_MS,
    LAST_BUCKET,
    Histogram,
    bucket_of,
    from_counts,
    merged,
    percentile_ms,
    share_over,
    upper_edge_ms,
)

WITHIN = 1.045
durations = st.lists(st.floats(BASE_MS * 1.0001, 150_000), min_size=1, max_size=60)
shares = st.floats(0, 1)


def histogram_of(values: list[float]) -> Histogram:
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    return from_counts(counts)


def nearest_rank(values: list[float], share: float) -> float:
    """The definition: the smallest value that `share` of the values do not exceed."""
    return sorted(values)[max(1, math.ceil(share * len(values) - 1e-9)) - 1]


@given(durations, shares)
def test_a_percentile_is_off_by_less_than_half_a_bucket(values: list[float], share: float) -> None:
    """For few values and many, at any rank."""
    found = percentile_ms(histogram_of(values), share)
    assert found is not None
    assert 1 / WITHIN <= found / nearest_rank(values, share) <= WITHIN


@given(st.lists(durations, max_size=5), shares)
def test_merging_is_counting_together(parts: list[list[float]], share: float) -> None:
    """Whatever was counted where: the percentile of the whole comes from the merged counts."""
    together = [value for part in parts for value in part]
    found = merged(histogram_of(part) for part in parts)
    assert histogram_of(together) == found
    assert percentile_ms(histogram_of(together), share) == percentile_ms(found, share)
    assert len(together) == found.count


@given(st.floats(0, 1e9))
def test_each_duration_has_a_bucket_that_holds_it(value: float) -> None:
    """The first one holds all that is shorter, the last one all that is longer."""
    bucket = bucket_of(value)
    assert 0 <= bucket <= LAST_BUCKET
    if 0 < bucket < LAST_BUCKET:
        assert upper_edge_ms(bucket - 1) * (1 - 1e-9) <= value <= upper_edge_ms(bucket) * (1 + 1e-9)


@pytest.mark.parametrize("bucket", [0, 1, 8, 57, LAST_BUCKET])
def test_an_edge_belongs_to_the_bucket_below_it(bucket: int) -> None:
    """In spite of rounding."""
    assert bucket == bucket_of(upper_edge_ms(bucket))


def test_nothing_has_no_percentile() -> None:
    """And no share above a limit."""
    assert percentile_ms(Histogram(), 0.5) is None
    assert 0.0 == share_over(Histogram(), 100)


def test_the_share_over_a_limit_counts_what_is_surely_longer() -> None:
    """A bucket that straddles the limit counts as within."""
    found = histogram_of([1.0] * 90 + [1000.0] * 10)
    assert 0.1 == share_over(found, 100)
    assert 0.0 == share_over(found, 1000)
    assert 1.0 == share_over(found, 0.01)


def test_a_histogram_is_pairs_on_the_wire() -> None:
    """Ascending, without empty buckets."""
    found = from_counts({58: 1, 57: 3, 60: 0})
    assert b'{"buckets":[[57,3],[58,1]]}' == msgspec.json.encode(found)
    assert found == msgspec.json.decode(msgspec.json.encode(found), type=Histogram)
