"""Answers of one moment are hydrated by one statement, and nobody suffers from another's failure."""

import asyncio
import uuid
from typing import Any

import pytest

from memdeck_common.errors import StoreUnavailable
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.memory.recall.hydration import Hydration, Memories, Places

ONE, TWO, THREE = (("user:a", uuid.UUID(int=number)) for number in (1, 2, 3))


class Store:
    """Reads what it is asked for; the first `broken` statements fail."""

    def __init__(self, broken: int = 0, unreadable: Any = None) -> None:
        self.statements: list[list[Any]] = []
        self.broken, self.unreadable = broken, unreadable
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def read(self, places: Places) -> Memories:
        """Each memory is its own id here."""
        self.statements.append(list(places))
        self.asked.set()
        await self.gate.wait()
        if len(self.statements) <= self.broken:
            raise StoreUnavailable
        if self.unreadable in places:
            raise ValueError("a row that nobody can read")
        found: dict[uuid.UUID, Any] = {memory_id: memory_id for _, memory_id in places}
        return found


async def test_those_that_come_together_are_read_together() -> None:
    store = Store()
    hydration = Hydration(store.read)
    found = await asyncio.gather(*(hydration.memories([one]) for one in (ONE, TWO, THREE)))
    assert [[ONE, TWO, THREE]] == store.statements
    assert all(place[1] in one for place, one in zip((ONE, TWO, THREE), found, strict=True))


async def test_nobody_joins_a_statement_that_was_sent() -> None:
    """What was committed since would be missing in its answer."""
    store = Store()
    hydration = Hydration(store.read)
    store.gate.clear()
    first = asyncio.create_task(hydration.memories([ONE]))
    await store.asked.wait()
    store.asked.clear()
    second = asyncio.create_task(hydration.memories([TWO]))
    await store.asked.wait()
    store.gate.set()
    await asyncio.gather(first, second)
    assert [[ONE], [TWO]] == store.statements


async def test_the_others_read_for_themselves_where_the_first_one_fails() -> None:
    store = Store(broken=1)
    hydration = Hydration(store.read)
    first, second, third = await asyncio.gather(
        *(hydration.memories([one]) for one in (ONE, TWO, THREE)), return_exceptions=True
    )
    assert isinstance(first, StoreUnavailable)
    assert not isinstance(second, BaseException)
    assert not isinstance(third, BaseException)
    assert [[ONE, TWO, THREE], [TWO], [THREE]] == store.statements


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_the_others_read_for_themselves_where_the_first_one_gives_up(turns: int) -> None:
    """Before its turn, while others join, and while it reads."""
    store = Store()
    hydration = Hydration(store.read)
    store.gate.clear()
    first = asyncio.create_task(hydration.memories([ONE]))
    second = asyncio.create_task(hydration.memories([TWO]))
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    store.gate.set()
    assert TWO[1] in await second
    assert TWO[1] in await hydration.memories([TWO])


@pytest.mark.parametrize("order", [(ONE, TWO, THREE), (TWO, ONE, THREE)])
async def test_a_memory_that_cannot_be_read_is_a_failure_of_its_own_search(order: tuple[Any, ...]) -> None:
    """Whether it reads for the others or another one for it."""
    hydration = Hydration(Store(unreadable=TWO).read)
    found = await asyncio.gather(*(hydration.memories([one]) for one in order), return_exceptions=True)
    assert [one == TWO for one in order] == [isinstance(one, ValueError) for one in found]


async def test_nobody_waits_for_the_first_one_beyond_its_own_deadline() -> None:
    store = Store()
    hydration = Hydration(store.read)
    store.gate.clear()
    first = asyncio.create_task(hydration.memories([ONE]))
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable), deadline.within(0.01):
        await hydration.memories([TWO])
    store.gate.set()
    assert ONE[1] in await first
