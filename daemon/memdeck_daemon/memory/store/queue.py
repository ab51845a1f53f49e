"""The queue of memories that wait for their vector in a space.

Owns every statement about `memory.embedding_queue` that a worker makes; entries are written by triggers, in the
transaction of the add (0004_spaces.sql). No lock is held while a remote embedder is asked: an entry is removed, and its
vector stored, only while it carries the number under which its text was read.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.infra.postgres.codecs import encode_halfvec

NEXT: Final = """
SELECT q.owner, q.id, q.number, q.attempts, m.actor_id, m.text FROM (
    SELECT owner, id, number, attempts FROM memory.embedding_queue WHERE space = $1 AND parked IS NULL
    ORDER BY number LIMIT $2
) AS q LEFT JOIN memory.memories m ON m.owner = q.owner AND m.id = q.id ORDER BY q.number
"""

# SKIP LOCKED: a writer that removes these entries is never waited for, so that no writer ever waits in a circle.
STORE: Final = """
WITH given AS (
    SELECT * FROM unnest($2::text[], $3::uuid[], $4::bigint[], $5::halfvec[]) AS g (owner, id, number, embedding)
), held AS (
    SELECT q.owner, q.id FROM memory.embedding_queue q JOIN given g USING (owner, id)
    WHERE q.space = $1 AND q.number = g.number FOR UPDATE OF q SKIP LOCKED
), done AS (
    DELETE FROM memory.embedding_queue q USING held h WHERE q.space = $1 AND q.owner = h.owner AND q.id = h.id
    RETURNING q.owner, q.id
)
INSERT INTO memory.vectors_{space} (owner, id, embedding)
SELECT owner, id, embedding FROM done JOIN given USING (owner, id)
ON CONFLICT (owner, id) DO UPDATE SET embedding = excluded.embedding
"""

REFILL: Final = """
WITH at AS (
    SELECT coalesce(cursor_owner, '') AS owner, coalesce(cursor_id, '00000000-0000-0000-0000-000000000000') AS id
    FROM memory.spaces WHERE id = $1 AND queued_upto IS NULL FOR UPDATE
), page AS (
    SELECT m.owner, m.id FROM memory.memories m WHERE (m.owner, m.id) > ((SELECT owner FROM at), (SELECT id FROM at))
    ORDER BY m.owner, m.id LIMIT $2
), queued AS (
    INSERT INTO memory.embedding_queue (space, owner, id) SELECT $1, p.owner, p.id FROM page p
    WHERE NOT EXISTS (SELECT FROM memory.vectors_{space} v WHERE v.owner = p.owner AND v.id = p.id)
    ON CONFLICT (space, owner, id) DO NOTHING
), last AS (
    SELECT owner, id FROM page ORDER BY owner DESC, id DESC LIMIT 1
)
UPDATE memory.spaces s SET cursor_owner = coalesce((SELECT owner FROM last), s.cursor_owner),
    cursor_id = coalesce((SELECT id FROM last), s.cursor_id)
WHERE s.id = $1 AND s.queued_upto IS NULL RETURNING (SELECT count(*) FROM page) AS found
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A memory that waits; `text` is None when it is gone."""

    owner: str
    id: uuid.UUID
    number: int
    attempts: int
    actor: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Length:
    """How many memories wait in a space, counted up to a limit."""

    waiting: int
    parked: int


async def following(connection: Any, space_id: int, limit: int) -> list[Entry]:
    """The entries that have waited longest."""
    return [Entry(*row) for row in await connection.fetch(NEXT, space_id, limit)]


async def store(
    connection: Any, space_id: int, entries: Sequence[Entry], vectors: NDArray[np.float32]
) -> None:
    """Put vectors down and take their entries out; those whose text changed or went meanwhile are passed over."""
    await connection.execute(
        STORE.format(space=space_id),
        space_id,
        [entry.owner for entry in entries],
        [entry.id for entry in entries],
        [entry.number for entry in entries],
        [encode_halfvec(vector) for vector in vectors],
    )


async def remove(connection: Any, space_id: int, entries: Sequence[Entry]) -> None:
    """Take out entries of memories that are gone."""
    await connection.executemany(
        "DELETE FROM memory.embedding_queue WHERE space = $1 AND owner = $2 AND id = $3 AND number = $4",
        [(space_id, entry.owner, entry.id, entry.number) for entry in entries],
    )


async def park(connection: Any, space_id: int, entry: Entry, reason: str) -> None:
    """Set an entry aside with the reason; a change of its text, or the next start, tries it again."""
    await connection.execute(
        "UPDATE memory.embedding_queue SET parked = $5, attempts = attempts + 1 "
        "WHERE space = $1 AND owner = $2 AND id = $3 AND number = $4",
        space_id, entry.owner, entry.id, entry.number, reason,
    )  # fmt: skip


async def unpark(connection: Any, space_id: int) -> None:
    """Try parked entries again."""
    await connection.execute(
        "UPDATE memory.embedding_queue SET parked = NULL WHERE space = $1 AND parked IS NOT NULL", space_id
    )


async def refill(connection: Any, space_id: int, limit: int) -> bool:
    """Queue the next memories that were there before the space; whether there are more. Within a transaction."""
    found = await connection.fetchval(REFILL.format(space=space_id), space_id, limit)
    if found is None or found >= limit:
        return found is not None
    await connection.execute(
        "UPDATE memory.spaces SET queued_upto = (SELECT last_value FROM memory.embedding_queue_numbers) WHERE id = $1",
        space_id,
    )
    return False


async def settle(connection: Any, space_id: int) -> bool:
    """Note that everything that was there before the space is done, once it is; whether that happened now."""
    done = await connection.fetchval(
        "UPDATE memory.spaces s SET filled_at = now() WHERE s.id = $1 AND s.filled_at IS NULL AND s.queued_upto IS NOT NULL "
        "AND NOT EXISTS (SELECT FROM memory.embedding_queue q WHERE q.space = $1 AND q.parked IS NULL "
        "AND q.number <= s.queued_upto) RETURNING s.id",
        space_id,
    )
    return done is not None


async def length(connection: Any, space_id: int, limit: int) -> Length:
    """How many wait and how many are parked; counts no further than `limit`."""
    row = await connection.fetchrow(
        "SELECT count(*) FILTER (WHERE parked IS NULL) AS waiting, count(parked) AS parked FROM "
        "(SELECT parked FROM memory.embedding_queue WHERE space = $1 LIMIT $2) AS q",
        space_id, limit,
    )  # fmt: skip
    return Length(row["waiting"], row["parked"])


async def vectors(
    connection: Any, space_id: int, owner: str, ids: Iterable[uuid.UUID]
) -> list[tuple[uuid.UUID, NDArray[np.float16]]]:
    """The vectors that memories of an owner have by now."""
    rows = await connection.fetch(
        f"SELECT id, embedding FROM memory.vectors_{space_id} WHERE owner = $1 AND id = ANY($2::uuid[])",  # noqa: S608
        owner, list(ids),
    )  # fmt: skip
    return [(row["id"], row["embedding"]) for row in rows]
