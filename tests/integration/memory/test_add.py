"""Adding: everything or nothing, in order, once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import pytest_asyncio

from memdeck_common.errors import BadRequest, Conflict, Forbidden, MemdeckError
from memdeck_daemon.infra.postgres.database import StatementRefused
from memdeck_daemon.memory.model import Event, NewMessage, Receipt
from tests.integration.memory.driver import MakeMemories, Memories, caller

COUNTED = "SELECT count(*) FROM memory.{} WHERE owner = $1"
TABLES = ("memories", "locator", "vectors_1", "history", "outbox")


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def unpruned(memories: Memories) -> AsyncIterator[None]:
    """A reader of the outbox that never gets on: the entries that are counted here stay."""
    await memories.database.execute(
        "INSERT INTO memory.projections (name, xid, id, lineage) VALUES ('unpruned', '0', 0, gen_random_uuid())"
    )
    yield
    await memories.database.execute("DELETE FROM memory.projections WHERE name = 'unpruned'")


async def counted(memories: Memories, owner: str) -> set[int]:
    """How many rows each table has for an owner; one number when they agree."""
    return {await memories.value(COUNTED.format(table), owner) for table in TABLES}


async def test_a_memory_is_stored_with_all_that_belongs_to_it(memories: Memories, user: str) -> None:
    """What was given is what comes back; the owner is the first of user, agent, app, run."""
    born = datetime(2021, 3, 4, 5, 6, 7, 890, UTC)
    receipt = await memories.receipt(
        NewMessage("I paint sunrises", "user", "Alice"), user=user, agent="a1", app="p1", run=f"r-{user}",
        metadata={"k": [1, {"x": None}]}, categories=("art", "sun"), created_at=born,
        expiration_date=date(2999, 1, 2), immutable=True, memory_type="procedural_memory",
    )  # fmt: skip
    (memory,) = await memories.page({"user_id": user})
    assert ("I paint sunrises", "user", "Alice") == (memory.text, memory.role, memory.actor)
    assert (user, "a1", "p1", f"r-{user}") == tuple(name.value for name in memory.identifiers.named())
    assert ({"k": [1, {"x": None}]}, ("art", "sun")) == (memory.metadata, memory.categories)
    assert (born, date(2999, 1, 2), True) == (memory.created_at, memory.expiration_date, memory.immutable)
    assert "procedural_memory" == memory.memory_type
    assert (1, Event.ADD, memory.id) == (receipt.count, receipt.outcomes[0].event, receipt.outcomes[0].id)
    assert {1} == await counted(memories, f"user:{user}")
    assert memory == await memories.service.get(memory.id, caller("any"))


async def test_back_dated_memories_are_listed_by_their_own_time(memories: Memories, user: str) -> None:
    """An import keeps the order of the past, whatever the order of the import."""
    for year in (2022, 2020, 2021):
        await memories.add(str(year), user=user, created_at=datetime(year, 1, 1, tzinfo=UTC))
    assert ["2022", "2021", "2020"] == [memory.text for memory in await memories.page({"user_id": user})]


async def test_messages_of_one_add_keep_their_order(memories: Memories, user: str) -> None:
    """Although they were made at the same moment."""
    texts = [f"turn {n}" for n in range(50)]
    await memories.add(*texts, user=user)
    assert texts[::-1] == [memory.text for memory in await memories.page({"user_id": user})]


async def test_system_and_empty_messages_are_not_stored(memories: Memories, user: str) -> None:
    """The receipt says why; the others are stored."""
    told = await memories.receipt(
        NewMessage("be nice", "system"), NewMessage(" \n\t"), NewMessage("kept"), user=user
    )
    events = [(outcome.event, outcome.text, outcome.reason is not None) for outcome in told.outcomes]
    assert [
        (Event.ADD, "kept", False),
        (Event.NONE, "be nice", True),
        (Event.NONE, " \n\t", True),
    ] == events
    assert 1 == told.count
    assert {1} == await counted(memories, f"user:{user}")


async def test_an_add_without_anything_to_store_has_a_receipt(memories: Memories, user: str) -> None:
    """And makes no name known."""
    told = await memories.receipt(NewMessage("be nice", "system"), user=user)
    assert (0, 1) == (told.count, len((await memories.service.receipt(told.id, caller("any"))).outcomes))
    assert [] == await memories.rows("SELECT 1 FROM memory.identifiers WHERE value = $1", user)


async def test_duplicates_are_stored_and_named(memories: Memories, user: str) -> None:
    """Within an add, of an earlier add, and of another add of the same batch; not of another owner."""
    first = await memories.receipt("same", "other", "same", user=user)
    original = first.outcomes[0].id
    assert [None, None, original] == [outcome.duplicate_of for outcome in first.outcomes]
    later = await asyncio.gather(*(memories.receipt("same", user=user) for _ in range(5)))
    assert {original} == {told.outcomes[0].duplicate_of for told in later}
    stranger = await memories.receipt("same", user=f"{user}-2")
    assert stranger.outcomes[0].duplicate_of is None
    assert 8 == len(await memories.page({"user_id": user}))


async def test_infer_without_an_llm_stores_and_says_so(memories: Memories, user: str) -> None:
    """The note stays with the receipt."""
    told = await memories.receipt("as it is", user=user, infer=True)
    assert "stored as they are" in told.note
    assert told.note == (await memories.service.receipt(told.id, caller("any"))).note


@pytest.mark.parametrize(
    "metadata",
    [
        {"": "empty", " ": "space", "a.b": 1, "a'b\"c": 2, "$where": 3, "{}": 4, "\\": 5, "％": 6, "🎨": 7},
        {"user_id": "not an identifier", "AND": [], "metadata": {"metadata": {}}},
        {"n": 10**25, "f": 1e-300, "neg": -0.5, "t": True, "none": None, "deep": [[[[[{}]]]]]},
        {"long" * 500: "v" * 10_000},
    ],
)
async def test_weird_metadata_comes_back_as_it_was(
    memories: Memories, user: str, metadata: dict[str, object]
) -> None:
    """No key or value means anything to the store."""
    await memories.add("text", user=user, metadata=metadata)
    assert [metadata] == [memory.metadata for memory in await memories.page({"user_id": user})]


BAD = ["nul \x00 inside", "lone \ud800 surrogate"]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("place", ["text", "actor", "role", "metadata", "key", "category", "type"])
async def test_what_cannot_be_stored_is_refused(memories: Memories, user: str, bad: str, place: str) -> None:
    """With a BadRequest, and nothing of the add is stored."""
    message = NewMessage(
        bad if place == "text" else "good",
        bad if place == "role" else "user",
        bad if place == "actor" else None,
    )
    kinds: dict[str, dict[str, Any]] = {
        "metadata": {"metadata": {"a": [{"b": bad}]}},
        "key": {"metadata": {bad: 1}},
        "category": {"categories": (bad,)},
        "type": {"memory_type": bad},
    }
    with pytest.raises(BadRequest):
        await memories.receipt("a good one", message, user=user, **kinds.get(place, {}))
    assert {0} == await counted(memories, f"user:{user}")


@pytest.mark.parametrize("bad", BAD)
async def test_an_update_that_cannot_be_stored_is_refused(memories: Memories, user: str, bad: str) -> None:
    """And leaves everything as it was."""
    (memory_id,) = await memories.add("before", user=user)
    for change in ({"text": bad}, {"metadata": {"k": bad}}, {"metadata": {bad: 1}}):
        with pytest.raises(BadRequest):
            await memories.change(memory_id, **change)
    assert ["before"] == [memory.text for memory in await memories.page({"user_id": user})]
    assert 1 == len(await memories.service.history(memory_id, caller("any")))


async def test_one_that_postgres_refuses_harms_nobody_else(make_memories: MakeMemories) -> None:
    """Its fellows of the batch are stored; it fails alone, and arrival numbers have no gap."""
    memories: Memories = await make_memories()
    await memories.rows("ALTER TABLE memory.memories ADD CHECK (text <> 'poison')")
    texts = [f"good {n}" if n % 7 else "poison" for n in range(40)]
    told = await asyncio.gather(
        *(memories.receipt(text, user="u", run="r") for text in texts), return_exceptions=True
    )
    failed = [isinstance(one, MemdeckError) for one in told]
    assert [text == "poison" for text in texts] == failed
    good = [text for text in texts if text != "poison"]
    assert list(enumerate(good, 1)) == await memories.arrivals("r")
    assert 34 == await memories.value("SELECT count(*) FROM memory.receipts")


async def test_long_identifiers_of_any_script_can_be_stored(memories: Memories, user: str) -> None:
    """All four at their longest, incompressible: what cannot be indexed must be refused before the store."""
    glyphs = "".join(chr(0x1F300 + (n * 7919) % 700) for n in range(240))
    longest = (user + glyphs)[:250]
    await memories.add("long", user=longest, agent=longest, app=longest, run=longest)
    assert ["long"] == [memory.text for memory in await memories.page({"run_id": longest})]
    with pytest.raises(BadRequest):
        await memories.add("too long", user=glyphs + glyphs[::-1], run=glyphs + glyphs[::-1])


async def test_many_writers_with_shared_names_do_not_deadlock(memories: Memories, user: str) -> None:
    """Arrival numbers per run are gapless and follow the order of the calls; counters agree with what is there."""
    users, agents, runs = ([f"{user}-{kind}{n}" for n in range(3)] for kind in "uar")
    adds = [
        memories.receipt(
            f"{n}.0", f"{n}.1", user=users[n % 3], agent=agents[n // 3 % 3], run=runs[n // 9 % 3]
        )
        for n in range(300)
    ]
    told = await asyncio.gather(*adds)
    assert {2} == {receipt.count for receipt in told}
    for run in runs:
        by_owner: dict[str, list[tuple[int, str]]] = {}
        rows = await memories.rows(
            "SELECT owner, arrival, text FROM memory.memories WHERE run_id = $1 ORDER BY owner, arrival", run
        )
        for row in rows:
            by_owner.setdefault(row["owner"], []).append((row["arrival"], row["text"]))
        for found in by_owner.values():
            assert list(range(1, len(found) + 1)) == [arrival for arrival, _ in found]
            texts = [text for _, text in found]
            assert sorted(texts, key=float) == texts
    assert 600 == await memories.value(
        "SELECT sum(memories)::int FROM memory.identifiers WHERE value = ANY($1)", agents
    )


async def test_writers_of_two_daemons_do_not_deadlock(make_memories: MakeMemories) -> None:
    """Two writers over one database, the same names in every order, with changes among them."""
    one: Memories = await make_memories(name="one")
    other: Memories = await make_memories(name="other")
    (target,) = await one.add("target", user="u0", agent="a0", run="r0")

    async def work(memories: Memories, n: int) -> None:
        names: dict[str, Any] = {"user": f"u{n % 3}", "agent": f"a{(n // 2) % 3}", "run": f"r{(n // 3) % 3}"}
        await memories.add(f"text {n}", **names)
        if n % 5 == 0:
            await memories.change(target, text=f"text {n}")

    await asyncio.gather(*(work(one if n % 2 else other, n) for n in range(200)))
    assert 201 == await one.value("SELECT count(*) FROM memory.memories")
    rows = await one.rows(
        "SELECT owner, run_id, array_agg(arrival ORDER BY arrival) FROM memory.memories GROUP BY 1, 2"
    )
    assert all(row[2] == list(range(1, len(row[2]) + 1)) for row in rows)


async def test_a_repeated_add_is_stored_once(memories: Memories, user: str) -> None:
    """The same key with the same body answers with the first receipt; with another body it is a conflict."""
    first = await memories.receipt("once", user=user, idempotency_key="k")
    again = await memories.receipt("once", user=user, idempotency_key="k")
    assert (first.id, first.outcomes, first.count) == (again.id, again.outcomes, again.count)
    for other in ({"metadata": {"x": 1}}, {"agent": "a"}, {"immutable": True}):
        with pytest.raises(Conflict):
            await memories.receipt("once", user=user, idempotency_key="k", **other)
    with pytest.raises(Conflict):
        await memories.receipt("twice", user=user, idempotency_key="k")
    assert {1} == await counted(memories, f"user:{user}")
    somebody = caller(f"{user}-other")
    assert first.id != (await memories.receipt("once", user=user, idempotency_key="k", by=somebody)).id


async def test_the_same_add_at_the_same_moment_is_stored_once(memories: Memories, user: str) -> None:
    """All callers get the one receipt, although nobody's was there when they asked; neighbours of the batch are stored."""
    same = [memories.receipt("once", user=user, idempotency_key=user) for _ in range(8)]
    others = [memories.receipt(f"other {n}", user=user) for n in range(8)]
    told: list[Receipt] = await asyncio.gather(
        *(add for pair in zip(same, others, strict=True) for add in pair)
    )
    assert 1 == len({receipt.id for receipt in told[::2]})
    assert 9 == len(await memories.page({"user_id": user}))


