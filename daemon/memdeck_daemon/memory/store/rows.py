"""Rows of `memory.memories` to values and back.

Owns the column list that every read of whole memories uses.
"""

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from memdeck_daemon.memory.model import Event, HistoryEntry, Identifiers, Memory

COLUMNS: Final = (
    "m.id, m.user_id, m.agent_id, m.app_id, m.run_id, m.actor_id, m.role, m.text, m.hash, m.metadata, m.categories, "
    "m.memory_type, m.expiration_date, m.immutable, m.created_at, m.updated_at"
)


def identifiers_of(row: Mapping[str, Any]) -> Identifiers:
    """The identifiers of a row."""
    return Identifiers(user=row["user_id"], agent=row["agent_id"], app=row["app_id"], run=row["run_id"])


def memory_of(row: Mapping[str, Any]) -> Memory:
    """A whole memory."""
    return Memory(
        id=row["id"],
        identifiers=identifiers_of(row),
        text=row["text"],
        hash=row["hash"].hex,
        metadata=row["metadata"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        categories=tuple(row["categories"]),
        actor=row["actor_id"],
        role=row["role"],
        expiration_date=row["expiration_date"],
        immutable=row["immutable"],
        memory_type=row["memory_type"],
    )


def history_of(row: Mapping[str, Any]) -> HistoryEntry:
    """A change."""
    return HistoryEntry(
        id=row["id"],
        memory_id=row["memory_id"],
        identifiers=identifiers_of(row),
        event=Event(row["event"]),
        old_text=row["old_text"],
        new_text=row["new_text"],
        metadata=row["metadata"],
        actor=row["actor_id"],
        role=row["role"],
        changed_by=row["changed_by"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        undo_until=row["undo_until"],
    )


def day_of(value: date | None) -> str | None:
    """A date as a parameter; the driver takes the last day of the year 9999, many people's "never", for infinity."""
    return value.isoformat() if value else None


def hash_of(text: str) -> str:
    """MD5 as mem0 has it, in hex: equal texts are recognised by it."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
