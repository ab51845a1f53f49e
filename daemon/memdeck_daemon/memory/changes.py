"""Changing, forgetting and bringing back.

Owns the order of a change: lock, check, log the row as it was, change, count; one transaction each. An undo is a change
itself, so undoing twice leads back to where one was.
"""

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from msgspec.structs import replace

from memdeck_common.clock import Clock, Identity
from memdeck_common.errors import (
    Conflict,
    EventNotFound,
    MemoryNotFound,
    PartlyDone,
    Unavailable,
    UndoExpired,
)
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory import intents
from memdeck_daemon.memory.embedding.local import LocalEmbedder
from memdeck_daemon.memory.filters import names_only
from memdeck_daemon.memory.generations import Generations
from memdeck_daemon.memory.intents import AnyIntent, Intent
from memdeck_daemon.memory.model import Caller, Change, Event, Memory, Outcome, Receipt, without_unset
from memdeck_daemon.memory.recall.block import spoken
from memdeck_daemon.memory.recall.hotset import HotSet
from memdeck_daemon.memory.scopes import Scopes
from memdeck_daemon.memory.sessions import store as traces
from memdeck_daemon.memory.store import changes, counters, ledger, reads, rows, vectors

EMBED_BATCH = 256
DELETED = (
    "The database went away half-way: at least {done:,} memories were deleted, the rest was not. Ask again for the rest; "
    "POST /v1/events/{receipt}/undo brings back what was deleted."
)
BROUGHT_BACK = "The database went away half-way: at least {done:,} memories are back, the rest is not. Ask again for the rest."
PART = 5_000
"""Memories that one transaction deletes or brings back at most; more would hold it open for seconds."""