async def test_different_adds_with_one_key_at_the_same_moment_conflict(memories: Memories, user: str) -> None:
    """One is stored, the other refused."""
    told = await asyncio.gather(
        *(memories.receipt(text, user=user, idempotency_key=user) for text in ("one", "two")),
        return_exceptions=True,
    )
    assert {Receipt, Conflict} == {type(one) for one in told}
    assert 1 == len(await memories.page({"user_id": user}))


async def test_a_back_dated_repetition_with_another_time_is_a_conflict(memories: Memories, user: str) -> None:
    """The time of a memory is part of what is stored."""
    times = [datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2021)]
    await memories.receipt("once", user=user, idempotency_key=user, created_at=times[0])
    with pytest.raises(Conflict):
        await memories.receipt("once", user=user, idempotency_key=user, created_at=times[1])


async def test_a_pinned_key_stores_within_its_pins_only(memories: Memories, user: str) -> None:
    """And what lies outside is not stored."""
    pinned = caller("pinned", users=(f"{user}_7_*",))
    await memories.add("mine", user=f"{user}_7_a", by=pinned)
    outside: list[dict[str, Any]] = [
        {"user": f"{user}_70_a"},
        {"user": f"{user}_7"},
        {"agent": f"{user}_7_a"},
    ]
    for names in outside:
        with pytest.raises(Forbidden):
            await memories.add("not mine", **{**names, "by": pinned})
    assert [] == await memories.page({"user_id": f"{user}_70_a"})


