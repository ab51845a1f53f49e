"""The owners that were searched last: in step with what is committed, within their bytes."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory.embedding.local import DIMENSIONS
from memdeck_daemon.memory.model import Identifier, Identifiers, Memory
from memdeck_daemon.memory.recall.block import INLINE_CHARACTERS, Line
from memdeck_daemon.memory.recall.hotset import KEPT, KEPT_TEXT, MOST_BYTES, MOST_ROWS, HotSet
from memdeck_daemon.memory.store.counters import Counter

OWNER = Identifier("user", "u")


def line(text: str = "text") -> Line:
    return Line(
        uuid.uuid4(), text, np.ones(DIMENSIONS, np.float32), datetime(2026, 1, 1, tzinfo=UTC), owner="user:u"
    )


def memory() -> Memory:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Memory(uuid.uuid4(), Identifiers(user="u"), "text", "0" * 32, {}, at, at)


class Shelf:
    """A database that holds one owner's memories and its generation; loading can be held up."""

    def __init__(self) -> None:
        self.generation, self.lines, self.loads = 1, [line()], 0
        self.open = asyncio.Event()
        self.open.set()

    async def fetchrow(self, _: str, *__: Any) -> dict[str, Any]:
        return {"memories": len(self.lines), "bytes": sum(len(one.text) for one in self.lines)}

    async def fetch(self, _: str, *arguments: Any) -> Sequence[Any]:
        self.loads += 1
        rows = [self._row(one) for one in self.lines[: arguments[-1]]]
        generation = self.generation
        await self.open.wait()
        return [{**row, "generation": generation} for row in rows]

    @staticmethod
    def _row(one: Line) -> dict[str, Any]:
        return {
            "id": one.id, "text": one.text, "embedding": one.vector, "created_at": one.created_at, "actor_id": one.actor,
            "run_id": one.run, "arrival": one.arrival, "expiration_date": one.expiration_date, "owner": one.owner,
            "user_id": "u", "agent_id": None, "app_id": None, "role": None, "hash": uuid.uuid4(), "metadata": {},
            "categories": [], "memory_type": None, "immutable": False, "updated_at": one.created_at,
        }  # fmt: skip

    @asynccontextmanager
    async def acquire(self, *, timeout: float | None = None) -> AsyncIterator["Shelf"]:  # noqa: ASYNC109, ARG002 - as the driver
        yield self


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def hot(shelf: Shelf) -> HotSet:
    return HotSet(Database(shelf, acquire_timeout=1), 100_000_000)


async def rows(hot: HotSet, owner: Identifier = OWNER) -> int:
    found = await hot.get(owner)
    assert found is not None
    return len(found.block)


