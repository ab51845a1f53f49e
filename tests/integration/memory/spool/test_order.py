"""Writes while Postgres is away: acknowledged from the disk, carried out once, in order."""

import asyncio
import contextlib
import uuid
from dataclasses import replace
from typing import Any

import pytest

from memdeck_common.errors import (
    Conflict,
    DiskFull,
    EventNotFound,
    MemoryNotFound,
    OutcomeUnknown,
    StoreUnavailable,
)
from memdeck_common.settings import Memory as MemorySettings
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.model import Caller, Change, Event, Memory, Receipt
from tests.integration.memory.driver import ADMIN, Memories, caller
from tests.integration.memory.spool.waiting import ALICE, Open, final, texts
from tests.support.cable import Cable
from tests.support.waiting import eventually


async def test_an_add_is_acknowledged_while_postgres_is_away(memories: Memories, cable: Cable) -> None:
    """With the ids that it will have; afterwards it is stored once, and its receipt says so."""
    cable.cut()
    told = await memories.receipt("one", "", "two", user="alice", run="r")
    assert ["ADD", "ADD", "NONE"] == [outcome.event for outcome in told.outcomes]
    assert "PENDING" == told.status == (await memories.service.receipt(told.id, ADMIN)).status
    with pytest.raises(StoreUnavailable):
        await memories.service.get(told.outcomes[0].id or uuid.uuid4(), ADMIN)
    cable.mend()
    done = await final(memories, told)
    assert "SUCCEEDED" == done.status
    assert [o.id for o in told.outcomes] == [o.id for o in done.outcomes]
    assert [(1, "one"), (2, "two")] == await memories.arrivals("r")
    assert told.created_at == done.created_at


async def test_a_commit_whose_answer_was_lost_is_not_doubled(memories: Memories, cable: Cable) -> None:
    """The first attempt was committed: the replay finds its receipt."""
    cable.fault = "lose_commit"
    told = await memories.receipt("once", user="alice")
    assert 1 == cable.cuts
    await final(memories, told)
    assert ["once"] == await texts(memories)
    assert 1 == await memories.value("SELECT memories FROM memory.identifiers WHERE value = 'alice'")


async def test_a_commit_that_never_arrived_is_made_good(memories: Memories, cable: Cable) -> None:
    """The first attempt was rolled back: the replay stores it."""
    cable.fault = "drop_commit"
    told = await memories.receipt("once", user="alice")
    assert 1 == cable.cuts
    await final(memories, told)
    assert ["once"] == await texts(memories)


@pytest.mark.parametrize("fault", ["lose_commit", "drop_commit"])
async def test_without_a_spool_an_unknown_outcome_is_said(start: Open, cable: Cable, fault: Any) -> None:
    """The control: nothing is acknowledged, and what is said is true; the receipt tells later."""
    memories = await start(settings=MemorySettings(spool_bytes=0))
    cable.fault = fault
    with pytest.raises(OutcomeUnknown) as caught:
        await memories.receipt("once", user="alice")
    receipt_id = uuid.UUID(caught.value.facts["receipt_id"])
    assert str(receipt_id) in str(caught.value)
    if fault == "lose_commit":
        assert "SUCCEEDED" == (await memories.service.receipt(receipt_id, ADMIN)).status
        await memories.receipt("once", user="alice")
        assert ["once", "once"] == await texts(memories), "who simply tries again doubles it"
    else:
        with pytest.raises(EventNotFound):
            await memories.service.receipt(receipt_id, ADMIN)
    cable.cut()
    with pytest.raises(StoreUnavailable):
        await memories.receipt("refused", user="alice")


async def test_writes_of_a_scope_keep_their_order(start: Open, cable: Cable) -> None:
    """What comes after a write that waits, waits behind it, although the database is there again."""
    memories = await start(tasks=("writer",))
    cable.cut()
    first = await memories.receipt("first", user="alice", agent="a")
    cable.mend()
    memories.spool.went_through()
    waiting = [
        await memories.receipt("second", user="alice"),
        await memories.receipt("third", user="bob", agent="a"),
        await memories.service.update(first.outcomes[0].id or uuid.uuid4(), Change(text="1st"), ADMIN),
        await memories.delete_scope({"agent_id": "a", "user_id": "bob"}),
        await memories.receipt("fourth", user="bob", agent="a"),
    ]
    assert all(isinstance(one, Receipt) and one.queued for one in waiting)
    await memories.replay.drain()
    assert ["1st", "second"] == await texts(memories)
    assert ["fourth"] == await texts(memories, {"user_id": "bob"})


