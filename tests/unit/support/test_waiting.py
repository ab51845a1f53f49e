"""Waiting for something to become true."""

import pytest

from tests.support.waiting import NeverHappenedError, eventually, eventually_sync


async def test_the_first_truthy_value_is_returned() -> None:
    """Of a function or a coroutine function."""
    values = iter([None, 0, "now"])

    async def probe() -> object:
        return next(values)

    assert "now" == await eventually(probe)
    assert "at once" == await eventually(lambda: "at once")


def test_a_failed_assertion_means_not_yet() -> None:
    """So that a probe can check several things."""
    values = iter([1, 2, 3])

    def probe() -> int:
        value = next(values)
        assert value > 2
        return value

    assert 3 == eventually_sync(probe)


async def test_what_never_happens_is_said_with_what_was_seen_last() -> None:
    """The message is all that is left of the wait."""
    with pytest.raises(NeverHappenedError, match="a memory; last seen: 0"):
        await eventually(lambda: 0, timeout=0, what="a memory")
    with pytest.raises(NeverHappenedError, match="a memory; last seen: 0"):
        eventually_sync(lambda: 0, timeout=0, what="a memory")


def test_other_errors_end_the_wait() -> None:
    """A probe that is wrong will not become right."""
    with pytest.raises(ZeroDivisionError):
        eventually_sync(lambda: 1 / 0)