async def test_an_add_that_is_given_up_while_it_waits_is_not_stored(make_memories: MakeMemories) -> None:
    """A client that left before its turn costs nothing, and the others go on."""
    memories: Memories = await make_memories(background=())
    gone = asyncio.create_task(memories.add("gone", user="u"))
    kept = asyncio.create_task(memories.add("kept", user="u"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone.cancel()
    writer = asyncio.create_task(memories.writer.run())
    assert [uuid.UUID] == [type(one) for one in await kept]
    assert ["kept"] == [memory.text for memory in await memories.page({"user_id": "u"})]
    writer.cancel()
    await asyncio.gather(writer, gone, return_exceptions=True)


async def test_everybody_who_waits_is_told_of_a_stop(make_memories: MakeMemories) -> None:
    """Also the fellows of a batch that failed and is being tried member by member: they are kept on the disk."""
    memories: Memories = await make_memories(background=())
    await memories.rows("ALTER TABLE memory.memories ADD CHECK (text <> 'poison')")
    async with memories.database.transaction() as blocker:
        # A lock that the single retries run into, so that the stop meets them half-way.
        await blocker.execute("INSERT INTO memory.identifiers (kind, value) VALUES ('user', 'u1')")
        adds = [asyncio.create_task(memories.add("poison", user="u0"))]
        adds += [asyncio.create_task(memories.add(f"text {n}", user=f"u{n}")) for n in range(1, 4)]
        await asyncio.sleep(0)
        writer = asyncio.create_task(memories.writer.run())
        await memories.waits_for_a_lock()
        writer.cancel()
        told = await asyncio.wait_for(asyncio.gather(*adds, return_exceptions=True), 5)
    assert [StatementRefused, list, list, list] == [type(one) for one in told]
    assert 3 == len(memories.spool.journal)