async def test_a_search_says_which_writes_it_lacks(start: Open, cable: Cable) -> None:
    """Adds and deletions of its scope that wait, also while the database answers; none of other scopes."""
    memories = await start(tasks=("writer",))
    (tea,) = await memories.add("Alice drinks tea", user="alice")
    await memories.add("Bob drinks beer", user="bob")
    cable.cut()
    await memories.service.delete(tea, ADMIN)
    cable.mend()
    memories.spool.went_through()
    assert "spool" in (await memories.search("tea", ALICE)).degraded
    assert "spool" not in (await memories.search("beer", {"user_id": "bob"})).degraded
    await memories.receipt("Bob drinks wine", user="bob")
    assert "spool" in (await memories.search("beer", {"user_id": "bob"})).degraded
    await memories.replay.drain()
    for where in (ALICE, {"user_id": "bob"}):
        assert "spool" not in (await memories.search("tea", where)).degraded


async def test_reads_say_which_writes_they_lack(start: Open, cable: Cable) -> None:
    """A memory by its own changes, a list by what may be in it; one that may come back is not said to be unknown."""
    memories = await start(tasks=("writer",))
    service, alice, bob = memories.service, filters.parse(ALICE), filters.parse({"user_id": "bob"})
    changed, gone = await memories.add("Alice drinks tea", "Alice has a dog", user="alice")
    names = (await service.get(changed, ADMIN)).identifiers
    await service.delete(gone, ADMIN)
    cable.cut()
    await memories.receipt("Alice drinks wine", user="alice")
    cable.mend()
    memories.spool.went_through()
    assert ((), ("spool",)) == (service.outdated(changed, names), service.lacking(alice, []))
    assert ((), ("spool",)) == (service.lacking(bob, []), service.lacking(filters.everything(), []))
    await service.update(changed, Change(text="Alice drinks gin"), ADMIN)
    assert ("spool",) == service.outdated(changed, names)
    await service.undo(gone, ADMIN)
    with pytest.raises(StoreUnavailable, match="waits on the disk may bring"):
        await service.get(gone, ADMIN)
    with pytest.raises(MemoryNotFound):
        await service.get(uuid.uuid4(), ADMIN)
    await memories.replay.drain()
    assert "Alice has a dog" == (await service.get(gone, ADMIN)).text
    assert ((), ()) == (service.outdated(changed, names), service.lacking(alice, []))


async def test_the_list_of_writes_has_those_that_wait(start: Open, cable: Cable) -> None:
    """First, newest first, page by page, and for keys that are pinned their own alone."""
    memories = await start(tasks=("writer",))
    pinned = caller("pinned", users=("alice",))
    stored = (await memories.receipt("one", user="alice")).id
    cable.cut()
    two = (await memories.receipt("two", user="alice")).id
    three = (await memories.receipt("three", user="alice", by=pinned)).id
    cable.mend()
    memories.spool.went_through()

    async def shown(by: Caller, page: int, size: int) -> tuple[int, list[tuple[uuid.UUID, str]]]:
        count, found = await memories.service.receipts(by, page=page, size=size)
        return count, [(receipt.id, receipt.status) for receipt in found]

    waiting, done = [(three, "PENDING"), (two, "PENDING")], [(stored, "SUCCEEDED")]
    assert (3, waiting + done) == await shown(ADMIN, 1, 10)
    assert (3, waiting) == await shown(ADMIN, 1, 2)
    assert (3, done) == await shown(ADMIN, 2, 2)
    assert (3, [waiting[1]]) == await shown(ADMIN, 2, 1)
    assert (1, waiting[:1]) == await shown(pinned, 1, 10)
    await memories.replay.drain()
    assert (1, [(three, "SUCCEEDED")]) == await shown(pinned, 1, 10)
    assert (3, {"SUCCEEDED"}) == ((found := await shown(ADMIN, 1, 10))[0], {one[1] for one in found[1]})


async def test_other_scopes_do_not_wait(start: Open, cable: Cable) -> None:
    """A write that shares no name with one that waits is stored at once."""
    memories = await start(tasks=("writer",))
    cable.cut()
    assert (await memories.receipt("waits", user="alice")).queued
    cable.mend()
    memories.spool.went_through()
    assert not (await memories.receipt("stored", user="bob")).queued


