"""Nothing grows under a steady load: the short form of `make soak`, in which only a leak of its control's size would show."""

from bench.faults.soak import Bars, Plan, run

SHORT = Plan(seed=7, seconds=8.0, rate=100.0, every=1.0, bars=Bars(40_000.0, 10_000.0, 20_000.0))


async def test_a_steady_load_leaves_nothing() -> None:
    found = await run(SHORT)
    assert found.held, found
    assert found.requests > 300


async def test_a_daemon_that_leaks_is_found() -> None:
    """The control."""
    leaky = Plan(seed=7, seconds=8.0, rate=100.0, every=1.0, bars=SHORT.bars, without=("tidiness",))
    found = await run(leaky)
    assert not found.held, found
