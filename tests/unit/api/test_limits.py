"""Rate limits: an hour's requests at once or spread, never more."""

from hypothesis import given
from hypothesis import strategies as st

from memdeck_daemon.api.access.limits import HOUR, Limiter


def _spent(limiter: Limiter, at: float, limit: int = 10, key: str = "k") -> bool:
    return limiter.spend(key, limit, at, 0.0).retry_after == 0


def test_an_hours_requests_may_come_at_once() -> None:
    """The next one is told when there is one more."""
    limiter = Limiter()
    assert [True] * 10 == [_spent(limiter, 0.0) for _ in range(10)]

    refused = limiter.spend("k", 10, 0.0, 1000.0)
    assert (10, 0, 360, 1000 + 3600) == (
        refused.limit, refused.remaining, refused.retry_after, refused.reset_at,
    )  # fmt: skip


def test_waiting_as_told_is_enough() -> None:
    """Retry-After is rounded up to whole seconds."""
    limiter = Limiter()
    told = [limiter.spend("k", 7, 0.0, 0.0).retry_after for _ in range(8)]
    assert 0 < told[-1]
    assert _spent(limiter, float(told[-1]), limit=7)


def test_keys_do_not_share_a_bucket() -> None:
    """One key's flood leaves the others alone."""
    limiter = Limiter()
    while _spent(limiter, 0.0):
        pass
    assert _spent(limiter, 0.0, key="other")


def test_a_changed_limit_counts_at_once() -> None:
    """A key that got more need not wait."""
    limiter = Limiter()
    while _spent(limiter, 0.0):
        pass
    assert _spent(limiter, 0.0, limit=20)


@given(st.integers(1, 50), st.lists(st.floats(0, 600), max_size=200))
def test_no_hour_holds_more_than_twice_the_limit(limit: int, pauses: list[float]) -> None:
    """A full bucket and an hour's refill: that is the most that any hour can see."""
    limiter, now, served = Limiter(), 0.0, []
    for pause in pauses:
        now += pause
        if limiter.spend("k", limit, now, now).retry_after == 0:
            served.append(now)
    for begin in served:
        assert sum(begin <= at < begin + HOUR for at in served) <= 2 * limit


def test_full_buckets_are_forgotten() -> None:
    """A million keys that came once do not stay in memory."""
    limiter = Limiter()
    for number in range(10_001):
        limiter.spend(str(number), 1000, float(number), 0.0)
    assert len(limiter._buckets) < 1_000
