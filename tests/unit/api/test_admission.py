"""Places for requests: handed on in order, never lost."""

import asyncio
import random

import pytest

from memdeck_daemon.api.http.admission import Admission
from memdeck_daemon.api.http.refusals import Overloaded


async def test_places_survive_every_way_of_leaving() -> None:
    """Answers, errors, cancellation while waiting and in the moment of being called: afterwards all places are free."""
    admission = Admission(3, patience=0.01)
    chance = random.Random(1)  # noqa: S311 - nothing secret
    most = inside = 0

    async def work(number: int) -> None:
        nonlocal most, inside
        async with admission:
            inside += 1
            most = max(most, inside)
            try:
                for _ in range(number % 4):
                    await asyncio.sleep(0)
                if number % 5 == 0:
                    raise KeyError
            finally:
                inside -= 1

    for _ in range(50):
        tasks = [asyncio.create_task(work(number)) for number in range(15)]
        await asyncio.sleep(0)
        for task in chance.sample(tasks, 5):
            task.cancel()
            if chance.random() < 0.5:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
    assert (3, 0, 0) == (most, inside, admission.queued)
    async with asyncio.timeout(1), admission, admission, admission:
        with pytest.raises(Overloaded):
            async with admission:
                pass


async def test_the_longest_waiting_is_next() -> None:
    admission, order = Admission(1), list[int]()

    async def work(number: int) -> None:
        async with admission:
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(5)))
    assert [0, 1, 2, 3, 4] == order
