"""Changing, deleting, and bringing back."""

import asyncio
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from memdeck_common.clock import Clock
from memdeck_common.errors import Conflict, EventNotFound, Forbidden, MemoryNotFound, UndoExpired
from memdeck_common.settings import Memory as MemorySettings
from memdeck_daemon.memory.model import UNSET, Change, Event, Memory, NewMessage
from tests.integration.memory.driver import ADMIN, MakeMemories, Memories, caller

ANYBODY = caller("anybody")


class ShiftedClock:
    """A clock that is wrong by some time."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return datetime.now(UTC) + self._by

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


async def texts(memories: Memories, user: str) -> list[str]:
    return [memory.text for memory in await memories.page({"user_id": user})]


async def events(memories: Memories, memory_id: uuid.UUID) -> list[Event]:
    return [entry.event for entry in await memories.service.history(memory_id, ANYBODY)]


async def test_an_update_changes_what_it_names(memories: Memories, user: str) -> None:
    """Metadata is merged key by key, the rest replaced; what is not named stays; the answer is what is stored."""
    born = datetime(2020, 1, 1, tzinfo=UTC)
    (memory_id,) = await memories.add(
        "old", user=user, metadata={"a": 1, "b": {"c": 1}}, expiration_date=date(2999, 1, 1)
    )
    told = await memories.change(memory_id, text="new", metadata={"b": 2, "d": None}, created_at=born)
    assert told == await memories.service.get(memory_id, ANYBODY)
    assert ("new", {"a": 1, "b": 2, "d": None}, born) == (told.text, told.metadata, told.created_at)
    assert date(2999, 1, 1) == told.expiration_date
    assert (await memories.change(memory_id, expiration_date=None)).expiration_date is None
    assert (await memories.change(memory_id, expiration_date=UNSET)).expiration_date is None


async def test_the_same_memory_may_be_changed_twice_at_once(memories: Memories, user: str) -> None:
    """Changes of one call are applied in their order, and undone one by one."""
    (memory_id,) = await memories.add("0", user=user)
    changes = [(memory_id, Change(text=str(n))) for n in (1, 2)]
    assert 1 == (await memories.service.update_many(changes, ANYBODY)).count
    assert ["2"] == await texts(memories, user)
    await memories.service.undo(memory_id, ANYBODY)
    assert ["1"] == await texts(memories, user)


async def test_many_changes_are_all_made_or_none(memories: Memories, user: str) -> None:
    """An absent one, an immutable one, or one of somebody else's stops all of them."""
    one, other = await memories.add("one", "other", user=user)
    (fixed,) = await memories.add("fixed", user=user, immutable=True)
    (foreign,) = await memories.add("foreign", user=f"{user}-2")
    pinned = caller("pinned", users=(user,))
    for bad, error in ((uuid.uuid4(), MemoryNotFound), (fixed, Conflict), (foreign, MemoryNotFound)):
        with pytest.raises(error):
            await memories.service.update_many([(i, Change(text="x")) for i in (one, bad, other)], pinned)
    for bad in (uuid.uuid4(), foreign):
        with pytest.raises(MemoryNotFound):
            await memories.service.delete_many([one, bad, other], pinned)
    assert ["fixed", "other", "one"] == await texts(memories, user)
    assert [Event.ADD] == await events(memories, one)


async def test_what_is_immutable_can_be_deleted_and_brought_back(memories: Memories, user: str) -> None:
    """It is the content that cannot change."""
    (memory_id,) = await memories.add("fixed", user=user, immutable=True)
    await memories.service.delete(memory_id, ANYBODY)
    await memories.service.undo(memory_id, ANYBODY)
    assert (await memories.service.get(memory_id, ANYBODY)).immutable


async def test_a_chain_of_undos_leads_back_and_forth(memories: Memories, user: str) -> None:
    """Each undo reverts the last change, which may be an undo."""
    (memory_id,) = await memories.add("first", user=user, metadata={"a": 1})
    await memories.change(memory_id, text="second", metadata={"b": 2})
    await memories.service.delete(memory_id, ANYBODY)
    states: list[tuple[str, dict[str, Any]] | None] = []
    for _ in range(4):
        _, memory = await memories.undo(memory_id)
        states.append((memory.text, memory.metadata) if memory else None)
    second = ("second", {"a": 1, "b": 2})
    assert [second, None, second, None] == states
    history = await memories.service.history(memory_id, ANYBODY)
    assert [Event.ADD, Event.UPDATE, Event.DELETE, Event.ADD, Event.DELETE, Event.ADD, Event.DELETE] == [
        entry.event for entry in history
    ]
    assert [None] * 6 == [entry.undo_until for entry in history[:-1]]
    assert history[-1].undo_until is not None