async def test_changes_while_postgres_is_away(memories: Memories, cable: Cable) -> None:
    """They are carried out later; what turns out to be impossible is told by the receipt, with the reason."""
    kept, gone = await memories.add("kept", "gone", user="alice")
    unknown = uuid.uuid4()
    cable.cut()
    changed = await memories.service.update(kept, Change(text="changed", metadata={"n": 1}), ADMIN)
    deleted = await memories.service.delete(gone, ADMIN)
    dropped = await memories.service.update(unknown, Change(text="no"), ADMIN)
    undone = await memories.service.undo(kept, ADMIN)
    again = await memories.service.undo(kept, ADMIN)
    cable.mend()
    assert isinstance(changed, Receipt)
    assert isinstance(dropped, Receipt)
    assert isinstance(undone, Receipt)
    assert isinstance(again, Receipt)
    assert Event.UPDATE == (await final(memories, changed)).outcomes[0].event
    assert (1, "SUCCEEDED") == (
        (await final(memories, deleted)).count,
        (await final(memories, undone)).status,
    )
    told = await final(memories, dropped)
    assert ("FAILED", 0, unknown) == (told.status, told.count, told.outcomes[0].id)
    assert "not found" in (told.error or "")
    (memory,) = await memories.page(ALICE)
    assert ("changed", {"n": 1}) == (memory.text, memory.metadata)


async def test_reach_is_checked_when_a_change_is_carried_out(memories: Memories, cable: Cable) -> None:
    """A pinned key that names another's memory while nobody can look changes nothing."""
    (memory_id,) = await memories.add("hers", user="alice")
    bob = caller("bob", users=("bob",))
    cable.cut()
    told = await memories.service.update(memory_id, Change(text="his"), bob)
    assert isinstance(told, Receipt)
    with pytest.raises((EventNotFound, StoreUnavailable)):
        await memories.service.receipt(told.id, caller("carol", users=("carol",)))
    cable.mend()
    assert "FAILED" == (await final(memories, told)).status
    assert ["hers"] == await texts(memories)


async def test_a_repeated_add_is_one_add(memories: Memories, cable: Cable) -> None:
    """By its idempotency key: in the spool, in the database, and where it meets itself in the replay."""
    before = await memories.receipt("before", user="alice", idempotency_key="k0")
    await memories.receipt("mine", user="alice", idempotency_key="k2")
    cable.cut()
    first = await memories.receipt("once", user="alice", idempotency_key="k1")
    second = await memories.receipt("once", user="alice", idempotency_key="k1")
    assert (first.id, True) == (second.id, second.replayed)
    with pytest.raises(Conflict):
        await memories.receipt("other", user="alice", idempotency_key="k1")
    lost = await memories.receipt("before", user="alice", idempotency_key="k0")
    other = await memories.receipt("another body", user="alice", idempotency_key="k2")
    cable.mend()
    told = await final(memories, lost)
    assert [before.outcomes[0].id] == [outcome.duplicate_of for outcome in told.outcomes]
    refused = await memories.service.receipt(other.id, ADMIN)
    assert "FAILED" == refused.status
    assert ["before", "mine", "once"] == await texts(memories)


async def test_an_add_that_the_database_refuses_blocks_nobody(memories: Memories, cable: Cable) -> None:
    """It is set aside with the reason, shown, and can be tried again."""
    await memories.rows("ALTER TABLE memory.memories ADD CONSTRAINT sane CHECK (text <> 'poison')")
    cable.cut()
    poison = await memories.receipt("poison", user="alice")
    fine = await memories.receipt("fine", user="alice")
    cable.mend()
    assert "SUCCEEDED" == (await final(memories, fine)).status
    told = await memories.service.receipt(poison.id, ADMIN)
    assert "FAILED" == told.status
    assert "CheckViolation" in (told.error or "")
    assert {poison.id} == memories.spool.parked
    await memories.rows("ALTER TABLE memory.memories DROP CONSTRAINT sane")
    assert 1 == await memories.replay.again()
    assert "SUCCEEDED" == (await final(memories, replace(told, status="PENDING"))).status
    assert [set(), ["fine", "poison"]] == [memories.spool.parked, sorted(await texts(memories))]


async def test_a_database_that_refuses_everything_parks_nothing(start: Open, cable: Cable) -> None:
    """Nobody is to blame but itself: all of it waits."""
    memories = await start(tasks=("writer",))
    cable.cut()
    told = await memories.receipt("one", user="alice")
    cable.mend()
    await memories.rows("ALTER TABLE memory.receipts ADD CONSTRAINT shut CHECK (kind <> 'add') NOT VALID")
    with pytest.raises(StoreUnavailable):
        await memories.replay.drain()
    assert (set(), 1) == (memories.spool.parked, len(memories.spool.journal))
    await memories.rows("ALTER TABLE memory.receipts DROP CONSTRAINT shut")
    await memories.replay.drain()
    assert "SUCCEEDED" == (await memories.service.receipt(told.id, ADMIN)).status


