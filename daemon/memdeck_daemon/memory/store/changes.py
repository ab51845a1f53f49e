"""Updates, deletions and their undoing.

Owns the statements that change or remove memories. Each change writes the whole row as it was into the history, in the
same transaction: that is what an undo puts back. Rows are locked before they are read. What was changed when is told by
the database's clock alone: by two clocks, the last change would not always be the last.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import Identifiers, Memory
from memdeck_daemon.memory.store import counters
from memdeck_daemon.memory.store.conditions import Arguments, condition
from memdeck_daemon.memory.store.reads import Branches
from memdeck_daemon.memory.store.rows import COLUMNS, day_of, identifiers_of, memory_of

LOCK: Final = f"""
SELECT m.owner, {COLUMNS} FROM memory.memories m
WHERE (m.owner, m.id) IN (SELECT owner, id FROM memory.locator WHERE id = ANY($1::uuid[])) ORDER BY m.id FOR UPDATE
"""  # noqa: S608 - constant columns

LOGGED: Final = """
INSERT INTO memory.history (id, memory_id, receipt_id, owner, user_id, agent_id, app_id, run_id, event, old_text,
    new_text, before, metadata, actor_id, role, changed_by, created_at)
SELECT $1, m.id, $3, m.owner, m.user_id, m.agent_id, m.app_id, m.run_id, $4, m.text, $5, to_jsonb(m), m.metadata,
    m.actor_id, m.role, $6, m.created_at FROM memory.memories m WHERE m.owner = $7 AND m.id = $2
"""

UPDATE: Final = """
UPDATE memory.memories SET text = $3, hash = md5($3)::uuid, metadata = $4, expiration_date = $5::text::date, categories = $6,
    created_at = $7, updated_at = clock_timestamp() WHERE owner = $1 AND id = $2 RETURNING updated_at
"""

# The members of the row that an undo puts back; jsonb_populate_record reads the row as to_jsonb wrote it.
RESTORE: Final = """
INSERT INTO memory.memories
SELECT (jsonb_populate_record(NULL::memory.memories, h.before)).* FROM memory.history h WHERE h.id = ANY($1::uuid[])
ON CONFLICT (owner, id) DO NOTHING
RETURNING id, owner, user_id, agent_id, app_id, run_id, actor_id, text
"""

DELETE_WHERE: Final = """
WITH gone AS (
    DELETE FROM memory.memories m WHERE {condition} RETURNING m.*
), logged AS (
    INSERT INTO memory.history (id, memory_id, receipt_id, owner, user_id, agent_id, app_id, run_id, event, old_text,
        before, metadata, actor_id, role, changed_by, created_at)
    SELECT gen_random_uuid(), id, {receipt}, owner, user_id, agent_id, app_id, run_id, 'DELETE', text, to_jsonb(gone),
        metadata, actor_id, role, {changed_by}, created_at FROM gone
), located AS (
    DELETE FROM memory.locator l USING gone WHERE l.id = gone.id
), vectors AS (
    DELETE FROM memory.vectors_1 v USING gone WHERE v.owner = gone.owner AND v.id = gone.id
), announced AS (
    INSERT INTO memory.outbox (owner, memory_id, change) SELECT owner, id, 'drop' FROM gone
)
SELECT user_id, agent_id, app_id, run_id, count(*) AS memories, min(id::text) AS example FROM gone
GROUP BY user_id, agent_id, app_id, run_id
"""


@dataclass(frozen=True, slots=True)
class Write:
    """What every change carries for the history."""

    receipt_id: uuid.UUID
    changed_by: str


@dataclass(frozen=True, slots=True)
class Restored:
    """A memory that was put back and needs its vector again."""

    id: uuid.UUID
    owner: str
    identifiers: Identifiers
    actor: str | None
    text: str


async def lock(connection: Any, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Memory]:
    """The memories with these ids, held until the transaction ends; those that do not exist are absent."""
    return {row["id"]: memory_of(row) for row in await connection.fetch(LOCK, list(ids))}


async def update(
    connection: Any,
    before: Memory,
    after: Memory,
    vector: NDArray[np.float32] | None,
    write: Write,
    history_id: uuid.UUID,
) -> datetime:
    """Replace a locked memory and tell when; `vector` only when its text changed. Counters are the caller's last statement."""
    owner = before.identifiers.owner
    await connection.execute(
        LOGGED, history_id, before.id, write.receipt_id, "UPDATE", after.text, write.changed_by, owner
    )
    updated_at: datetime = await connection.fetchval(
        UPDATE, owner, before.id, after.text, after.metadata, day_of(after.expiration_date), list(after.categories),
        after.created_at,
    )  # fmt: skip
    if vector is not None:
        await connection.execute(
            "UPDATE memory.vectors_1 SET embedding = $3 WHERE owner = $1 AND id = $2",
            owner,
            before.id,
            vector,
        )
    await connection.execute(
        "INSERT INTO memory.outbox (owner, memory_id, change) VALUES ($1, $2, 'put')", owner, before.id
    )
    return updated_at