async def test_an_update_is_undone_with_all_that_it_changed(memories: Memories, user: str) -> None:
    """Text, metadata, expiry and time; twice, and it is as it was after the update; searches follow."""
    (memory_id,) = await memories.add(
        "apple pie", user=user, metadata={"a": 1}, expiration_date=date(9999, 12, 31), categories=("x", "y")
    )
    before = await memories.service.get(memory_id, ANYBODY)
    changed: dict[str, Any] = {
        "text": "banana split",
        "metadata": {"b": 1},
        "expiration_date": date(2999, 1, 1),
    }
    after = await memories.change(memory_id, created_at=datetime(2001, 1, 1, tzinfo=UTC), **changed)
    for expected in (before, after, before):
        _, memory = await memories.undo(memory_id)
        assert memory is not None
        assert comparable(expected) == comparable(memory)
        assert expected.hash == memory.hash
        found = await memories.search("banana", {"user_id": user})
        assert [expected is after] == [hit.keyword for hit in found.hits]


def comparable(memory: Memory) -> tuple[Any, ...]:
    """All but when it was last touched."""
    return (
        memory.text, memory.metadata, memory.expiration_date, memory.created_at, memory.categories, memory.actor,
        memory.identifiers,
    )  # fmt: skip


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_wrong_clock_does_not_change_what_the_last_change_is(
    make_memories: MakeMemories, hours: int
) -> None:
    """An undo after an update reverts the update, however far the daemon's clock is from the database's."""
    clock: Clock = ShiftedClock(timedelta(hours=hours))
    memories = await make_memories(clock=clock)
    (memory_id,) = await memories.add("before", user="u")
    await memories.change(memory_id, text="after")
    await memories.service.undo(memory_id, ANYBODY)
    assert ["before"] == await texts(memories, "u")
    await memories.service.delete(memory_id, ANYBODY)
    await memories.service.undo(memory_id, ANYBODY)
    assert ["before"] == await texts(memories, "u")


async def test_undo_has_an_end(make_memories: MakeMemories) -> None:
    """Also where it is a fraction of an hour; the history says until when."""
    memories = await make_memories(settings=MemorySettings(undo_hours=0.5))
    kept, gone = await memories.add("kept", "gone", user="u")
    await memories.change(kept, text="changed")
    await memories.service.delete(gone, ANYBODY)
    event = (await memories.delete_scope({"user_id": "u", "memory": "nothing"})).id
    last = (await memories.service.history(kept, ANYBODY))[-1]
    assert timedelta(minutes=30) == (last.undo_until or last.changed_at) - last.changed_at
    await memories.age(0.4)
    await memories.service.undo(kept, ANYBODY)
    await memories.age(0.6)
    for memory_id in (kept, gone):
        with pytest.raises(UndoExpired):
            await memories.service.undo(memory_id, ANYBODY)
    assert (await memories.service.history(kept, ANYBODY))[-1].undo_until is None
    assert 0 == (await memories.service.undo_event(event, ANYBODY)).count


async def test_the_deletion_of_a_scope_is_undone_whole(memories: Memories, user: str) -> None:
    """Texts, metadata, arrival numbers and vectors are back, and only once; new arrivals count on."""
    run = f"{user}-run"
    for n in range(30):
        message = NewMessage(f"turn {n} about sunrise", actor="Alice")
        await memories.add(message, user=user, run=run, metadata={"n": n}, categories=("c",))
    before, places = await memories.page({"user_id": user}), await memories.arrivals(run)
    found = await memories.texts("dawn over the sea", {"user_id": user})
    receipt = await memories.delete_scope({"user_id": user})
    assert (30, []) == (receipt.count, await memories.page({"user_id": user}))
    assert [] == await memories.texts("sunrise", {"user_id": user})
    undone = await memories.service.undo_event(receipt.id, ANYBODY)
    assert 30 == undone.count
    assert before == await memories.page({"user_id": user})
    assert places == await memories.arrivals(run)
    assert found == await memories.texts("dawn over the sea", {"user_id": user})
    with pytest.raises(UndoExpired):
        await memories.service.undo_event(receipt.id, ANYBODY)
    await memories.add("next", user=user, run=run)
    assert (31, "next") == (await memories.arrivals(run))[-1]
    assert (await memories.service.receipt(receipt.id, ANYBODY)).undone_at is not None


