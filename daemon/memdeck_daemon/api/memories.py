"""The doors to memory as the API sees them: what the services of the memory wing do, as Protocols.

Owns signatures only, so that the API's tests can run on in-memory twins.
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Protocol

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
)
from memdeck_daemon.memory.sessions.model import Context, NewTrace, Trace, Wanted


class Sessions(Protocol):
    """Traces and contexts. What is outside the caller's reach is Forbidden."""

    async def append(self, new: NewTrace, caller: Caller) -> Trace:
        """Keep a trace."""

    async def context(self, wanted: Wanted, caller: Caller) -> Context:
        """Assemble what an agent should have in mind."""


class Memories(Protocol):
    """Everything that can be done with memories. What is outside the caller's reach is Forbidden by scope, not found by id."""

    async def add(self, new: NewMemories, caller: Caller) -> Receipt:
        """Store messages."""

    async def get(self, memory_id: uuid.UUID, caller: Caller) -> Memory:
        """One memory; MemoryNotFound."""

    async def page(
        self, where: Filter, caller: Caller, *, page: int, size: int, show_expired: bool
    ) -> tuple[int, list[Memory]]:
        """How many there are, and one page of them, newest first."""

    def lacking(self, where: Filter, found: Iterable[Memory]) -> tuple[str, ...]:
        """What a list had to do without, by the names of `degraded`."""

    def outdated(self, memory_id: uuid.UUID, names: Identifiers) -> tuple[str, ...]:
        """What an answer about one memory had to do without."""

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
        """The best hits, best first."""

    async def update(self, memory_id: uuid.UUID, change: Change, caller: Caller) -> Memory | Receipt:
        """Change one memory; MemoryNotFound. A receipt where it waits on the disk."""

    async def update_many(self, changes: Sequence[tuple[uuid.UUID, Change]], caller: Caller) -> Receipt:
        """Change several, all or nothing."""

    async def delete(self, memory_id: uuid.UUID, caller: Caller) -> Receipt:
        """Delete one; MemoryNotFound."""

    async def delete_many(self, ids: Sequence[uuid.UUID], caller: Caller) -> Receipt:
        """Delete several, all or nothing."""

    async def delete_scope(self, where: Filter, caller: Caller) -> Receipt:
        """Delete all that match; the receipt's id is the event that undoes it."""

    async def history(self, memory_id: uuid.UUID, caller: Caller) -> list[HistoryEntry]:
        """All changes, oldest first; MemoryNotFound when it was never seen."""

    async def undo(self, memory_id: uuid.UUID, caller: Caller) -> tuple[str, Memory | None] | Receipt:
        """Revert the last change: a sentence, and the memory as it is now; a receipt where it waits on the disk."""

    async def undo_event(self, event_id: uuid.UUID, caller: Caller) -> Receipt:
        """Bring back what a deletion of a scope took."""

    async def entities(
        self, caller: Caller, *, kind: Kind | None, page: int, size: int
    ) -> tuple[int, list[Entity], dict[str, int]]:
        """How many, a page sorted by (kind, value), and totals by kind."""

    async def receipt(self, event_id: uuid.UUID, caller: Caller) -> Receipt:
        """What became of a write; EventNotFound."""

    async def receipts(self, caller: Caller, *, page: int, size: int) -> tuple[int, list[Receipt]]:
        """How many, and a page, newest first."""

    async def feedback(
        self, memory_id: uuid.UUID, verdict: str | None, reason: str | None, caller: Caller
    ) -> uuid.UUID:
        """Keep a verdict on a memory."""

    async def create_export(self, where: Json, schema: Json, caller: Caller) -> uuid.UUID:
        """Keep what is to be exported, as the filter was given."""

    async def export(self, export_id: uuid.UUID | None, where: Json | None, caller: Caller) -> list[Memory]:
        """The memories of an export by its id, or of a filter; EventNotFound."""

    async def project(self) -> Json:
        """The project's settings that were set."""

    async def change_project(self, values: Json) -> Json:
        """Set some of them; all of them as they are then."""
