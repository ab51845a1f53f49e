"""What can be done with memories: the one door to this wing.

Owns the rules that hold for every way in: who may reach what, what is stored as what, that every change can be undone
for a while. Refuses to know how requests look. Methods that take a `caller` see only what is within its reach: another's
memory does not exist for it (`MemoryNotFound`), another's scope is forbidden to it.
"""

import logging
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from memdeck_common.clock import Clock, Identity
from memdeck_common.errors import BadRequest, EventNotFound, MemoryNotFound, SpoolFull, StoreUnavailable
from memdeck_common.log import action
from memdeck_common.settings import Memory as MemorySettings
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.embedding.failures import EmbedderFailed
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import (
    Caller,
    Change,
    Entity,
    Found,
    HistoryEntry,
    Identifiers,
    Json,
    Kind,
    Memory,
    NewMemories,
    Receipt,
    check_storable,
)
from memdeck_daemon.memory.recall.search import Question, Recall
from memdeck_daemon.memory.spool.service import Spool
from memdeck_daemon.memory.store import ledger, reads
from memdeck_daemon.memory.writing import Writing

log = logging.getLogger(__name__)

MASS_DELETION: Final = 1_000
"""A deletion of more memories than this is logged as a warning."""
EXPORT_LIMIT: Final = 50_000
"""Memories that one answer may hold."""
EXPORT_PAGE: Final = 2_000