async def delete(
    connection: Any,
    where: Filter | Sequence[uuid.UUID],
    branches: Branches,
    write: Write,
    *,
    before: uuid.UUID | None = None,
    limit: int | None = None,
) -> tuple[int, list[counters.Counter]]:
    """Delete what matches; how many went, and the counters.

    `before` spares memories that were added after that id was made, `limit` leaves the rest to the next call.
    """
    arguments = Arguments()
    if isinstance(where, Sequence):
        ids = arguments.add(list(where))
        matching = f"(m.owner, m.id) IN (SELECT owner, id FROM memory.locator WHERE id = ANY({ids}::uuid[]))"  # noqa: S608
    else:
        matching = condition(where, branches, arguments, today=None)
    if before is not None:
        matching += f" AND m.id < {arguments.add(before)}"
    if limit is not None:
        chosen = f"SELECT m.owner, m.id FROM memory.memories m WHERE {matching} LIMIT {arguments.add(limit)}"  # noqa: S608
        matching = f"(m.owner, m.id) IN ({chosen})"
    receipt, changed_by = arguments.add(write.receipt_id), arguments.add(write.changed_by)
    sql = DELETE_WHERE.format(
        condition=matching, receipt=f"{receipt}::uuid", changed_by=f"{changed_by}::text"
    )
    rows = await connection.fetch(sql, *arguments.values)
    touched = await counters.bump(connection, [(identifiers_of(row), -row["memories"]) for row in rows])
    return sum(row["memories"] for row in rows), touched


async def last_change(connection: Any, memory_id: uuid.UUID, undo_hours: float) -> Any | None:
    """The newest history row of a memory with `before`, and `expired` when it can no longer be undone."""
    return await connection.fetchrow(
        "SELECT h.*, NULL::timestamptz AS undo_until, h.changed_at < now() - make_interval(secs => $2) AS expired "
        "FROM memory.history h WHERE h.memory_id = $1 ORDER BY h.changed_at DESC, h.id DESC LIMIT 1",
        memory_id, undo_hours * 3600,
    )  # fmt: skip


