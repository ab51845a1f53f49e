"""Receipts, idempotency keys, feedback, exports and project settings.

Owns what is kept about writes besides the memories themselves. Outcomes hold ids, never texts or people: what was
forgotten must not live on in a receipt.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from memdeck_common.errors import Conflict
from memdeck_daemon.memory.intents import Intent
from memdeck_daemon.memory.model import Event, Outcome, Receipt

RECEIPT: Final = "id, kind, key_id, changed_by, outcomes, note, count, milliseconds, created_at, undone_at"


INSERT: Final = """
INSERT INTO memory.receipts (id, kind, key_id, changed_by, outcomes, note, count, created_at)
SELECT id, kind, key_id, changed_by, outcomes::jsonb, note, count, at FROM unnest($1::uuid[], $2::text[], $3::text[],
    $4::text[], $5::text[], $6::text[], $7::bigint[], $8::timestamptz[])
    AS g (id, kind, key_id, changed_by, outcomes, note, count, at)
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A receipt about to be put down."""

    id: uuid.UUID
    kind: str
    key_id: str
    changed_by: str
    at: datetime
    outcomes: Sequence[Outcome] = ()
    note: str = ""
    count: int | None = None
    """Memories written; None: as many as the outcomes say."""

    @classmethod
    def of(
        cls, intent: Intent, outcomes: Sequence[Outcome] = (), *, note: str = "", count: int | None = None
    ) -> "Entry":
        """The receipt of a write."""
        caller = intent.caller
        return cls(
            intent.receipt_id, intent.kind, caller.key_id, caller.name, intent.at, outcomes, note, count
        )

    def line(self) -> tuple[Any, ...]:
        """The parameters of `INSERT` for this receipt."""
        written = sum(o.event is not Event.NONE for o in self.outcomes) if self.count is None else self.count
        told = msgspec.json.encode([_plain(outcome) for outcome in self.outcomes]).decode()
        return (self.id, self.kind, self.key_id, self.changed_by, told, self.note, written, self.at)


async def insert(connection: Any, entries: Sequence[Entry]) -> None:
    """Put receipts down, in the transaction of the writes that they tell of."""
    columns = [list(column) for column in zip(*(entry.line() for entry in entries), strict=True)]
    await connection.execute(INSERT, *columns)


async def existing(connection: Any, receipt_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these receipts are there: their writes were committed."""
    rows = await connection.fetch(
        "SELECT id FROM memory.receipts WHERE id = ANY($1::uuid[])", list(receipt_ids)
    )
    return {row["id"] for row in rows}


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key that a caller chose for an add, with the digest of its body."""

    key_id: str
    key: str
    digest: bytes
    receipt_id: uuid.UUID


async def remember_keys(connection: Any, keys: Sequence[IdempotencyKey]) -> None:
    """Bind idempotency keys to receipts.

    Raises:
        asyncpg.UniqueViolationError: another add took one first; `find_by_key` has its receipt.
    """
    if keys:
        await connection.executemany(
            "INSERT INTO memory.idempotency_keys (key_id, key, digest, receipt_id) VALUES ($1, $2, $3, $4)",
            [(k.key_id, k.key, k.digest, k.receipt_id) for k in keys],
        )


async def find_by_key(connection: Any, key_id: str, idempotency_key: str, digest: bytes) -> Receipt | None:
    """The receipt of the add that used the key before.

    Raises:
        Conflict: that add had another body.
    """
    row = await connection.fetchrow(
        "SELECT digest, receipt_id FROM memory.idempotency_keys WHERE key_id = $1 AND key = $2",
        key_id,
        idempotency_key,
    )
    if row is None:
        return None
    if row["digest"] != digest:
        raise Conflict(
            "This Idempotency-Key was used for another body within the last 24 hours; send a new one."
        )
    return await find(connection, row["receipt_id"], None)


async def find(connection: Any, receipt_id: uuid.UUID, key_id: str | None) -> Receipt | None:
    """A receipt with texts and actors of the memories that still exist; only that key's, unless `key_id` is None."""
    row = await connection.fetchrow(
        f"SELECT {RECEIPT} FROM memory.receipts WHERE id = $1 AND ($2::text IS NULL OR key_id = $2)",  # noqa: S608
        receipt_id,
        key_id,
    )
    return (await _with_texts(connection, [row]))[0] if row else None


async def page(connection: Any, key_id: str | None, offset: int, limit: int) -> tuple[int, list[Receipt]]:
    """How many receipts there are, and a page of them, newest first."""
    count = await connection.fetchval(
        "SELECT count(*) FROM memory.receipts WHERE $1::text IS NULL OR key_id = $1", key_id
    )
    rows = await connection.fetch(
        f"SELECT {RECEIPT} FROM memory.receipts WHERE $1::text IS NULL OR key_id = $1 "  # noqa: S608
        "ORDER BY created_at DESC, id DESC OFFSET $2 LIMIT $3",
        key_id, offset, limit,
    )  # fmt: skip
    return count, await _with_texts(connection, rows)


