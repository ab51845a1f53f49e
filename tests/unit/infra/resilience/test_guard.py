"""Breaker and bulkhead together."""

import pytest

from memdeck_daemon.infra.resilience.breaker import BreakerOpen, Policy
from memdeck_daemon.infra.resilience.bulkhead import Overloaded
from memdeck_daemon.infra.resilience.guard import Guard, Room
from tests.fakes.clock import ManualClock

POLICY = Policy(consecutive=2, open_seconds=10, half_open=1, slow_seconds=1)


def guard_of(clock: ManualClock, calls: int = 2, queue: int = 0) -> Guard:
    return Guard(
        "store", POLICY, (OSError,), clock, Room(calls=calls, queue=queue, patience=1), chance=lambda: 0.0
    )


async def fail(guard: Guard) -> None:
    with pytest.raises(ConnectionError):
        async with guard.call():
            raise ConnectionError


async def test_each_transition_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """With the dependency and the reason, never a message."""
    caplog.set_level("INFO")
    clock, told = ManualClock(), list[str]()
    guard = guard_of(clock)
    guard.tell = lambda breaker: told.append(breaker.state)
    await fail(guard)
    await fail(guard)
    clock.advance(10)
    async with guard.call():
        pass
    assert ["open", "half-open", "closed"] == told
    said = [record.getMessage() for record in caplog.records]
    assert [
        "store is left alone for 10.0 s: ConnectionError",
        "store is tried",
        "store is used again",
    ] == said


async def test_a_refused_call_keeps_no_place() -> None:
    """Neither one that the breaker refuses at the door, nor one beside a trial."""
    clock = ManualClock()
    guard = guard_of(clock)
    await fail(guard)
    await fail(guard)
    for _ in range(5):
        with pytest.raises(BreakerOpen):
            async with guard.call():
                pytest.fail("let in")
    clock.advance(10)
    async with guard.call():
        for _ in range(5):
            with pytest.raises(BreakerOpen):
                async with guard.call():
                    pytest.fail("let in beside the trial")
    async with guard.call(), guard.call():
        pass


async def test_a_crowd_says_nothing_of_the_dependency() -> None:
    """Who finds no room is no failure and no trial."""
    guard = guard_of(ManualClock(), calls=1)
    async with guard.call():
        with pytest.raises(Overloaded):
            async with guard.call():
                pytest.fail("let in")
    assert (1, 0, 1) == (guard.breaker.counts.succeeded, guard.breaker.counts.failed, guard.bulkhead.shed)
