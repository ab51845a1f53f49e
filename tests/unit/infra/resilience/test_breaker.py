"""When a breaker opens, whom it lets through, and how it closes."""

import asyncio
import itertools
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memdeck_common.errors import BadRequest
from memdeck_daemon.infra.resilience.breaker import LONGEST, Breaker, BreakerOpen, Policy
from memdeck_daemon.infra.resilience.policies import NEO4J, OPENAI_API, POSTGRESQL
from tests.fakes.clock import ManualClock

Call = Literal["ok", "fail", "slow", "cancelled", "mistake"]
POLICY = Policy(consecutive=5, open_seconds=30.0, half_open=3, slow_seconds=1.0, window=30.0, minimum=20)


def breaker_of(clock: ManualClock, policy: Policy = POLICY, chance: float = 0.0) -> Breaker:
    return Breaker("store", policy, (OSError,), clock, lambda: chance)


def call(breaker: Breaker, clock: ManualClock, what: Call) -> bool:
    """Make one call; whether it was let through."""
    raised = {"fail": ConnectionError, "cancelled": asyncio.CancelledError, "mistake": BadRequest}
    try:
        with breaker.call():
            if what == "slow":
                clock.advance(breaker.policy.slow_seconds + 0.1)
            if what in raised:
                raise raised[what]  # noqa: TRY301 - that is the call
    except BreakerOpen:
        return False
    except BaseException as error:  # noqa: BLE001 - a cancellation too
        assert isinstance(error, raised[what])  # noqa: PT017 - what is raised passes unchanged
    return True


def trip(breaker: Breaker, clock: ManualClock) -> None:
    while breaker.state != "open":
        call(breaker, clock, "fail")


@pytest.mark.parametrize(
    ("policy", "failures", "seconds", "trials"),
    [(POSTGRESQL, 5, 30, 3), (NEO4J, 3, 45, 1), (OPENAI_API, 10, 60, 1)],
)
def test_numbers_of_the_contract(policy: Policy, failures: int, seconds: float, trials: int) -> None:
    """Failures in a row, the first open period, trials."""
    clock = ManualClock()
    breaker = breaker_of(clock, policy)
    for _ in range(failures - 1):
        call(breaker, clock, "fail")
    assert breaker.closed
    call(breaker, clock, "fail")
    assert "open" == str(breaker.state)
    assert pytest.approx(seconds) == breaker.retry_after
    clock.advance(seconds)
    held = [breaker.call() for _ in range(trials + 1)]
    for permit in held[:-1]:
        permit.__enter__()
    with pytest.raises(BreakerOpen):
        held[-1].__enter__()
    assert ("half-open", 1) == (breaker.state, breaker.counts.refused)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (["fail"] * 4 + ["ok"] + ["fail"] * 4, "closed"),  # never five in a row, too few for a rate
        (["fail"] * 4 + ["mistake", "cancelled"] + ["fail"], "open"),  # neutral ones do not end the row
        (["mistake", "cancelled"] * 50, "closed"),
        (["ok", "fail"] * 9 + ["ok"], "closed"),  # 19 calls say nothing
        (["ok", "fail"] * 10, "open"),  # 20 calls, half of them failed
        (["ok", "ok", "fail"] * 20, "closed"),  # a third
        (["ok"] * 4 + ["slow"] * 16, "open"),
        (["ok"] * 6 + ["slow"] * 14, "closed"),
    ],
)
def test_what_opens_it(calls: list[Call], expected: str) -> None:
    """Failures in a row, or a rate over enough calls."""
    clock = ManualClock()
    breaker = breaker_of(
        clock, Policy(consecutive=5, open_seconds=30, half_open=3, slow_seconds=1, window=300)
    )
    for what in calls:
        call(breaker, clock, what)
    assert expected == breaker.state


def test_what_is_older_than_the_window_is_forgotten() -> None:
    """Bucket by bucket."""
    clock = ManualClock()
    breaker = breaker_of(clock)
    for _ in range(9):
        call(breaker, clock, "ok")
        call(breaker, clock, "fail")
    clock.advance(31)
    call(breaker, clock, "ok")
    call(breaker, clock, "fail")
    assert breaker.closed


