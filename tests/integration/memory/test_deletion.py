"""Deleting for good: whole scopes in bounded time, purges that forget everywhere, counters that stay right."""

import asyncio
import logging
import random
import time
import uuid
from typing import Any

import pytest

from memdeck_common.errors import EventNotFound, MemoryNotFound, StoreUnavailable, UndoExpired
from memdeck_daemon.memory.model import Identifiers, NewMessage
from memdeck_daemon.memory.upkeep.purge import purge
from tests.integration.memory.driver import ADMIN, MakeMemories, Memories, caller

ANYBODY = caller("anybody")
TABLES_WITH_TEXT = ("memories", "history", "receipts", "outbox", "idempotency_keys", "feedback", "exports")

COUNTERS_ARE_WRONG = """
WITH counted AS (
    SELECT kind, value, count(*) AS memories, count(*) FILTER (WHERE owner = kind || ':' || value) AS owned
    FROM memory.memories m CROSS JOIN LATERAL (VALUES ('user', user_id), ('agent', agent_id), ('app', app_id), ('run', run_id))
        AS name (kind, value) WHERE value IS NOT NULL GROUP BY kind, value
)
SELECT coalesce(i.kind, c.kind), coalesce(i.value, c.value), i.memories, c.memories, i.owned, c.owned
FROM memory.identifiers i FULL JOIN counted c ON c.kind = i.kind AND c.value = i.value
WHERE coalesce(i.memories, 0) <> coalesce(c.memories, 0) OR coalesce(i.owned, 0) <> coalesce(c.owned, 0)
"""


async def fill(memories: Memories, user: str, count: int) -> None:
    """Many memories, two hundred an add."""
    for start in range(0, count, 200):
        texts = [f"memory {n} of many" for n in range(start, min(start + 200, count))]
        await memories.add(*texts, user=user, run=f"{user}-run")