async def test_an_owner_is_loaded_once(hot: HotSet, shelf: Shelf) -> None:
    """However many ask at the same moment; one that gives up does not take it from the others."""
    shelf.open.clear()
    asking = [asyncio.create_task(rows(hot)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    shelf.open.set()
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert [1, 1, 1, 1] == told[1:]
    assert 1 == await rows(hot)
    assert 1 == shelf.loads


async def test_all_that_a_small_owner_has_is_at_hand_from_the_first_search_on(shelf: Shelf) -> None:
    """Of a bigger one what searches have found: as much would be read for nothing. Long texts are read each time."""
    hot = HotSet(Database(shelf, acquire_timeout=1), 100_000_000, current=lambda _: (1, 1))
    shelf.lines = [line() for _ in range(KEPT)]
    block = await hot.get(OWNER)
    assert block is not None
    ids = [one.id for one in shelf.lines]
    assert set(ids) == (hot.kept(OWNER, block, ids) or {}).keys()
    for more in (line(), line("x" * (KEPT_TEXT + 1))):
        hot.discard("user:u")
        shelf.lines = [*shelf.lines[: KEPT - (len(more.text) > KEPT_TEXT)], more]
        block = await hot.get(OWNER)
        assert block is not None
        assert hot.kept(OWNER, block, [more.id]) is None


async def test_an_owner_with_too_much_has_no_block(hot: HotSet, shelf: Shelf) -> None:
    """Too many memories or too long ones: it is searched through the indexes, and not read for nothing each time."""
    for too_much in ([line()] * (MOST_ROWS + 1), [line("x" * (MOST_BYTES + 1))]):
        shelf.lines = too_much
        assert await hot.get(OWNER) is None
    assert (0, 0) == (hot.nbytes, shelf.loads)


async def test_an_addition_of_the_next_generation_is_appended(hot: HotSet, shelf: Shelf) -> None:
    """Any other generation means that somebody else wrote: the block is dropped."""
    await hot.get(OWNER)
    hot.added([Counter(OWNER, 2, 2)], {"user:u": [line()]})
    assert (2, 1) == (await rows(hot), shelf.loads)
    hot.added([Counter(OWNER, 9, 3)], {"user:u": [line()]})
    assert (1, 2) == (await rows(hot), shelf.loads)
    hot.added([Counter(Identifier("user", "other"), 1, 1)], {"user:other": [line()]})
    hot.changed([Counter(OWNER, 10, 3)])
    assert (1, 3) == (await rows(hot), shelf.loads)


async def test_a_long_addition_is_not_prepared_on_the_loop(hot: HotSet, shelf: Shelf) -> None:
    """The block is loaded again, in a thread, when somebody searches."""
    await hot.get(OWNER)
    long = line("word " * INLINE_CHARACTERS)
    hot.added([Counter(OWNER, 2, 2)], {"user:u": [long]})
    shelf.lines.append(long)
    assert (2, 2) == (await rows(hot), shelf.loads)


async def test_what_was_committed_while_loading_shows_in_the_generation(hot: HotSet, shelf: Shelf) -> None:
    """The block is of the instant at which it was read; a search that meets a later generation loads again."""
    shelf.open.clear()
    asking = asyncio.create_task(hot.get(OWNER))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    hot.added([Counter(OWNER, 2, 2)], {"user:u": [line()]})
    shelf.open.set()
    found = await asking
    assert found is not None
    assert 1 == found.generation
    assert not await hot.explained(OWNER, found, 2)
    assert await hot.explained(OWNER, found, 1)


async def test_a_block_that_was_loaded_since_does_not_speak_for_the_one_before(
    hot: HotSet, shelf: Shelf
) -> None:
    """What that one lacks may be another daemon's, committed before the search began."""
    used = await hot.get(OWNER)
    assert used is not None
    shelf.generation = 7
    fresh = await hot.newer(OWNER, used)
    assert fresh is not None
    assert (7, fresh) == (fresh.generation, await hot.newer(OWNER, used))
    assert not await hot.explained(OWNER, used, 7)
    assert await hot.explained(OWNER, fresh, 7)


async def test_a_search_waits_for_commits_under_way_and_for_no_others(hot: HotSet) -> None:
    """Or it would never end among steady writers, whose next commit begins before the last one has ended."""
    used = await hot.get(OWNER)
    assert used is not None
    first, second = hot.committing({"user:u", "user:v"}), hot.committing({"user:u"})
    await first.__aenter__()
    asking = asyncio.create_task(hot.explained(OWNER, used, 2))
    await asyncio.sleep(0)
    await second.__aenter__()
    hot.added([Counter(OWNER, 2, 2)], {"user:u": [line()]})
    assert not asking.done()
    await first.__aexit__(None, None, None)
    assert await asyncio.wait_for(asking, 1)
    await second.__aexit__(None, None, None)
    assert not await hot.explained(OWNER, used, 3)


async def test_a_commit_that_fails_keeps_nobody_waiting(hot: HotSet) -> None:
    """Its generation never comes."""
    used = await hot.get(OWNER)
    assert used is not None

    async def failing() -> None:
        async with hot.committing({"user:u"}):
            await asyncio.sleep(0)
            raise OSError

    task = asyncio.create_task(failing())
    await asyncio.sleep(0)
    assert not await asyncio.wait_for(hot.explained(OWNER, used, 2), 1)
    await asyncio.gather(task, return_exceptions=True)


async def test_the_least_recently_searched_goes_first(shelf: Shelf) -> None:
    """When the bytes are used up; the last one stays whatever its size."""
    probe = HotSet(Database(shelf, acquire_timeout=1), 0)
    await rows(probe, Identifier("user", "a"))
    one = probe.nbytes
    assert one > 0
    hot = HotSet(Database(shelf, acquire_timeout=1), 3 * one)
    for name in ("a", "b", "c", "a", "d", "a", "b"):
        await rows(hot, Identifier("user", name))
    assert 3 * one == hot.nbytes
    assert 1 + 5 == shelf.loads


async def test_whole_memories_are_kept_for_the_generation_alone_that_they_were_read_for(hot: HotSet) -> None:
    """And only where this process knows that nobody else wrote."""
    used = await hot.get(OWNER)
    assert used is not None
    one = memory()
    hot.keep(OWNER, used, [one])
    assert hot.kept(OWNER, used, [one.id]) is None
    hot.current = lambda _: (1, used.generation)
    assert {one.id: one} == hot.kept(OWNER, used, [one.id])
    assert hot.kept(OWNER, used, [one.id, uuid.uuid4()]) is None
    hot.current = lambda _: (1, used.generation + 1)
    assert hot.kept(OWNER, used, [one.id]) is None


async def test_kept_memories_count_and_go_with_their_block(hot: HotSet) -> None:
    """The bound in bytes would drift otherwise."""
    used = await hot.get(OWNER)
    assert used is not None
    before = hot.nbytes
    hot.keep(OWNER, used, [memory() for _ in range(2 * KEPT)])
    assert KEPT == len(used.memories)
    assert before < hot.nbytes
    hot.discard(str(OWNER))
    assert 0 == hot.nbytes