async def test_a_database_that_takes_no_writes_is_waited_for(start: Open, cable: Cable) -> None:
    """A standby, or a managed server whose disk is nearly full: writes wait, none is refused or parked."""
    memories = await start(tasks=("writer",))
    name = await memories.value("SELECT current_database()")

    async def connected(read_only: str) -> bool:
        with contextlib.suppress(StoreUnavailable):
            return bool(read_only == await memories.value("SHOW default_transaction_read_only"))
        return False

    async def anew(read_only: str) -> None:
        cable.cut()
        cable.mend()
        await eventually(lambda: connected(read_only), what="new connections")

    await memories.rows(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        await anew("on")
        told = await memories.receipt("one", user="alice")
        assert told.queued
        with pytest.raises(StoreUnavailable, match="takes no writes"):
            await memories.replay.drain()
        assert (set(), 1) == (memories.spool.parked, len(memories.spool.journal))
    finally:
        async with memories.database.connection() as connection:
            await connection.execute("SET default_transaction_read_only = off")
            await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await anew("off")
    await memories.replay.drain()
    assert "SUCCEEDED" == (await memories.service.receipt(told.id, ADMIN)).status


@pytest.mark.parametrize(("code", "queued"), [("25006", True), ("53100", False)], ids=["read-only", "full"])
async def test_a_database_that_refuses_writes_is_told_by_the_mode(
    start: Open, code: str, queued: bool
) -> None:
    """Until it takes one, from the spool or directly."""
    memories = await start(tasks=("writer",))
    modes = memories.desk.spaces.modes
    await memories.rows(
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"
    )
    await memories.rows(
        "CREATE TRIGGER refuse BEFORE INSERT ON memory.receipts FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    if queued:
        assert (await memories.receipt("one", user="alice")).queued
    else:
        with pytest.raises(DiskFull):
            await memories.add("one", user="alice")
    seen = [modes.current]
    await memories.rows("DROP TRIGGER refuse ON memory.receipts")
    await memories.replay.drain()
    await memories.add("two", user="bob")
    assert ["one"] * queued == await texts(memories)
    assert ["read-only", "normal"] == [*seen, modes.current]


async def test_a_memory_that_is_gone_is_not_found_again(memories: Memories, cable: Cable) -> None:
    """A deletion that waits behind its add leaves nothing."""
    cable.cut()
    told = await memories.receipt("short-lived", user="alice")
    memory_id = told.outcomes[0].id or uuid.uuid4()
    deleted = await memories.service.delete(memory_id, ADMIN)
    cable.mend()
    await final(memories, deleted)
    with pytest.raises(MemoryNotFound):
        await memories.service.get(memory_id, ADMIN)
    undone = await memories.service.undo(memory_id, ADMIN)
    assert isinstance(undone, tuple)
    assert isinstance(undone[1], Memory)


async def test_a_database_that_does_not_answer_is_not_waited_for(memories: Memories) -> None:
    """The add is acknowledged from the disk; that its first attempt is committed after all does not double it."""
    memories.service._writing = replace(memories.service._writing, patience=0.2)
    async with memories.database.transaction() as blocker:
        await blocker.execute("INSERT INTO memory.identifiers (kind, value) VALUES ('user', 'alice')")
        told = await memories.receipt("once", user="alice", run="r")
        assert told.queued
        await memories.waits_for_a_lock()
    assert "SUCCEEDED" == (await final(memories, told)).status
    assert [(1, "once")] == await memories.arrivals("r")


async def test_an_add_with_little_time_left_goes_to_the_disk(memories: Memories) -> None:
    """Its body came slowly, say: it is kept before the request's time is up, not cut off with it."""
    async with memories.database.transaction() as blocker:
        await blocker.execute("INSERT INTO memory.identifiers (kind, value) VALUES ('user', 'alice')")
        async with asyncio.timeout(1):
            with deadline.within(0.5):
                told = await memories.receipt("once", user="alice")
        assert told.queued
    assert "SUCCEEDED" == (await final(memories, told)).status
    assert ["once"] == await texts(memories)


async def test_a_change_that_is_held_up_goes_to_the_disk(memories: Memories) -> None:
    """Its first attempt is given up with its connection; the replay carries it out once."""
    (memory_id,) = await memories.add("0", user="alice", metadata={"a": 1})
    memories.service._writing = replace(memories.service._writing, patience=0.2)
    async with memories.database.transaction() as blocker:
        await blocker.execute("SELECT FROM memory.memories WHERE id = $1 FOR UPDATE", memory_id)
        told = await memories.service.update(memory_id, Change(text="1", metadata={"b": 2}), ADMIN)
        assert isinstance(told, Receipt)
        again = await memories.service.update(memory_id, Change(text="2"), ADMIN)
        assert isinstance(again, Receipt)
    assert "SUCCEEDED" == (await final(memories, again)).status
    (memory,) = await memories.page(ALICE)
    assert ("2", {"a": 1, "b": 2}) == (memory.text, memory.metadata)
    events = [entry.event for entry in await memories.service.history(memory_id, ADMIN)]
    assert [Event.ADD, Event.UPDATE, Event.UPDATE] == events
