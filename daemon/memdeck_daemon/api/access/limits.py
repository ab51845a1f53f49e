"""Rate limits: a token bucket per key, in requests per hour.

Owns the arithmetic and the buckets' memory. A bucket holds an hour's requests and refills evenly, so that a burst is
served and the hourly sum is kept. Time is handed in; nothing here sleeps.
"""

import math
from dataclasses import dataclass
from typing import Final

HOUR: Final = 3600.0
_BUCKETS: Final = 10_000
"""Full buckets are forgotten above this number: a full bucket and a new one are the same."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key has left, for the headers."""

    limit: int
    remaining: int
    reset_at: int
    """Epoch second at which all of the limit is available again."""
    retry_after: int = 0
    """Seconds until the next request is allowed; 0: this one was."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    limit: int


class Limiter:
    """The buckets of all keys of this daemon."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}

    def spend(self, key: str, limit: int, monotonic: float, epoch: float) -> Allowance:
        """Take one request from the key's bucket, if there is one.

        `limit` is requests per hour (> 0), `monotonic` and `epoch` the two clocks' seconds now.
        """
        bucket = self._buckets.get(key)
        if bucket is None or bucket.limit != limit:
            self._forget_full(monotonic)
            bucket = self._buckets[key] = _Bucket(float(limit), monotonic, limit)
        per_second = limit / HOUR
        bucket.tokens = min(float(limit), bucket.tokens + (monotonic - bucket.at) * per_second)
        bucket.at = monotonic
        retry_after = 0
        if bucket.tokens >= 1.0:
            bucket.tokens -= 1.0
        else:
            retry_after = max(1, math.ceil((1.0 - bucket.tokens) / per_second))
        reset_at = math.ceil(epoch + (limit - bucket.tokens) / per_second)
        return Allowance(limit, int(bucket.tokens), reset_at, retry_after)

    def _forget_full(self, monotonic: float) -> None:
        if len(self._buckets) < _BUCKETS:
            return
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if bucket.tokens + (monotonic - bucket.at) * bucket.limit / HOUR < bucket.limit
        }