async def test_a_large_scope_is_deleted_and_restored_in_bounded_time(
    memories: Memories, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten thousand memories: all of them and only they, logged as a mass deletion, back with all that they had."""
    await fill(memories, user, 10_000)
    await memories.add("a neighbour", user=f"{user}-2", run=f"{user}-run")
    began = time.monotonic()
    with caplog.at_level(logging.INFO):
        receipt = await memories.delete_scope({"user_id": user})
    deleted = time.monotonic()
    assert 10_000 == receipt.count
    assert ["mass_deletion"] == [
        fields["action"] for record in caplog.records if (fields := getattr(record, "memdeck_fields", None))
        and fields["action"] in {"mass_deletion", "scope_deleted"}
    ]  # fmt: skip
    assert [] == await memories.page({"user_id": user})
    assert ["a neighbour"] == await memories.texts("memory", {"run_id": f"{user}-run"})
    again = time.monotonic()
    assert 10_000 == (await memories.service.undo_event(receipt.id, ANYBODY)).count
    restored = time.monotonic()
    assert 10_001 == await memories.value(
        "SELECT count(*) FROM memory.memories JOIN memory.locator USING (owner, id) JOIN memory.vectors_1 USING (owner, id) "
        "WHERE run_id = $1",
        f"{user}-run",
    )
    assert deleted - began < 8
    assert restored - again < 8


async def test_a_small_deletion_is_no_mass_deletion(
    memories: Memories, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning that comes every day is read by nobody."""
    await memories.add("one", user=user)
    with caplog.at_level(logging.INFO):
        await memories.delete_scope({"user_id": user})
    levels = [
        r.levelno for r in caplog.records if getattr(r, "memdeck_fields", {}).get("action") == "scope_deleted"
    ]
    assert [logging.INFO] == levels


async def test_deletions_that_overlap_do_not_harm_each_other(memories: Memories, user: str) -> None:
    """By user and by run, with adds and updates among them: each is done or refused, nothing is half done."""
    runs = [f"{user}-r{n}" for n in range(4)]
    users = [f"{user}-u{n}" for n in range(4)]
    for name in users:
        for run in runs:
            await memories.add(*[f"{name} {run} {n}" for n in range(25)], user=name, run=run)
    targets = await memories.page({"run_id": {"in": runs}})
    work: list[Any] = [memories.delete_scope({"user_id": name}) for name in users]
    work += [memories.delete_scope({"run_id": run}) for run in runs]
    work += [memories.change(memory.id, text="changed") for memory in targets[::20]]
    work += [memories.add("late", user=users[n % 4], run=runs[n % 4]) for n in range(10)]
    told = await asyncio.gather(*work, return_exceptions=True)
    odd = [
        one
        for one in told
        if isinstance(one, Exception) and not isinstance(one, MemoryNotFound | StoreUnavailable)
    ]
    assert [] == odd
    assert {"late"} >= {memory.text for memory in await memories.page({"run_id": {"in": runs}})}


async def leftovers(memories: Memories, word: str) -> list[str]:
    """The tables in which a word still stands."""
    found = []
    for table in TABLES_WITH_TEXT:
        sql = f"SELECT count(*) FROM memory.{table} t WHERE strpos(t::text, $1) > 0"  # noqa: S608 - our names
        if await memories.value(sql, word):
            found.append(table)
    return found


async def test_a_purge_forgets_the_text_everywhere(make_memories: MakeMemories) -> None:
    """Once a deletion can no longer be undone, nothing of it is left: history, receipts, keys, feedback, index."""
    memories = await make_memories(background=("writer",))
    secret = "xylophonist"
    (memory_id,) = await memories.add(
        NewMessage(f"{secret} one", "user", f"{secret}ian"),
        user="u",
        metadata={secret: secret},
        idempotency_key=secret,
    )
    await memories.change(memory_id, text=f"{secret} two")
    await memories.service.feedback(memory_id, "NEGATIVE", f"not {secret}", ANYBODY)
    await memories.projection.rebuild(str(await memories.value("SELECT id FROM memory.lineage")))
    await memories.service.delete(memory_id, ANYBODY)
    assert 0 == await purge(memories.database, 24)
    await memories.age(25)
    await memories.rows("UPDATE memory.idempotency_keys SET created_at = created_at - interval '25 hours'")
    assert 1 == await purge(memories.database, 24)
    assert [] == await leftovers(memories, secret)
    await memories.catch_up()
    assert 0 == memories.index.documents
    for question in (memories.service.undo, memories.service.history):
        with pytest.raises(MemoryNotFound):
            await question(memory_id, ADMIN)


async def test_a_purge_spares_what_is_alive_or_can_still_be_undone(make_memories: MakeMemories) -> None:
    """Alive, brought back, deleted lately after an old deletion: each keeps its history."""
    memories = await make_memories(background=("writer",))
    alive, back, late, gone = await memories.add("alive", "back", "late", "gone", user="u")
    await memories.service.delete_many([back, late, gone], ANYBODY)
    await memories.service.undo(back, ANYBODY)
    await memories.service.undo(late, ANYBODY)
    await memories.age(25)
    await memories.service.delete(late, ANYBODY)
    assert 1 == await purge(memories.database, 24)
    for memory_id in (alive, back, late):
        assert await memories.service.history(memory_id, ANYBODY)
    with pytest.raises(MemoryNotFound):
        await memories.service.history(gone, ANYBODY)
    await memories.service.undo(late, ANYBODY)
    assert ["late", "back", "alive"] == [memory.text for memory in await memories.page({"user_id": "u"})]


async def test_the_undo_of_a_purged_deletion_is_expired(make_memories: MakeMemories) -> None:
    """And not a success that brings nothing back."""
    memories = await make_memories(background=("writer",))
    await memories.add("one", user="u")
    event = (await memories.delete_scope({"user_id": "u"})).id
    await memories.age(25)
    with pytest.raises(UndoExpired):
        await memories.service.undo_event(event, ANYBODY)
    await purge(memories.database, 24)
    with pytest.raises(UndoExpired):
        await memories.service.undo_event(event, ANYBODY)
    await memories.age(31 * 24)
    await purge(memories.database, 24)
    with pytest.raises(EventNotFound):
        await memories.service.undo_event(event, ANYBODY)


async def test_a_purge_of_many_goes_on_to_the_end(make_memories: MakeMemories) -> None:
    """More than one batch."""
    memories = await make_memories(background=("writer",))
    await fill(memories, "u", 6_000)
    await memories.delete_scope({"user_id": "u"})
    await memories.age(25)
    assert 6_000 == await purge(memories.database, 24)
    assert 0 == await memories.value("SELECT count(*) FROM memory.history")


class Walk:
    """Random operations on random names."""

    def __init__(self, memories: Memories, rng: random.Random) -> None:
        self.memories, self.rng = memories, rng
        self.ids: list[uuid.UUID] = []
        self.events: list[uuid.UUID] = []

    def names(self) -> dict[str, Any]:
        given = {kind: f"{kind}{self.rng.randint(1, 2)}" for kind in ("user", "agent", "app", "run")}
        kept = {kind: value for kind, value in given.items() if self.rng.random() < 0.6}
        return kept or {"run": "run1"}

    async def add(self) -> None:
        self.ids += await self.memories.add(*["text"] * self.rng.randint(1, 3), **self.names())

    async def update(self) -> None:
        await self.memories.change(self.rng.choice(self.ids), text=str(self.rng.random()))

    async def delete(self) -> None:
        chosen = self.rng.sample(self.ids, min(2, len(self.ids)))
        self.events.append((await self.memories.service.delete_many(chosen, ANYBODY)).id)

    async def delete_scope(self) -> None:
        names = Identifiers.of(**self.names())
        where = {f"{name.kind}_id": name.value for name in names.named()}
        self.events.append((await self.memories.delete_scope(where)).id)

    async def undo(self) -> None:
        await self.memories.service.undo(self.rng.choice(self.ids), ANYBODY)

    async def undo_event(self) -> None:
        await self.memories.service.undo_event(self.rng.choice(self.events), ANYBODY)

    async def step(self) -> None:
        """One operation; one that has nothing to work on does nothing."""
        work = self.rng.choice(
            [
                self.add,
                self.add,
                self.update,
                self.delete,
                self.delete_scope,
                self.undo,
                self.undo,
                self.undo_event,
            ]
        )
        try:
            await work()
        except (MemoryNotFound, EventNotFound, UndoExpired, IndexError):
            return


@pytest.mark.parametrize("seed", range(3))
async def test_counters_agree_with_what_is_there(make_memories: MakeMemories, seed: int) -> None:
    """After any sequence of operations, alone and many at once; and so do locator and vectors."""
    memories = await make_memories(background=("writer",))
    walk = Walk(memories, random.Random(seed))  # noqa: S311 - reproducible
    for _ in range(60):
        await walk.step()
    assert [] == await memories.rows(COUNTERS_ARE_WRONG)
    await asyncio.gather(*(walk.step() for _ in range(60)))
    assert [] == await memories.rows(COUNTERS_ARE_WRONG)
    for table in ("locator", "vectors_1"):
        assert 0 == await memories.value(
            f"SELECT count(*) FROM memory.memories m FULL JOIN memory.{table} t USING (owner, id) "  # noqa: S608
            "WHERE m.id IS NULL OR t.id IS NULL"
        )
    total, names, _ = await memories.service.totals()
    assert total == await memories.value("SELECT count(*) FROM memory.memories")
    for kind in ("user", "agent", "app", "run"):
        there = await memories.value(f"SELECT count(DISTINCT {kind}_id) FROM memory.memories")  # noqa: S608
        assert there == names.get(kind, 0)
