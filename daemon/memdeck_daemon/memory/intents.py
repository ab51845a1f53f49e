"""What is to be written, as values: ids are in them before the first attempt.

Owns what an attempt must know and the names that it concerns, so that the same write can be tried again, by this process
or by the next one: the id of its receipt tells whether it was done. Refuses to do anything: `changes` and `writer` carry
out, `spool` keeps.
"""

import uuid
from collections.abc import Sequence
from datetime import date, datetime

import msgspec
from msgspec import Struct

from memdeck_daemon.memory import filter_codec, filters
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import (
    UNSET,
    Caller,
    Change,
    Event,
    Identifier,
    Json,
    NewMemories,
    Outcome,
    Unset,
)

Names = frozenset[str] | None
"""`user:alice` and the like; None: any memory may be meant."""


class Intent(Struct, frozen=True, kw_only=True, tag_field="kind"):
    """A write, before and after it is carried out."""

    receipt_id: uuid.UUID
    at: datetime
    caller: Caller

    @property
    def kind(self) -> str:
        """add, update, delete, delete_scope or undo, as receipts have it."""
        return str(self.__struct_config__.tag).removesuffix("_event")

    @property
    def names(self) -> Names:
        """The names whose memories it may touch."""
        return None

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What becomes of each message or memory, as far as it can be told beforehand."""
        return ()


class Add(Intent, frozen=True, kw_only=True, tag="add"):
    """New memories."""

    new: NewMemories
    ids: tuple[tuple[uuid.UUID, uuid.UUID], ...]
    """The memory's and its history entry's, for each message that is kept."""
    digest: bytes = b""
    note: str = ""

    @property
    def names(self) -> Names:
        """Those that the memories carry."""
        return frozenset(map(str, self.new.identifiers.named()))

    @property
    def skipped(self) -> tuple[Outcome, ...]:
        """The messages that are not kept, and why."""
        return tuple(
            Outcome(Event.NONE, message.text, role=message.role, actor=message.actor, reason=reason)
            for message in self.new.messages
            if (reason := message.reason_to_skip) is not None
        )

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """One for each message."""
        stored = (
            Outcome(Event.ADD, message.text, id=ids[0], role=message.role, actor=message.actor)
            for message, ids in zip(self.new.kept, self.ids, strict=True)
        )
        return (*stored, *self.skipped)


class Changed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A memory and what is changed of it."""

    id: uuid.UUID
    text: str | None = None
    metadata: Json | None = None
    expiration_date: date | msgspec.UnsetType | None = msgspec.UNSET
    created_at: datetime | None = None

    @classmethod
    def of(cls, memory_id: uuid.UUID, change: Change) -> "Changed":
        """The same change, as it is kept."""
        day = change.expiration_date
        return cls(
            id=memory_id,
            text=change.text,
            metadata=change.metadata,
            expiration_date=msgspec.UNSET if isinstance(day, Unset) else day,
            created_at=change.created_at,
        )

    @property
    def change(self) -> Change:
        """The change, as it is carried out."""
        day = self.expiration_date
        return Change(
            self.text, self.metadata, UNSET if isinstance(day, msgspec.UnsetType) else day, self.created_at
        )


class Update(Intent, frozen=True, kw_only=True, tag="update"):
    """Changes to memories, all or none."""

    changes: tuple[Changed, ...]

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """One for each memory."""
        ids = dict.fromkeys(changed.id for changed in self.changes)
        return tuple(Outcome(Event.UPDATE, "", id=memory_id) for memory_id in ids)


class Delete(Intent, frozen=True, kw_only=True, tag="delete"):
    """Memories to be deleted, all or none."""

    ids: tuple[uuid.UUID, ...]

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """One for each memory."""
        return tuple(Outcome(Event.DELETE, "", id=memory_id) for memory_id in self.ids)


class DeleteScope(Intent, frozen=True, kw_only=True, tag="delete_scope"):
    """Everything that a filter matches is to be deleted."""

    where: Json

    @property
    def filter(self) -> Filter:
        """The filter."""
        return filter_codec.read(self.where)

    @property
    def branches(self) -> tuple[frozenset[Identifier], ...]:
        """What the filter names; it was checked when the write came in."""
        return filters.branches(self.filter)

    @property
    def names(self) -> Names:
        """Those that the filter names; without any in one of its alternatives, it may mean everything."""
        found = self.branches
        return frozenset(str(name) for branch in found for name in branch) if all(found) else None


class Undo(Intent, frozen=True, kw_only=True, tag="undo"):
    """The last change of a memory is to be reverted."""

    memory_id: uuid.UUID


class UndoEvent(Intent, frozen=True, kw_only=True, tag="undo_event"):
    """What a deletion took is to be brought back."""

    event_id: uuid.UUID


AnyIntent = Add | Update | Delete | DeleteScope | Undo | UndoEvent


def memories_of(intent: AnyIntent) -> Sequence[uuid.UUID]:
    """The ids of memories that a write makes."""
    return [memory_id for memory_id, _ in intent.ids] if isinstance(intent, Add) else ()