async def restore(connection: Any, history_ids: Sequence[uuid.UUID], write: Write) -> list[Restored]:
    """Put back memories from the rows that deletions kept; those that exist again are left alone.

    Vectors are the caller's: the same text gives the same vector.
    """
    rows = await connection.fetch(RESTORE, list(history_ids))
    restored = [
        Restored(row["id"], row["owner"], identifiers_of(row), row["actor_id"], row["text"]) for row in rows
    ]
    ids, owners = [item.id for item in restored], [item.owner for item in restored]
    await connection.execute(
        "INSERT INTO memory.locator (id, owner) SELECT * FROM unnest($1::uuid[], $2::text[])", ids, owners
    )
    await connection.execute(
        "INSERT INTO memory.outbox (owner, memory_id, change) SELECT owner, id, 'put' "
        "FROM unnest($1::uuid[], $2::text[]) AS g (id, owner)",
        ids, owners,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO memory.history (id, memory_id, receipt_id, owner, user_id, agent_id, app_id, run_id, event, "
        "new_text, metadata, actor_id, role, changed_by, created_at) "
        "SELECT gen_random_uuid(), m.id, $3, m.owner, m.user_id, m.agent_id, m.app_id, m.run_id, 'ADD', m.text, "
        "m.metadata, m.actor_id, m.role, $4, m.created_at FROM memory.memories m "
        "JOIN unnest($1::uuid[], $2::text[]) AS g (id, owner) ON m.owner = g.owner AND m.id = g.id",
        ids, owners, write.receipt_id, write.changed_by,
    )  # fmt: skip
    return restored


async def deletions_of(
    connection: Any, receipt_id: uuid.UUID, undo_hours: float
) -> tuple[list[uuid.UUID], bool]:
    """The history rows of a deletion that nothing was done about since, and whether the time to undo it is over.

    It is over too when the rows are gone. A memory that was brought back and then deleted by itself stays deleted.
    """
    rows = await connection.fetch(
        "SELECT h.id, h.changed_at < now() - make_interval(secs => $2) AS expired, NOT EXISTS (SELECT FROM memory.history n "
        "WHERE n.memory_id = h.memory_id AND n.changed_at > h.changed_at) AS last "
        "FROM memory.history h WHERE h.receipt_id = $1 AND h.event = 'DELETE'",
        receipt_id, undo_hours * 3600,
    )  # fmt: skip
    return [row["id"] for row in rows if row["last"]], not rows or any(row["expired"] for row in rows)


async def count_more(connection: Any, receipt_id: uuid.UUID, count: int) -> None:
    """Another part of a deletion was carried out."""
    await connection.execute("UPDATE memory.receipts SET count = count + $2 WHERE id = $1", receipt_id, count)


async def mark_undone(connection: Any, receipt_id: uuid.UUID) -> bool:
    """Note that an event was undone; False when that happened before."""
    done = await connection.fetchval(
        "UPDATE memory.receipts SET undone_at = now() WHERE id = $1 AND undone_at IS NULL RETURNING id",
        receipt_id,
    )
    return done is not None


async def purge(connection: Any, undo_hours: float, limit: int) -> int:
    """End what can no longer be undone: history and feedback of memories deleted before; at most `limit` memories."""
    return int(
        await connection.fetchval(
            "WITH old AS (SELECT DISTINCT h.memory_id FROM memory.history h "
            "WHERE h.event = 'DELETE' AND h.changed_at < now() - make_interval(secs => $1) "
            "AND NOT EXISTS (SELECT FROM memory.locator l WHERE l.id = h.memory_id) "
            "AND NOT EXISTS (SELECT FROM memory.history n WHERE n.memory_id = h.memory_id "
            "AND n.changed_at >= now() - make_interval(secs => $1)) LIMIT $2), "
            "said AS (DELETE FROM memory.feedback f USING old WHERE f.memory_id = old.memory_id), "
            "gone AS (DELETE FROM memory.history h USING old WHERE h.memory_id = old.memory_id RETURNING h.memory_id) "
            "SELECT count(DISTINCT memory_id) FROM gone",
            undo_hours * 3600, limit,
        )
    )  # fmt: skip


async def purge_ledger(connection: Any) -> None:
    """Idempotency keys live 24 hours, receipts 30 days."""
    await connection.execute(
        "DELETE FROM memory.idempotency_keys WHERE created_at < now() - interval '24 hours'"
    )
    await connection.execute("DELETE FROM memory.receipts WHERE created_at < now() - interval '30 days'")