async def test_undoing_a_deletion_touches_nothing_that_came_after_it(memories: Memories, user: str) -> None:
    """What is back already stays as it is now, what was deleted again by itself stays deleted; the count says so."""
    back, again, plain = await memories.add("back", "again", "plain", user=user)
    event = (await memories.delete_scope({"user_id": user})).id
    for memory_id in (back, again):
        await memories.service.undo(memory_id, ANYBODY)
        await memories.change(memory_id, text="newer")
    await memories.service.delete(again, ANYBODY)
    assert 1 == (await memories.service.undo_event(event, ANYBODY)).count
    assert {back: "newer", plain: "plain"} == {m.id: m.text for m in await memories.page({"user_id": user})}


async def test_the_deletion_of_many_is_undone_by_its_event(memories: Memories, user: str) -> None:
    """As that of a scope."""
    ids = await memories.add("one", "two", "three", user=user)
    receipt = await memories.service.delete_many([*ids[:2], ids[0]], ANYBODY)
    assert 2 == receipt.count
    assert 2 == (await memories.service.undo_event(receipt.id, ANYBODY)).count
    assert ["three", "two", "one"] == await texts(memories, user)


async def test_concurrent_undos_bring_back_once(memories: Memories, user: str) -> None:
    """Ten at the same moment, of the memory or of the event: one memory, one count."""
    (memory_id,) = await memories.add("one", user=user)
    event = (await memories.delete_scope({"user_id": user})).id
    told = await asyncio.gather(
        *(memories.service.undo_event(event, ANYBODY) for _ in range(10)), return_exceptions=True
    )
    assert 9 == sum(isinstance(one, UndoExpired) for one in told)
    assert ["one"] == await texts(memories, user)
    await memories.service.delete(memory_id, ANYBODY)
    await asyncio.gather(*(memories.service.undo(memory_id, ANYBODY) for _ in range(9)))
    assert 1 == await memories.value(
        "SELECT memories = (SELECT count(*) FROM memory.memories WHERE user_id = $1) FROM memory.identifiers "
        "WHERE kind = 'user' AND value = $1",
        user,
    )


async def test_what_cannot_be_undone_says_why(memories: Memories, user: str) -> None:
    """An unknown id, an unknown event, an event that is no deletion, an event of somebody else."""
    with pytest.raises(MemoryNotFound):
        await memories.service.undo(uuid.uuid4(), ADMIN)
    receipt = await memories.receipt("one", user=user)
    for event in (uuid.uuid4(), receipt.id):
        with pytest.raises(EventNotFound):
            await memories.service.undo_event(event, ADMIN)
    gone = await memories.delete_scope({"user_id": user})
    with pytest.raises(EventNotFound):
        await memories.service.undo_event(gone.id, caller("pinned", users=(user,)))
    memory_id = receipt.outcomes[0].id
    assert memory_id is not None
    stranger = caller("stranger", users=(f"{user}-2",))
    for question in (
        memories.service.undo,
        memories.service.history,
        memories.service.get,
        memories.service.delete,
    ):
        with pytest.raises(MemoryNotFound):
            await question(memory_id, stranger)
    with pytest.raises(Forbidden):
        await memories.delete_scope({"user_id": user}, stranger)
    assert 1 == (await memories.service.undo_event(gone.id, ANYBODY)).count


async def test_a_deletion_takes_expired_memories_too(memories: Memories, user: str) -> None:
    """What a listing hides must not survive."""
    await memories.add("expired", user=user, expiration_date=date(2000, 1, 1))
    assert 1 == (await memories.delete_scope({"user_id": user})).count
