"""Crowds do not harm the others: the short form of `make faults`, with a wider bar because it is short."""

from bench.faults.crowds import LAG_MS, Plan, Verdict, hanging_embedder, stalled_bodies

WIDER = 3.0
"""Times of the normal p99."""
PLAN = Plan(seed=7, rounds=3, seconds=1.0)


def unharmed(found: Verdict) -> bool:
    """Whether all were answered, nearly as fast as without the crowd."""
    assert found.requests > 100
    return found.errors == 0 and found.ratio < WIDER


async def test_stalled_bodies_harm_nobody() -> None:
    found = await stalled_bodies(PLAN)
    assert unharmed(found), found
    # Where others have the processors, it is they who are measured.
    assert found.lag_p99_ms < WIDER * LAG_MS / 2 or found.disturbed > 0.1


async def test_a_hanging_embedder_harms_nobody_else() -> None:
    found = await hanging_embedder(PLAN)
    assert unharmed(found), found


async def test_where_places_are_taken_before_the_body_is_there_the_crowd_shuts_others_out() -> None:
    """The control."""
    plan = Plan(seed=7, rounds=1, seconds=1.0, without=("places",))
    assert not unharmed(await stalled_bodies(plan))


async def test_where_searches_take_all_places_others_wait() -> None:
    """The control: as many places as searches that hang."""
    plan = Plan(seed=7, rounds=1, seconds=1.0, settings=(("MEMDECK_MAX_CONCURRENT", "45"),))
    assert not unharmed(await hanging_embedder(plan))


async def test_something_that_holds_the_event_loop_shows() -> None:
    """The control of its lateness."""
    found = await stalled_bodies(Plan(seed=7, rounds=1, seconds=1.0, crowd=10, without=("quiet",)))
    assert found.lag_p99_ms > WIDER * LAG_MS / 2
