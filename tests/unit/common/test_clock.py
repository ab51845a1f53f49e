"""Ids that grow."""

from datetime import UTC, datetime, timedelta

from memdeck_common.clock import SystemClock, SystemIdentity
from tests.fakes.clock import ManualClock


def test_ids_grow_within_a_millisecond() -> None:
    """Ten thousand at one instant are all different and in order, and are UUIDs of version 7."""
    identity = SystemIdentity(ManualClock())
    made = [identity.uuid() for _ in range(10_000)]
    assert sorted(set(made)) == made
    assert {(7, "specified in RFC 4122")} == {(one.version, one.variant) for one in made}


def test_ids_begin_with_the_time() -> None:
    """48 bits of milliseconds: two instants are in order whatever is random."""
    clock = ManualClock(datetime(2026, 11, 20, 9, 30, tzinfo=UTC))
    identity = SystemIdentity(clock)
    first = identity.uuid()
    assert int(clock.now().timestamp() * 1000) == first.int >> 80
    clock.advance(0.001)
    second = identity.uuid()
    assert (first.int >> 80) + 1 == second.int >> 80


def test_a_clock_that_goes_back_does_not_turn_the_order() -> None:
    """A correction of the system's time happens on every machine."""
    clock = ManualClock()
    identity = SystemIdentity(clock)
    made = [identity.uuid()]
    clock.advance(-3600)
    made += [identity.uuid() for _ in range(100)]
    assert sorted(set(made)) == made


def test_the_systems_clock_is_aware() -> None:
    """In UTC."""
    assert timedelta(0) == SystemClock().now().utcoffset()
    assert SystemClock().monotonic() <= SystemClock().monotonic()


def test_tokens_are_of_their_size() -> None:
    """And not the same twice."""
    identity = SystemIdentity(SystemClock())
    assert 43 == len(identity.token(32))
    assert identity.token(32) != identity.token(32)
