"""So many at once, so many who wait."""

import asyncio

import pytest

from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.infra.resilience.bulkhead import Bulkhead, Overloaded
from tests.support.waiting import eventually


async def occupy(bulkhead: Bulkhead, until: asyncio.Event) -> None:
    async with bulkhead:
        await until.wait()


async def test_the_bound_holds_and_the_rest_is_told_at_once() -> None:
    """Those who wait come in when there is room."""
    bulkhead, until = Bulkhead("store", calls=2, queue=1, patience=5), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(occupy(bulkhead, until))
        await eventually(lambda: bulkhead.waiting == 1)
        with pytest.raises(Overloaded):
            await occupy(bulkhead, until)
        until.set()
    assert (0, 1) == (bulkhead.waiting, bulkhead.shed)
    await occupy(bulkhead, until)


@pytest.mark.parametrize(("patience", "seconds"), [(0.01, 30), (30, 0.01)])
async def test_nobody_waits_longer_than_patience_or_deadline(patience: float, seconds: float) -> None:
    """Whichever is shorter."""
    bulkhead, until = Bulkhead("store", calls=1, queue=1, patience=patience), asyncio.Event()
    task = asyncio.create_task(occupy(bulkhead, until))
    await asyncio.wait({task}, timeout=0)
    with deadline.within(seconds), pytest.raises(Overloaded):
        await occupy(bulkhead, until)
    until.set()
    await task


async def test_a_call_that_fails_or_is_given_up_frees_its_place() -> None:
    """Those who wait as well."""
    bulkhead, until = Bulkhead("store", calls=1, queue=2, patience=5), asyncio.Event()
    tasks = [asyncio.create_task(occupy(bulkhead, until)) for _ in range(3)]
    await eventually(lambda: bulkhead.waiting == 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(KeyError):
        async with bulkhead:
            raise KeyError
    until.set()
    await occupy(bulkhead, until)
    assert 0 == bulkhead.waiting
