"""Memory without a database: what `memory.service.MemoryService` promises, in a dictionary.

Good enough for tests of the API: filters, reach, expiry, history and undo behave; search counts words.
"""

import hashlib
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from msgspec import structs

from memdeck_common.clock import Clock, Identity
from memdeck_common.errors import Conflict, EventNotFound, MemoryNotFound, UndoExpired
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import (
    KINDS,
    Caller,
    Change,
    Entity,
    Event,
    Found,
    HistoryEntry,
    Hit,
    Identifier,
    Identifiers,
    Json,
    Kind,
    Memory,
    NewMemories,
    Outcome,
    Part,
    Receipt,
    Stage,
    matches,
    without_unset,
)
from tests.fakes.filter_truth import holds

UNDO: Final = timedelta(hours=24)
WITHOUT_LLM: Final = "No LLM is configured: the messages were stored as they are, nothing was extracted."


@dataclass(frozen=True, slots=True)
class _Entry:
    """One change: what was before it, what after."""

    id: uuid.UUID
    event: Event
    before: Memory | None
    after: Memory | None
    by: str
    at: Any
    receipt_id: uuid.UUID

    @property
    def subject(self) -> Memory:
        """The memory that was changed."""
        found = self.after or self.before
        assert found is not None
        return found


class FakeMemoryService:
    """All memories in one process."""

    def __init__(self, clock: Clock, identity: Identity, *, threshold: float = 0.1) -> None:
        self._clock, self._identity, self._threshold = clock, identity, threshold
        self._memories: dict[uuid.UUID, Memory] = {}
        self._log: list[_Entry] = []
        self._receipts: dict[uuid.UUID, tuple[str, Receipt]] = {}
        self._exports: dict[uuid.UUID, tuple[str, Json]] = {}
        self._by_key: dict[tuple[str, str], tuple[NewMemories, Receipt]] = {}
        self._project: Json = {}

    # --- adding and finding -----------------------------------------------------------------------------------------

    async def add(self, new: NewMemories, caller: Caller) -> Receipt:
        """Store messages."""
        filters.check_scope(filters.of_identifiers(new.identifiers), caller.reach)
        key = (caller.key_id, new.idempotency_key or "")
        if new.idempotency_key and key in self._by_key:
            known, receipt = self._by_key[key]
            if known != new:
                raise Conflict("This Idempotency-Key was used for another body.")
            return receipt
        receipt_id = self._identity.uuid()
        outcomes = tuple(self._added(new, index, receipt_id, caller) for index in range(len(new.messages)))
        stored = sum(outcome.event is Event.ADD for outcome in outcomes)
        note = WITHOUT_LLM if new.infer else ""
        receipt = self._keep(receipt_id, "add", caller, outcomes, stored, note)
        if new.idempotency_key:
            self._by_key[key] = (new, receipt)
        return receipt

    def _added(self, new: NewMemories, index: int, receipt_id: uuid.UUID, caller: Caller) -> Outcome:
        message, now = new.messages[index], self._clock.now()
        if message.role == "system" or not message.text.strip():
            return Outcome(Event.NONE, message.text, role=message.role, reason="Not stored.")
        memory = Memory(
            id=self._identity.uuid(),
            identifiers=new.identifiers,
            text=message.text,
            hash=_hash(message.text),
            metadata=new.metadata,
            created_at=new.created_at or now,
            updated_at=now,
            categories=new.categories,
            actor=message.actor,
            role=message.role,
            expiration_date=new.expiration_date,
            immutable=new.immutable,
            memory_type=new.memory_type,
        )
        twin = next(
            (
                m.id
                for m in self._memories.values()
                if (m.identifiers.owner, m.hash) == (memory.identifiers.owner, memory.hash)
            ),
            None,
        )
        self._change(None, memory, receipt_id, caller)
        return Outcome(Event.ADD, memory.text, memory.id, memory.role, memory.actor, twin)

    async def get(self, memory_id: uuid.UUID, caller: Caller) -> Memory:
        """One memory."""
        memory = self._memories.get(memory_id)
        if memory is None or not caller.reach.covers(memory.identifiers):
            raise MemoryNotFound(f"Memory with id {memory_id} not found. Please provide a valid 'memory_id'")
        return memory

    def _matching(self, where: Filter, caller: Caller, *, show_expired: bool) -> list[Memory]:
        filters.check_scope(where, caller.reach)
        today = self._clock.now().date()
        found = [
            memory
            for memory in self._memories.values()
            if holds(where, memory)
            and (show_expired or memory.expiration_date is None or memory.expiration_date >= today)
        ]
        return sorted(found, key=lambda memory: (memory.created_at, memory.id), reverse=True)

    async def page(
        self, where: Filter, caller: Caller, *, page: int, size: int, show_expired: bool
    ) -> tuple[int, list[Memory]]:
        """How many there are, and one page of them, newest first."""
        found = self._matching(where, caller, show_expired=show_expired)
        return len(found), found[(page - 1) * size : page * size]

    def lacking(self, where: Filter, found: Iterable[Memory]) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing waits here."""
        return ()

    def outdated(self, memory_id: uuid.UUID, names: Identifiers) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing waits here."""
        return ()

    async def search(
        self,
        query: str,
        where: Filter,
        caller: Caller,
        *,
        top_k: int,
        threshold: float | None,
        show_expired: bool,
        explain: bool,
    ) -> Found:
        """Hits by the share of the query's words that they hold."""
        found = self._matching(where, caller, show_expired=show_expired)
        asked, least = _words(query), self._threshold if threshold is None else threshold
        scored = [(len(asked & _words(memory.text)) / max(len(asked), 1), memory) for memory in found]
        hits = tuple(
            Hit(memory, score, score, score > 0, (Part("bm25", "lexical", score, score),))
            for score, memory in sorted(scored, key=lambda pair: (-pair[0], pair[1].id))
            if score >= least
        )
        stages = (Stage("lexical", 0.0, 0.1, parallel=True),) if explain else ()
        return Found(hits[:top_k], len(found), stages=stages, threshold=least)

    # --- changing ---------------------------------------------------------------------------------------------------

    async def update(self, memory_id: uuid.UUID, change: Change, caller: Caller) -> Memory:
        """Change one memory."""
        await self.update_many([(memory_id, change)], caller)
        return self._memories[memory_id]

    async def update_many(self, changes: Sequence[tuple[uuid.UUID, Change]], caller: Caller) -> Receipt:
        """Change several, all or nothing."""
        for memory_id, _ in changes:
            if (await self.get(memory_id, caller)).immutable:
                raise Conflict(f"Memory {memory_id} is immutable; delete it and add it anew.")
        receipt_id = self._identity.uuid()
        for memory_id, change in changes:
            before = self._memories[memory_id]
            text = before.text if change.text is None else change.text
            after = structs.replace(
                before,
                text=text,
                hash=_hash(text),
                metadata={**before.metadata, **(change.metadata or {})},
                expiration_date=without_unset(change.expiration_date, before.expiration_date),
                created_at=change.created_at or before.created_at,
                updated_at=self._clock.now(),
            )
            self._change(before, after, receipt_id, caller)
        return self._keep(receipt_id, "update", caller, (), len(changes))

    async def delete(self, memory_id: uuid.UUID, caller: Caller) -> Receipt:
        """Delete one."""
        return await self.delete_many([memory_id], caller)

    async def delete_many(self, ids: Sequence[uuid.UUID], caller: Caller) -> Receipt:
        """Delete several, all or nothing."""
        return self._deleted([await self.get(memory_id, caller) for memory_id in ids], "delete", caller)

    async def delete_scope(self, where: Filter, caller: Caller) -> Receipt:
        """Delete all that match."""
        return self._deleted(self._matching(where, caller, show_expired=True), "delete_scope", caller)

    def _deleted(self, gone: list[Memory], kind: str, caller: Caller) -> Receipt:
        receipt_id = self._identity.uuid()
        for memory in gone:
            self._change(memory, None, receipt_id, caller)
        outcomes = tuple(Outcome(Event.DELETE, memory.text, memory.id) for memory in gone)
        return self._keep(receipt_id, kind, caller, outcomes, len(gone))

    async def undo(self, memory_id: uuid.UUID, caller: Caller) -> tuple[str, Memory | None] | Receipt:
        """Revert the last change."""
        entries = [e for e in self._log if e.subject.id == memory_id]
        if not entries or not caller.reach.covers(entries[-1].subject.identifiers):
            raise MemoryNotFound(f"Memory with id {memory_id} not found")
        last = entries[-1]
        if self._clock.now() - last.at > UNDO:
            raise UndoExpired
        self._change(last.after, last.before, self._identity.uuid(), caller)
        return "The last change was undone.", self._memories.get(memory_id)

    async def undo_event(self, event_id: uuid.UUID, caller: Caller) -> Receipt:
        """Bring back what a deletion took."""
        receipt = await self.receipt(event_id, caller)
        if not receipt.kind.startswith("delete"):
            raise EventNotFound
        if receipt.undone_at is not None:
            raise UndoExpired("This deletion was undone before.")
        gone = [entry for entry in self._log if entry.receipt_id == event_id and entry.before is not None]
        receipt_id = self._identity.uuid()
        for entry in gone:
            self._change(None, entry.before, receipt_id, caller)
        self._receipts[event_id] = (caller.key_id, replace(receipt, undone_at=self._clock.now()))
        return self._keep(receipt_id, "undo", caller, (), len(gone))

    # --- looking up -------------------------------------------------------------------------------------------------

    async def history(self, memory_id: uuid.UUID, caller: Caller) -> list[HistoryEntry]:
        """All changes, oldest first."""
        entries = [entry for entry in self._log if entry.subject.id == memory_id]
        if not entries or not caller.reach.covers(entries[-1].subject.identifiers):
            raise MemoryNotFound(f"Memory with id {memory_id} not found")
        return [
            HistoryEntry(
                id=entry.id,
                memory_id=memory_id,
                identifiers=entry.subject.identifiers,
                event=entry.event,
                old_text=entry.before.text if entry.before else None,
                new_text=entry.after.text if entry.after else None,
                metadata=entry.subject.metadata,
                actor=entry.subject.actor,
                role=entry.subject.role,
                changed_by=entry.by,
                created_at=entry.subject.created_at,
                changed_at=entry.at,
                undo_until=entry.at + UNDO,
            )
            for entry in entries
        ]

    async def entities(
        self, caller: Caller, *, kind: Kind | None, page: int, size: int
    ) -> tuple[int, list[Entity], dict[str, int]]:
        """How many, a page sorted by (kind, value), and totals by kind."""
        carried: dict[Identifier, list[Memory]] = {}
        for memory in self._memories.values():
            for name in memory.identifiers.named():
                if kind in {None, name.kind} and _sees(caller, name):
                    carried.setdefault(name, []).append(memory)
        found = [
            Entity(name, len(held), min(m.created_at for m in held), max(m.updated_at for m in held))
            for name, held in sorted(carried.items(), key=lambda pair: (pair[0].kind, pair[0].value))
        ]
        totals: dict[str, int] = {
            known: sum(entity.identifier.kind == known for entity in found) for known in KINDS
        }
        return len(found), found[(page - 1) * size : page * size], totals

    async def receipt(self, event_id: uuid.UUID, caller: Caller) -> Receipt:
        """What became of a write."""
        key_id, receipt = self._receipts.get(event_id, ("", None))
        if receipt is None or (caller.reach.pinned and key_id != caller.key_id):
            raise EventNotFound
        return receipt

    async def receipts(self, caller: Caller, *, page: int, size: int) -> tuple[int, list[Receipt]]:
        """How many, and a page, newest first."""
        seen = [
            r for key_id, r in self._receipts.values() if not caller.reach.pinned or key_id == caller.key_id
        ]
        newest = seen[::-1]
        return len(newest), newest[(page - 1) * size : page * size]

    async def feedback(
        self, memory_id: uuid.UUID, verdict: str | None, reason: str | None, caller: Caller
    ) -> uuid.UUID:
        """Keep a verdict on a memory."""
        del verdict, reason
        await self.get(memory_id, caller)
        return self._identity.uuid()

    async def create_export(self, where: Json, schema: Json, caller: Caller) -> uuid.UUID:
        """Keep what is to be exported."""
        del schema
        filters.check_scope(filters.parse(where), caller.reach)
        export_id = self._identity.uuid()
        self._exports[export_id] = (caller.key_id, where)
        return export_id

    async def export(self, export_id: uuid.UUID | None, where: Json | None, caller: Caller) -> list[Memory]:
        """The memories of an export by its id, or of a filter."""
        if export_id is not None:
            key_id, where = self._exports.get(export_id, ("", None))
            if where is None or key_id != caller.key_id:
                raise EventNotFound("No such export; create it first.")
        return self._matching(filters.parse(where or {}), caller, show_expired=True)

    async def project(self) -> Json:
        """The project's settings that were set."""
        return dict(self._project)

    async def change_project(self, values: Json) -> Json:
        """Set some of them."""
        self._project.update(values)
        return dict(self._project)

    # ----------------------------------------------------------------------------------------------------------------

    def _change(
        self, before: Memory | None, after: Memory | None, receipt_id: uuid.UUID, caller: Caller
    ) -> None:
        event = Event.ADD if before is None else Event.DELETE if after is None else Event.UPDATE
        entry = _Entry(
            self._identity.uuid(), event, before, after, caller.name, self._clock.now(), receipt_id
        )
        self._log.append(entry)
        if after is None:
            self._memories.pop(entry.subject.id, None)
        else:
            self._memories[after.id] = after

    def _keep(
        self,
        receipt_id: uuid.UUID,
        kind: str,
        caller: Caller,
        outcomes: tuple[Outcome, ...],
        count: int,
        note: str = "",
    ) -> Receipt:
        receipt = Receipt(receipt_id, kind, self._clock.now(), outcomes, note, count)
        self._receipts[receipt_id] = (caller.key_id, receipt)
        return receipt


def _sees(caller: Caller, name: Identifier) -> bool:
    pinned = dict(caller.reach.pinned)
    return not pinned or matches(name.value, pinned.get(name.kind, ()))


def _hash(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