async def _with_texts(connection: Any, rows: Sequence[Any]) -> list[Receipt]:
    ids = [outcome["id"] for row in rows for outcome in row["outcomes"] if outcome.get("id")]
    found = await connection.fetch(
        "SELECT m.id, m.text, m.actor_id FROM memory.memories m JOIN memory.locator l USING (owner, id) WHERE l.id = ANY($1::uuid[])",
        [uuid.UUID(value) for value in ids],
    )
    spoken = {row["id"]: (row["text"], row["actor_id"]) for row in found}
    return [_receipt(row, spoken) for row in rows]


def _receipt(row: Any, spoken: dict[uuid.UUID, tuple[str, str | None]]) -> Receipt:
    reasons = [
        outcome.get("reason")
        for outcome in row["outcomes"]
        if outcome["event"] == Event.NONE and "duplicate_of" not in outcome
    ]
    # Nothing of it was done: it had waited, and came too late.
    failed = bool(reasons) and len(reasons) == len(row["outcomes"])
    return Receipt(
        id=row["id"],
        kind=row["kind"],
        created_at=row["created_at"],
        outcomes=tuple(_outcome(plain, spoken) for plain in row["outcomes"]),
        status="FAILED" if failed else "SUCCEEDED",
        error=reasons[0] if failed else None,
        note=row["note"],
        count=row["count"],
        milliseconds=row["milliseconds"],
        undone_at=row["undone_at"],
    )


def _plain(outcome: Outcome) -> dict[str, Any]:
    plain = {
        "event": outcome.event.value,
        "id": str(outcome.id) if outcome.id else None,
        "role": outcome.role,
        "duplicate_of": str(outcome.duplicate_of) if outcome.duplicate_of else None,
        "reason": outcome.reason,
    }
    return {name: value for name, value in plain.items() if value is not None}


def _outcome(plain: dict[str, Any], spoken: dict[uuid.UUID, tuple[str, str | None]]) -> Outcome:
    memory_id = uuid.UUID(plain["id"]) if plain.get("id") else None
    duplicate = plain.get("duplicate_of")
    text, actor = spoken.get(memory_id, ("", None)) if memory_id else ("", None)
    return Outcome(
        Event(plain["event"]),
        text,
        id=memory_id,
        role=plain.get("role"),
        actor=actor,
        duplicate_of=uuid.UUID(duplicate) if duplicate else None,
        reason=plain.get("reason"),
    )


async def insert_feedback(
    connection: Any,
    feedback_id: uuid.UUID,
    memory_id: uuid.UUID,
    verdict: str | None,
    reason: str | None,
    by: str,
) -> None:
    """Keep what a caller thinks of a memory."""
    await connection.execute(
        "INSERT INTO memory.feedback (id, memory_id, verdict, reason, changed_by) VALUES ($1, $2, $3, $4, $5)",
        feedback_id, memory_id, verdict, reason, by,
    )  # fmt: skip


async def insert_export(
    connection: Any, export_id: uuid.UUID, schema: Any, filters: Any, key_id: str
) -> None:
    """Keep what an export was asked for; it is carried out when it is fetched."""
    await connection.execute(
        "INSERT INTO memory.exports (id, schema, filters, key_id) VALUES ($1, $2, $3, $4)",
        export_id, schema, filters, key_id,
    )  # fmt: skip


async def find_export(connection: Any, export_id: uuid.UUID, key_id: str) -> Any | None:
    """The filters of an export of this key."""
    return await connection.fetchval(
        "SELECT filters FROM memory.exports WHERE id = $1 AND key_id = $2", export_id, key_id
    )


async def read_settings(connection: Any) -> dict[str, Any]:
    """The project settings that were set."""
    rows = await connection.fetch("SELECT name, value FROM control.settings ORDER BY name")
    return {row["name"]: row["value"] for row in rows}


async def write_settings(connection: Any, values: dict[str, Any]) -> None:
    """Set project settings; None takes one back."""
    await connection.execute(
        "DELETE FROM control.settings WHERE name = ANY($1::text[])",
        [name for name, value in values.items() if value is None],
    )
    await connection.executemany(
        "INSERT INTO control.settings (name, value) VALUES ($1, $2) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = now()",
        [(name, value) for name, value in values.items() if value is not None],
    )


def digest_of(value: Any) -> bytes:
    """What two equal bodies share."""
    return hashlib.blake2b(msgspec.json.encode(value, order="sorted"), digest_size=16).digest()