def test_one_good_trial_closes_it_and_one_bad_one_opens_it_for_longer() -> None:
    """Up to twice the first period, whatever the jitter."""
    clock = ManualClock()
    breaker = breaker_of(clock, chance=0.999)
    trip(breaker, clock)
    periods = []
    for _ in range(8):
        periods.append(breaker.retry_after)
        assert not call(breaker, clock, "ok")
        clock.advance(breaker.retry_after)
        assert call(breaker, clock, "fail")
    assert periods == sorted(periods)
    assert periods[0] > 30
    assert LONGEST * 30 == periods[-1]
    clock.advance(breaker.retry_after)
    assert call(breaker, clock, "ok")
    assert breaker.closed
    clock.advance(31)
    trip(breaker, clock)
    assert breaker.retry_after < 34


def test_a_trial_that_is_given_up_frees_its_place() -> None:
    """A caller who leaves says nothing of the dependency."""
    clock = ManualClock()
    breaker = breaker_of(clock, Policy(consecutive=1, open_seconds=1, half_open=1, slow_seconds=1))
    trip(breaker, clock)
    clock.advance(1)
    for what in ("cancelled", "mistake"):
        assert call(breaker, clock, what)
        assert "half-open" == breaker.state
    assert call(breaker, clock, "slow")
    assert "open" == breaker.state


def test_results_of_calls_from_before_a_transition_count_for_nothing() -> None:
    """They come in for as long as the longest timeout."""
    clock = ManualClock()
    breaker = breaker_of(clock)
    late = [breaker.call() for _ in range(2)]
    for permit in late:
        permit.__enter__()
    trip(breaker, clock)
    late[0].__exit__(None, None, None)
    assert "open" == breaker.state
    clock.advance(30)
    assert call(breaker, clock, "ok")
    late[1].__exit__(ConnectionError, ConnectionError(), None)
    assert (True, 0) == (breaker.closed, breaker.failures_in_a_row)


def test_a_probe_is_never_refused_and_closes_it_at_once() -> None:
    """Its failure is one like any other while the breaker is closed, and nothing afterwards."""
    clock = ManualClock()
    breaker = breaker_of(clock)
    for _ in range(7):
        with pytest.raises(ConnectionError), breaker.probe():
            raise ConnectionError
    assert ("open", 1, 30) == (breaker.state, breaker.counts.transitions["open"], breaker.retry_after)
    with breaker.probe():
        pass
    assert (True, "") == (breaker.closed, breaker.reason)


def test_it_may_be_opened_for_as_long_as_was_asked() -> None:
    """A dependency that says when to come back is believed."""
    clock = ManualClock()
    breaker = breaker_of(clock)
    breaker.open("rate limited", 7.0)
    assert ("open", "rate limited", 7.0) == (breaker.state, breaker.reason, breaker.retry_after)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["ok", "fail", "slow", "cancelled", "mistake", "probe"]), st.floats(0, 40)),
        max_size=60,
    )
)
def test_whatever_happens_it_heals(steps: list[tuple[str, float]]) -> None:
    """Open for at most twice the period, and one good call later closed. Every transition is told once."""
    clock, told = ManualClock(), list[str]()
    breaker = breaker_of(clock, chance=0.5)
    breaker.listen = lambda it: told.append(it.state)
    for what, pause in steps:
        if what == "probe":
            with breaker.probe():
                pass
        else:
            call(breaker, clock, what)  # type: ignore[arg-type]  # drawn from its words
        assert breaker.retry_after <= LONGEST * POLICY.open_seconds
        clock.advance(pause)
    clock.advance(breaker.retry_after)
    assert call(breaker, clock, "ok")
    assert breaker.closed
    assert sum(breaker.counts.transitions.values()) == len(told)
    assert all(one != other for one, other in itertools.pairwise(told))
