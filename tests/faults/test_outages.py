"""What the daemon depends on goes away: the short form of `make faults`."""

from bench.faults import outages
from bench.faults.outages import RIGHT, Plan, Verdict


def right(found: Verdict) -> bool:
    """Whether answers were right or declared, in time."""
    assert found.requests >= 8
    return found.share >= RIGHT and found.slowest_ms <= found.deadline_ms


async def test_answers_stay_right_or_declared() -> None:
    """And the way back from an outage of the database is short."""
    sets = (("postgres",), ("redis",), ("embedder",), ("postgres", "redis"))
    plan = Plan(
        seed=7,
        sets=sets,
        faults=("refuse",),
        seconds=2.0,
        recover=False,
        parts=("postgres", "redis", "embedder"),
    )
    for found in await outages.run(plan):
        assert right(found), found


async def test_a_database_that_hangs_is_declared_and_comes_back() -> None:
    plan = Plan(seed=7, sets=(("postgres",),), faults=("hang",), seconds=3.0, parts=("postgres",))
    (found,) = await outages.run(plan)
    assert right(found), found
    assert found.recovery_seconds is not None
    assert found.recovery_seconds <= found.recovery_bar


async def test_without_protections_answers_are_wrong() -> None:
    """The control: nothing is kept or spooled."""
    (found,) = await outages.run(outages.control(7))
    assert not right(found), found