class MemoryService:
    """Memories of one database."""

    def __init__(
        self,
        database: Database,
        writing: Writing,
        spool: Spool,
        recall: Recall,
        settings: MemorySettings,
        clock: Clock,
        identity: Identity,
    ) -> None:
        self._database, self._writing, self._spool, self._recall = database, writing, spool, recall
        self._settings, self._clock, self._identity = settings, clock, identity

    # --- adding and finding -----------------------------------------------------------------------------------------

    async def add(self, new: NewMemories, caller: Caller) -> Receipt:
        """Store messages, one memory each; on return they are committed and searchable, or `queued` on the disk.

        Raises:
            Forbidden: the identifiers are outside the caller's pins.
            BadRequest: a text holds a character that cannot be stored.
            Conflict: the idempotency key was used for another body.
            OutcomeUnknown: nobody knows whether it was stored; asking again with the same idempotency key is safe.
            StoreUnavailable, SpoolFull, DiskFull: nothing was stored.
        """
        filters.check_scope(filters.of_identifiers(new.identifiers), caller.reach)
        _check_storable(new)
        return await self._writing.add(new, caller)

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
        """The memories that answer a query best.

        `threshold` (0 to 1, None for the default) applies to the cosine; keyword hits are exempt.

        Raises:
            NoScope, AdminRequired, Forbidden: what `filters.check_scope` says.
        """
        if not query.strip():
            raise BadRequest("Invalid query: cannot be empty or whitespace-only.", field="query")
        check_storable(query, "query")
        question = Question(
            query=query,
            where=where,
            branches=filters.check_scope(where, caller.reach),
            top_k=top_k,
            threshold=self._settings.default_threshold if threshold is None else threshold,
            today=self._today(show_expired),
            explain=explain,
        )
        return self._with_what_waits(question, await self._recall.search(question))

    def _with_what_waits(self, question: Question, found: Found) -> Found:
        """An answer that says so where an acknowledged write is not in it yet, or its embedder is not known yet."""
        if self._recall.queries.spaces.expected:
            found = replace(found, degraded=(EmbedderFailed.part, *found.degraded))
        lacking = self._lacking(question.branches, (hit.memory for hit in found.hits))
        return replace(found, degraded=(*found.degraded, *lacking)) if lacking else found

    def _lacking(self, branches: reads.Branches, found: Iterable[Memory]) -> tuple[str, ...]:
        names = [str(name) for branch in branches for name in branch] if all(branches) else None
        lacks = self._spool.journal.concerns(names, (str(memory.id) for memory in found))
        return (SpoolFull.part,) if lacks else ()

    def lacking(self, where: Filter, found: Iterable[Memory]) -> tuple[str, ...]:
        """What an answer that a filter found had to do without: acknowledged writes that are not in it yet."""
        return self._lacking(filters.branches(where), found)

    def outdated(self, memory_id: uuid.UUID, names: Identifiers) -> tuple[str, ...]:
        """What an answer about one memory had to do without: acknowledged changes that have not been made yet."""
        waits = self._spool.journal.contradicts(map(str, names.named()), [str(memory_id)])
        return (SpoolFull.part,) if waits else ()

    async def get(self, memory_id: uuid.UUID, caller: Caller) -> Memory:
        """One memory.

        Raises:
            MemoryNotFound: it does not exist within the caller's reach.
            StoreUnavailable: it waits on the disk to be stored or brought back, or the database does not answer.
        """
        async with self._database.connection() as connection:
            memory = await reads.one(connection, memory_id)
        if memory is None and self._spool.journal.makes(memory_id):
            raise StoreUnavailable("A write that waits on the disk may bring this memory; try again shortly.")
        if memory is None or not caller.reach.covers(memory.identifiers):
            raise MemoryNotFound(f"Memory with id {memory_id} not found. Please provide a valid 'memory_id'")
        return memory

    async def page(
        self, where: Filter, caller: Caller, *, page: int, size: int, show_expired: bool
    ) -> tuple[int, list[Memory]]:
        """How many memories match, and page `page` (from 1) of them, newest first."""
        branches = filters.check_scope(where, caller.reach)
        async with self._database.connection() as connection:
            return await reads.page(
                connection,
                where,
                branches,
                offset=(page - 1) * size,
                limit=size,
                today=self._today(show_expired),
            )

    def _today(self, show_expired: bool) -> date | None:
        return None if show_expired else self._clock.now().date()

    # --- changing -----------------------------------------------------------------------------------------------------

    # Each of these answers with a receipt that is `queued` where the database does not answer: it is carried out later, and
    # only then it turns out whether there is such a memory.

    async def update(self, memory_id: uuid.UUID, change: Change, caller: Caller) -> Memory | Receipt:
        """Change a memory and return it as it is now; as `update_many`."""
        _check_changes([(memory_id, change)])
        receipt, after = await self._writing.update([(memory_id, change)], caller)
        return after[0] if after else receipt

    async def update_many(self, changes: Sequence[tuple[uuid.UUID, Change]], caller: Caller) -> Receipt:
        """Change memories, all or none.

        Raises:
            MemoryNotFound: one does not exist within the caller's reach.
            Conflict: one is immutable.
            BadRequest: a text holds a character that cannot be stored.
        """
        _check_changes(changes)
        return (await self._writing.update(changes, caller))[0]

    async def delete(self, memory_id: uuid.UUID, caller: Caller) -> Receipt:
        """Delete a memory; it can be brought back for a while."""
        return await self._writing.delete([memory_id], caller)

    async def delete_many(self, ids: Sequence[uuid.UUID], caller: Caller) -> Receipt:
        """Delete memories, all or none."""
        return await self._writing.delete(ids, caller)

    async def delete_scope(self, where: Filter, caller: Caller) -> Receipt:
        """Delete every memory that matches, expired ones too; the receipt's id is the event that undoes it."""
        filters.check_scope(where, caller.reach)
        receipt = await self._writing.delete_scope(where, caller)
        if receipt.queued:
            return receipt
        level = logging.WARNING if receipt.count > MASS_DELETION else logging.INFO
        name = "mass_deletion" if receipt.count > MASS_DELETION else "scope_deleted"
        log.log(
            level,
            "deleted %d memories of a scope; event %s brings them back",
            receipt.count,
            receipt.id,
            extra=action(name, memories=receipt.count, event=str(receipt.id), by=caller.name),
        )
        return receipt

    async def undo(self, memory_id: uuid.UUID, caller: Caller) -> tuple[str, Memory | None] | Receipt:
        """Revert a memory's last change: a sentence, and the memory as it is now (None: it is gone).

        Raises:
            MemoryNotFound: nothing is known of it within the caller's reach.
            UndoExpired: the change is too old.
        """
        return await self._writing.undo(memory_id, caller)

    async def undo_event(self, event_id: uuid.UUID, caller: Caller) -> Receipt:
        """Bring back everything that a deletion took and that does not exist again.

        Raises:
            EventNotFound: no such deletion within the caller's reach.
            UndoExpired: it is too old, or was undone before.
        """
        return await self._writing.undo_event(event_id, caller)

    # --- looking up ---------------------------------------------------------------------------------------------------

    async def history(self, memory_id: uuid.UUID, caller: Caller) -> list[HistoryEntry]:
        """All changes of a memory, oldest first, also of one that was deleted a while ago.

        Raises:
            MemoryNotFound: nothing is known of it within the caller's reach.
        """
        async with self._database.connection() as connection:
            entries = await reads.history(connection, memory_id, self._settings.undo_hours)
        if not entries or not all(caller.reach.covers(entry.identifiers) for entry in entries):
            raise MemoryNotFound(f"Memory with id {memory_id} not found")
        return entries

    async def entities(
        self, caller: Caller, *, kind: Kind | None, page: int, size: int
    ) -> tuple[int, list[Entity], dict[str, int]]:
        """How many names have memories, page `page` (from 1) of them by kind and name, and how many by kind."""
        patterns: dict[str, list[str]] = {
            name: [_regular(p) for p in pinned] for name, pinned in caller.reach.pinned
        }
        async with self._database.connection() as connection:
            return await reads.entities(connection, kind, patterns, (page - 1) * size, size)

    async def receipt(self, event_id: uuid.UUID, caller: Caller) -> Receipt:
        """What became of a write.

        Raises:
            EventNotFound: there is none with this id that the caller may see.
        """
        if waiting := await self._spool.receipt(event_id, caller):
            return waiting
        async with self._database.connection() as connection:
            found = await ledger.find(connection, event_id, _only(caller))
        if found is None:
            raise EventNotFound
        return found

    async def receipts(self, caller: Caller, *, page: int, size: int) -> tuple[int, list[Receipt]]:
        """How many writes are remembered, and page `page` (from 1) of them: those that wait, then the others, newest first."""
        waiting, first = self._spool.journal.receipts(_only(caller))[::-1], (page - 1) * size
        found = [await self._spool.receipt(one, caller) for one in waiting[first : first + size]]
        shown = [receipt for receipt in found if receipt is not None]  # others were carried out meanwhile
        async with self._database.connection() as connection:
            offset = max(0, first - len(waiting))
            count, rest = await ledger.page(connection, _only(caller), offset, size - len(found))
        # What waits may have been committed, before or meanwhile; it is told once.
        told = {receipt.id for receipt in shown}
        rest = [one for one in rest if one.id not in told and not self._spool.journal.waits(one.id)]
        return len(waiting) + count, [*shown, *rest]

    async def feedback(
        self, memory_id: uuid.UUID, verdict: str | None, reason: str | None, caller: Caller
    ) -> uuid.UUID:
        """Keep what the caller thinks of a memory: POSITIVE, NEGATIVE, VERY_NEGATIVE, or None to take it back."""
        await self.get(memory_id, caller)
        feedback_id = self._identity.uuid()
        async with self._database.connection() as connection:
            await ledger.insert_feedback(connection, feedback_id, memory_id, verdict, reason, caller.name)
        return feedback_id

    async def create_export(self, where: Json, schema: Json, caller: Caller) -> uuid.UUID:
        """Keep what is to be exported; the filter is checked now and applied when the export is fetched."""
        filters.check_scope(filters.parse(where), caller.reach)
        export_id = self._identity.uuid()
        async with self._database.connection() as connection:
            await ledger.insert_export(connection, export_id, schema, where, caller.key_id)
        return export_id

    async def export(self, export_id: uuid.UUID | None, where: Json | None, caller: Caller) -> list[Memory]:
        """The memories of an export, newest first.

        Raises:
            EventNotFound: this key made no such export.
            BadRequest: it holds more than `EXPORT_LIMIT`.
        """
        if export_id is not None:
            async with self._database.connection() as connection:
                where = await ledger.find_export(connection, export_id, caller.key_id)
            if where is None:
                raise EventNotFound("No such export; create it first.")
        parsed, memories = filters.parse(where or {}), dict[uuid.UUID, Memory]()
        for number in range(1, EXPORT_LIMIT // EXPORT_PAGE + 1):
            count, found = await self.page(parsed, caller, page=number, size=EXPORT_PAGE, show_expired=True)
            if count > EXPORT_LIMIT:
                raise BadRequest(
                    f"This export holds {count:,} memories, more than the {EXPORT_LIMIT:,} of one answer: narrow its "
                    "filters, or use `memdeck export`, which reads page by page."
                )
            # By id: what is added meanwhile moves the pages.
            memories |= {memory.id: memory for memory in found}
            if len(found) < EXPORT_PAGE:
                break
        return list(memories.values())

    async def project(self) -> Json:
        """The project settings that were set."""
        async with self._database.connection() as connection:
            return await ledger.read_settings(connection)

    async def change_project(self, values: Json) -> Json:
        """Set project settings and return all; None takes one back."""
        async with self._database.transaction() as connection:
            await ledger.write_settings(connection, values)
            return await ledger.read_settings(connection)

    async def totals(self) -> tuple[int, dict[str, int], int]:
        """All memories, how many names have some by kind, and the size of the database in bytes."""
        async with self._database.connection() as connection:
            return await reads.totals(connection)


def _check_storable(new: NewMemories) -> None:
    for number, message in enumerate(new.messages):
        check_storable((message.text, message.role, message.actor), f"messages[{number}]")
    check_storable(new.metadata, "metadata")
    check_storable((new.categories, new.memory_type), "the memory")
    check_storable(new.idempotency_key, "Idempotency-Key")


def _check_changes(changes: Sequence[tuple[uuid.UUID, Change]]) -> None:
    for _, change in changes:
        check_storable(change.text, "text")
        check_storable(change.metadata, "metadata")


def _only(caller: Caller) -> str | None:
    """Receipts name memories: a pinned key sees its own alone."""
    return caller.key_id if caller.reach.pinned else None


def _regular(pattern: str) -> str:
    return "^" + ".*".join(re.escape(part) for part in pattern.split("*")) + "$"
