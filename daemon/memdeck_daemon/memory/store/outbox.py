"""The outbox: what projections have to follow.

Owns reading it in commit order without skipping: ids are handed out before the commit, so a consumer reads in (xid, id)
order and only below the oldest transaction that is still running.
"""

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from memdeck_daemon.memory.model import Identifiers
from memdeck_daemon.memory.store.rows import identifiers_of

AHEAD: Final = 2**63 - 1

READ: Final = """
SELECT o.xid::text::bigint AS xid, o.id, o.owner, o.memory_id FROM memory.outbox o
WHERE (o.xid, o.id) > ($1::bigint::text::xid8, $2::bigint) AND o.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY o.xid, o.id LIMIT $3
"""

# A consumer that was not seen for a week is forgotten in the same statement: when it comes back it finds that it is not
# known any more and rebuilds, instead of reading on from a place whose followers are gone.
PRUNE: Final = """
WITH forgotten AS (
    DELETE FROM memory.projections WHERE seen_at < now() - interval '7 days'
)
DELETE FROM memory.outbox WHERE (xid, id) <= (
    SELECT xid, id FROM memory.projections WHERE seen_at >= now() - interval '7 days' ORDER BY xid, id LIMIT 1)
"""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the outbox."""

    xid: int
    id: int


@dataclass(frozen=True, slots=True)
class Text:
    """What the lexical index must know of a memory."""

    owner: str
    id: uuid.UUID
    identifiers: Identifiers
    actor: str | None
    text: str


async def lineage(connection: Any) -> str:
    """The database's lineage: another one after each restore."""
    return str(await connection.fetchval("SELECT id FROM memory.lineage"))


async def horizon(connection: Any) -> Position:
    """The place before which everything is committed and visible now."""
    xmin = await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    return Position(xmin - 1, AHEAD)


async def read(connection: Any, after: Position, limit: int) -> tuple[list[tuple[str, uuid.UUID]], Position]:
    """The next changed memories as (owner, id), each once, and the place up to which they were read."""
    rows = await connection.fetch(READ, after.xid, after.id, limit)
    if not rows:
        return [], after
    places = dict.fromkeys((row["owner"], row["memory_id"]) for row in rows)
    return list(places), Position(rows[-1]["xid"], rows[-1]["id"])


async def lag(connection: Any, after: Position) -> int:
    """How many entries come after the place."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM memory.outbox WHERE (xid, id) > ($1::bigint::text::xid8, $2::bigint)",
            after.xid,
            after.id,
        )
    )


async def memories(connection: Any) -> int:
    """How many memories there are."""
    return int(await connection.fetchval("SELECT coalesce(sum(owned), 0)::bigint FROM memory.identifiers"))


async def texts(connection: Any, places: Sequence[tuple[str, uuid.UUID]]) -> list[Text]:
    """The texts of memories; those that are gone are absent."""
    rows = await connection.fetch(
        "SELECT m.owner, m.id, m.user_id, m.agent_id, m.app_id, m.run_id, m.actor_id, m.text "
        "FROM unnest($1::text[], $2::uuid[]) AS asked (owner, id) "
        "JOIN memory.memories m ON m.owner = asked.owner AND m.id = asked.id",
        [owner for owner, _ in places],
        [memory_id for _, memory_id in places],
    )
    return [_text(row) for row in rows]


async def all_texts(connection: Any, batch: int) -> AsyncIterator[list[Text]]:
    """Every memory, in batches by owner and id; each batch is a short statement of its own."""
    owner, memory_id = "", uuid.UUID(int=0)
    while True:
        rows = await connection.fetch(
            "SELECT m.owner, m.id, m.user_id, m.agent_id, m.app_id, m.run_id, m.actor_id, m.text FROM memory.memories m "
            "WHERE (m.owner, m.id) > ($1, $2) ORDER BY m.owner, m.id LIMIT $3",
            owner, memory_id, batch,
        )  # fmt: skip
        if not rows:
            return
        yield [_text(row) for row in rows]
        owner, memory_id = rows[-1]["owner"], rows[-1]["id"]


def _text(row: Any) -> Text:
    return Text(row["owner"], row["id"], identifiers_of(row), row["actor_id"], row["text"])


async def known(connection: Any, name: str) -> bool:
    """Whether the outbox still keeps what this consumer has not read."""
    return bool(
        await connection.fetchval("SELECT EXISTS (SELECT FROM memory.projections WHERE name = $1)", name)
    )


async def acknowledge(connection: Any, name: str, place: Position, lineage_id: str) -> None:
    """Note how far a consumer has read, and drop what all consumers have read."""
    await connection.execute(
        "INSERT INTO memory.projections (name, xid, id, lineage) VALUES ($1, $2::bigint::text::xid8, $3, $4::uuid) "
        "ON CONFLICT (name) DO UPDATE SET xid = excluded.xid, id = excluded.id, lineage = excluded.lineage, seen_at = now()",
        name, place.xid, place.id, uuid.UUID(lineage_id),
    )  # fmt: skip
    await connection.execute(PRUNE)


@dataclass(frozen=True, slots=True)
class Parked:
    """A memory that a consumer could not take."""

    owner: str
    id: uuid.UUID
    reason: str


async def park(
    connection: Any, name: str, taken: Sequence[uuid.UUID] | None, refused: Sequence[Parked]
) -> None:
    """Note which memories a consumer could not take, and that it has taken others; `taken` None: all is begun anew."""
    await connection.execute(
        "DELETE FROM memory.projection_parked WHERE name = $1 AND ($2::uuid[] IS NULL OR memory_id = ANY($2))",
        name, None if taken is None else list(taken),
    )  # fmt: skip
    if refused:
        await connection.execute(
            "INSERT INTO memory.projection_parked (name, owner, memory_id, reason) "
            "SELECT $1, owner, id, reason FROM unnest($2::text[], $3::uuid[], $4::text[]) AS g (owner, id, reason) "
            "ON CONFLICT (name, memory_id) DO UPDATE SET reason = excluded.reason, parked_at = now()",
            name, [one.owner for one in refused], [one.id for one in refused], [one.reason for one in refused],
        )  # fmt: skip


async def parked(connection: Any, name: str, limit: int) -> tuple[int, list[Parked]]:
    """How many memories a consumer could not take, and the first of them."""
    rows = await connection.fetch(
        "SELECT owner, memory_id, reason, count(*) OVER () AS total FROM memory.projection_parked WHERE name = $1 "
        "ORDER BY parked_at, memory_id LIMIT $2",
        name, limit,
    )  # fmt: skip
    return (rows[0]["total"] if rows else 0), [
        Parked(row["owner"], row["memory_id"], row["reason"]) for row in rows
    ]