@dataclass(frozen=True, slots=True)
class Changer:
    """Changes to the memories of one database."""

    database: Database
    generations: Generations
    embedder: LocalEmbedder
    scopes: Scopes
    hot: HotSet
    clock: Clock
    identity: Identity
    undo_hours: float
    wake: Callable[[], None]
    """Called after a commit: there is something for the projections to read."""

    async def perform(self, intent: AnyIntent, *, begun: bool = False) -> None:
        """Carry a change out that has waited; errors as those of its kind. `begun`: its receipt is there."""
        match intent:
            case intents.Update():
                await self.update(intent)
            case intents.Delete():
                await self.delete(intent)
            case intents.DeleteScope():
                await self.delete_scope(intent, begun=begun)
            case intents.Undo():
                await self.undo(intent)
            case intents.UndoEvent():
                await self.undo_event(intent)
            case intents.Add():
                raise TypeError("adds are the writer's")

    async def update(self, intent: intents.Update) -> tuple[Receipt, list[Memory]]:
        """Apply changes, all or none; the memories as they are now, in the order asked for."""
        after: dict[uuid.UUID, Memory] = {}
        async with self.generations.writing() as writing:
            connection = writing.connection
            before = await self._locked(connection, [changed.id for changed in intent.changes], intent.caller)
            for changed in intent.changes:
                current = after.get(changed.id, before[changed.id])
                after[changed.id] = await self._replace(connection, current, changed.change, intent)
            receipt = await self._receipt(connection, intent, list(after.values()), Event.UPDATE)
            touched = await counters.bump(connection, [(memory.identifiers, 0) for memory in after.values()])
            writing.touched(touched)
        self._committed(touched)
        return receipt, [after[changed.id] for changed in intent.changes]

    async def _replace(self, connection: Any, before: Memory, change: Change, write: Intent) -> Memory:
        if before.immutable:
            raise Conflict(f"Memory {before.id} is immutable; delete it and add it anew.")
        after = replace(
            before,
            text=before.text if change.text is None else change.text,
            metadata={**before.metadata, **(change.metadata or {})},
            expiration_date=without_unset(change.expiration_date, before.expiration_date),
            created_at=change.created_at or before.created_at,
        )
        updated_at = await self._store(connection, before, after, write)
        return replace(after, hash=rows.hash_of(after.text), updated_at=updated_at)

    async def _store(self, connection: Any, before: Memory, after: Memory, write: Intent) -> datetime:
        vector = None
        if after.text != before.text:
            vector = (await self.embedder.embed([spoken(after.actor, after.text)]))[0]
        return await changes.update(connection, before, after, vector, _write(write), self.identity.uuid())

    async def delete(self, intent: intents.Delete) -> Receipt:
        """Delete memories, all or none."""
        async with self.generations.writing() as writing:
            connection = writing.connection
            gone = await self._locked(connection, intent.ids, intent.caller)
            receipt = await self._receipt(connection, intent, list(gone.values()), Event.DELETE)
            _, touched = await changes.delete(connection, list(gone), (), _write(intent))
            writing.touched(touched)
        self._committed(touched)
        return receipt

    async def delete_scope(self, intent: intents.DeleteScope, *, begun: bool = False) -> Receipt:
        """Delete every memory that matches, and with a filter of names alone their traces.

        A large scope goes in parts, each a transaction of its own under one receipt: what a crash leaves is whole, told by
        the receipt, and undone by it. Memories that are added meanwhile stay. `begun`: go on where it was interrupted.
        """
        where, branches, write, total = intent.filter, intent.branches, _write(intent), 0
        since = intent.receipt_id if begun else None
        if begun and (told := await self._finished(intent)):
            return told
        while True:
            async with _part(intent, DELETED, total), self.generations.writing() as writing:
                count, touched = await changes.delete(
                    writing.connection, where, branches, write, before=since, limit=PART
                )
                if since is None:
                    await ledger.insert(writing.connection, [ledger.Entry.of(intent, count=count)])
                    if names_only(where):
                        await traces.delete(writing.connection, where, branches, write.receipt_id)
                else:
                    await changes.count_more(writing.connection, write.receipt_id, count)
                writing.touched(touched)
            self._committed(touched)
            total += count
            if count < PART:
                return Receipt(write.receipt_id, "delete_scope", intent.at, count=total)
            since = since or write.receipt_id

    async def _finished(self, intent: intents.DeleteScope) -> Receipt | None:
        """The receipt of a deletion that was not interrupted: what it took may have been brought back since.

        The last part of one is smaller than the others, so one that was interrupted has taken whole parts.
        """
        async with self.database.connection() as connection:
            told = await ledger.find(connection, intent.receipt_id, None)
        if told is None or (told.undone_at is None and told.count and told.count % PART == 0):
            return None
        return told

    async def undo(self, intent: intents.Undo) -> tuple[str, Memory | None]:
        """Revert the last change of a memory."""
        memory_id = intent.memory_id
        async with self.generations.writing() as writing:
            connection = writing.connection
            await changes.lock(connection, [memory_id])
            last = await changes.last_change(connection, memory_id, self.undo_hours)
            if last is None or not intent.caller.reach.covers(rows.identifiers_of(last)):
                raise MemoryNotFound(f"Memory with id {memory_id} not found")
            if last["expired"]:
                raise UndoExpired
            sentence, touched = await self._revert(connection, memory_id, last, intent)
            told = [Outcome(Event(last["event"]), "", id=memory_id)]
            await ledger.insert(connection, [ledger.Entry.of(intent, told)])
            memory = await reads.one(connection, memory_id)
            writing.touched(touched)
        self._committed(touched)
        return sentence, memory

    async def _revert(
        self, connection: Any, memory_id: uuid.UUID, last: Any, intent: Intent
    ) -> tuple[str, list[counters.Counter]]:
        write = _write(intent)
        match Event(last["event"]):
            case Event.ADD:
                _, touched = await changes.delete(connection, [memory_id], (), write)
                return "The memory was removed again; undo once more to bring it back.", touched
            case Event.DELETE:
                _, touched = await self._bring_back(connection, [last["id"]], write)
                return "The memory is back.", touched
            case _:
                before = last["before"]
                current = (await changes.lock(connection, [memory_id]))[memory_id]
                after = replace(
                    current,
                    text=before["text"],
                    metadata=before["metadata"],
                    expiration_date=date.fromisoformat(day) if (day := before["expiration_date"]) else None,
                    categories=tuple(before["categories"]),
                    created_at=datetime.fromisoformat(before["created_at"]).astimezone(UTC),
                )
                await self._store(connection, current, after, intent)
                return "The memory is as it was before.", await counters.bump(
                    connection, [(after.identifiers, 0)]
                )

    async def undo_event(self, intent: intents.UndoEvent) -> Receipt:
        """Bring back what a deletion took, in parts as it went; what was interrupted is finished by asking again."""
        write, total = _write(intent), 0
        entries = await self._undoable(intent.event_id, intent.caller)
        parts = [entries[start : start + PART] for start in range(0, len(entries), PART)] or [[]]
        for number, part in enumerate(parts, 1):
            async with _part(intent, BROUGHT_BACK, total), self.generations.writing() as writing:
                count, touched = await self._bring_back(writing.connection, part, write)
                if number == len(parts):
                    await self._close_event(writing.connection, intent, total + count)
                writing.touched(touched)
            total += count
            self._committed(touched)
        return Receipt(write.receipt_id, "undo", intent.at, count=total)

    async def _undoable(self, event_id: uuid.UUID, caller: Caller) -> list[uuid.UUID]:
        async with self.database.connection() as connection:
            receipt = await ledger.find(connection, event_id, caller.key_id if caller.reach.pinned else None)
            if receipt is None or receipt.kind not in {"delete_scope", "delete"}:
                raise EventNotFound("No deletion has this event id, or it is older than what is kept.")
            if receipt.undone_at is not None:
                raise UndoExpired("This deletion was undone before.")
            entries, expired = await changes.deletions_of(connection, event_id, self.undo_hours)
        if expired and receipt.count:
            raise UndoExpired
        return entries

    async def _close_event(self, connection: Any, intent: intents.UndoEvent, count: int) -> None:
        if not await changes.mark_undone(connection, intent.event_id):
            raise UndoExpired("This deletion was undone before.")
        await traces.restore(connection, intent.event_id)
        await ledger.insert(connection, [ledger.Entry.of(intent, count=count)])

    async def _bring_back(
        self, connection: Any, history_ids: Sequence[uuid.UUID], write: changes.Write
    ) -> tuple[int, list[counters.Counter]]:
        """How many memories are back, and the counters."""
        restored = await changes.restore(connection, history_ids, write)
        for start in range(0, len(restored), EMBED_BATCH):
            part = restored[start : start + EMBED_BATCH]
            embedded = await self.embedder.embed([spoken(item.actor, item.text) for item in part])
            await vectors.insert(
                connection, [(item.owner, item.id, v) for item, v in zip(part, embedded, strict=True)]
            )
        return len(restored), await counters.bump(connection, [(item.identifiers, 1) for item in restored])

    async def _locked(
        self, connection: Any, ids: Sequence[uuid.UUID], caller: Caller
    ) -> dict[uuid.UUID, Memory]:
        found = await changes.lock(connection, ids)
        for memory_id in ids:
            if memory_id not in found or not caller.reach.covers(found[memory_id].identifiers):
                raise MemoryNotFound(
                    f"Memory with id {memory_id} not found. Please provide a valid 'memory_id'"
                )
        return found

    async def _receipt(
        self, connection: Any, intent: Intent, memories: list[Memory], event: Event
    ) -> Receipt:
        outcomes = tuple(Outcome(event, memory.text, id=memory.id, role=memory.role) for memory in memories)
        await ledger.insert(connection, [ledger.Entry.of(intent, outcomes)])
        return Receipt(intent.receipt_id, intent.kind, intent.at, outcomes, count=len(memories))

    def _committed(self, touched: list[counters.Counter]) -> None:
        self.scopes.learn(touched)
        self.hot.changed(touched)
        self.wake()


@asynccontextmanager
async def _part(intent: Intent, sentence: str, done: int) -> AsyncIterator[None]:
    """Around one part of a write of several: what went before stays, and who asked for it must know."""
    try:
        yield
    except Unavailable as error:
        if not done:
            raise
        receipt_id = str(intent.receipt_id)
        said = sentence.format(done=done, receipt=receipt_id)
        raise PartlyDone(said, count=done, receipt_id=receipt_id) from error


def _write(intent: Intent) -> changes.Write:
    return changes.Write(intent.receipt_id, intent.caller.name)
