"""The first tier: its bound, its order and its deadlines."""

import os
import tracemalloc

import hypothesis
import pytest
from hypothesis import strategies as st

from memdeck_daemon.infra.caching.l1 import L1, OVERHEAD
from tests.fakes.clock import ManualClock

LIMIT = 256 * 1024
TTL = 300.0


def l1(clock: ManualClock | None = None, limit: int = LIMIT) -> L1[int]:
    return L1(limit, TTL, clock or ManualClock())


@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, LIMIT // 4), st.booleans()), max_size=200)
)
def test_the_bound_holds_whatever_is_put(steps: list[tuple[int, int, bool]]) -> None:
    """Random sizes, the same keys again and again, and removals; what is counted is what is there."""
    cache = l1()
    kept: dict[bytes, bytes] = {}
    for number, size, put in steps:
        key = number.to_bytes(16, "big")
        if put:
            cache.put(key, 1, kept.setdefault(key, bytes(size)))
        else:
            cache.discard(key)
        assert cache.nbytes <= LIMIT
    there = [found for key in kept if (found := cache.get(key, 1)) is not None]
    assert sum(map(len, there)) + len(there) * (16 + OVERHEAD) == cache.nbytes
    assert len(there) == len(cache)


@pytest.mark.parametrize("largest", [0, 64, 4_096, 20_000])
def test_memory_stays_within_five_percent_of_the_bound(largest: int) -> None:
    """As the allocator sees it, while entries come and go, tiny and large ones."""
    limit = 2 * 1024 * 1024
    cache = l1(limit=limit)
    tracemalloc.start()
    try:
        before, most = tracemalloc.get_traced_memory()[0], 0
        for number in range(12_000):
            size = int.from_bytes(os.urandom(2), "big") % (largest + 1)
            cache.put(os.urandom(16), number, bytes(size))
            if number % 50 == 0:
                most = max(most, tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    assert most <= limit * 1.05
    assert len(cache) < 12_000


def test_the_least_recently_used_goes_first() -> None:
    """A look counts as use."""
    cache = l1(limit=10 * (OVERHEAD + 1_001))
    for number in range(10):
        cache.put(bytes([number]), 1, bytes(1_000))
    assert cache.get(b"\x00", 1) is not None
    cache.put(b"new", 1, bytes(990))
    assert cache.get(b"\x01", 1) is None
    assert cache.get(b"\x00", 1) is not None


def test_a_value_is_kept_for_five_minutes() -> None:
    """Not a moment longer, however often it is used."""
    clock = ManualClock()
    cache = l1(clock)
    cache.put(b"key", 1, b"value")
    clock.advance(TTL - 1)
    assert cache.get(b"key", 1) == b"value"
    clock.advance(1)
    assert cache.get(b"key", 1) is None
    assert cache.nbytes == 0


def test_another_stamp_is_another_value() -> None:
    """And what has been outdated makes room."""
    cache = l1()
    cache.put(b"key", 1, b"old")
    assert cache.get(b"key", 2) is None
    assert len(cache) == 0


def test_one_value_cannot_drive_out_all_others() -> None:
    """An eighth of the room is the most that it gets, and a bound of 0 keeps nothing."""
    cache = l1()
    cache.put(b"small", 1, b"value")
    cache.put(b"large", 1, bytes(LIMIT // 8))
    assert cache.get(b"large", 1) is None
    assert cache.get(b"small", 1) == b"value"
    nothing = l1(limit=0)
    nothing.put(b"key", 1, b"")
    assert len(nothing) == 0
