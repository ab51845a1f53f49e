"""Mergeable latency histograms: what percentiles are made of, on both sides of the wire.

Owns the bucket scale and the estimate of a percentile. Percentiles are never averaged or summed: counts are merged, and
the percentile is read from the merged counts.

Scale: bucket i holds durations in (edge(i-1), edge(i)] with edge(i) = 0.01 ms · 2^(i/8), so a percentile is off by at
most half a bucket, 4.4 %. Bucket 0 holds everything up to 0.01 ms, the last one everything above 160 s.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import accumulate

from msgspec import Struct

BASE_MS = 0.01
STEPS_PER_DOUBLING = 8
LAST_BUCKET = 192


def bucket_of(milliseconds: float) -> int:
    """The bucket of a duration."""
    if milliseconds <= BASE_MS:
        return 0
    return min(LAST_BUCKET, math.ceil(STEPS_PER_DOUBLING * math.log2(milliseconds / BASE_MS) - 1e-9))


def upper_edge_ms(bucket: int) -> float:
    """Upper edge of a bucket, in ms."""
    return float(BASE_MS * 2 ** (bucket / STEPS_PER_DOUBLING))


class Histogram(Struct, frozen=True):
    """Counts by bucket, ascending, without empty buckets; `[[57, 3], [58, 1]]` on the wire."""

    buckets: tuple[tuple[int, int], ...] = ()

    @property
    def count(self) -> int:
        """How many durations it holds."""
        return sum(count for _, count in self.buckets)


def from_counts(counts: Mapping[int, int]) -> Histogram:
    """A histogram of counts by bucket."""
    return Histogram(tuple(sorted((bucket, count) for bucket, count in counts.items() if count)))


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """All counts together."""
    total: dict[int, int] = {}
    for histogram in histograms:
        for bucket, count in histogram.buckets:
            total[bucket] = total.get(bucket, 0) + count
    return from_counts(total)


def percentile_ms(histogram: Histogram, share: float) -> float | None:
    """The duration below which `share` (0 to 1) of the calls stayed, in ms; None without calls.

    The middle, on the scale of the buckets, of the bucket that holds the rank: interpolating within it would be twice as
    far off where calls are few.
    """
    total = histogram.count
    if not total:
        return None
    rank = min(total, max(1, math.ceil(share * total - 1e-9)))
    seen = accumulate(count for _, count in histogram.buckets)
    bucket = next(b for (b, _), so_far in zip(histogram.buckets, seen, strict=True) if so_far >= rank)
    return upper_edge_ms(bucket) * float(2 ** (-0.5 / STEPS_PER_DOUBLING))


def share_over(histogram: Histogram, limit_ms: float) -> float:
    """The share of calls that took longer than `limit_ms`, 0 to 1; a bucket that straddles the limit counts as within."""
    total = histogram.count
    over = sum(c for bucket, c in histogram.buckets if bucket and upper_edge_ms(bucket - 1) >= limit_ms)
    return over / total if total else 0.0
