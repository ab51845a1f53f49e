"""Nothing that was acknowledged is lost or doubled when the daemon and its database are killed: the short form of `make faults`."""

import pytest

from bench.faults.kills import KillLoop, Plan, Verdict

SEED = 7


async def verdict(**plan: object) -> Verdict:
    found = await KillLoop(Plan(seed=SEED, calm=(0.1, 0.4), **plan)).run()  # type: ignore[arg-type]
    # What was tried matters too: a loop in which nothing is written finds nothing.
    assert found.operations["add ok"] > 50
    return found


async def test_kills_lose_and_double_nothing() -> None:
    found = await verdict(daemon_kills=4, postgres_kills=4)
    assert found.clean, found.findings
    assert 0 == found.wrong_when_ready
    assert 4 == found.kills["daemon"]


@pytest.mark.parametrize(("protection", "fault"), [("commit", "lost"), ("idempotency", "doubled")])
async def test_without_a_protection_the_loop_finds_it(protection: str, fault: str) -> None:
    """The controls."""
    found = await verdict(daemon_kills=3, postgres_kills=0, unheard=1.0, settle=1.0, without=(protection,))
    assert found.figures[fault] > 0
