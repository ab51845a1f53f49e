"""Embedding spaces: their rows, their tables, and who works for them.

Owns every statement about `memory.spaces` and the making and removing of `memory.vectors_<id>`. Each change is one
transaction, table included, so an interruption leaves the state before or after it and nothing between.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from memdeck_common.errors import BadRequest, Conflict

Role = Literal["local", "primary", "candidate", "retired"]

LOCAL: Final = 1
WIDEST: Final = 3_900
"""Dimensions of a halfvec that stay in a row of their own; more would be TOASTed, and a scan six times slower."""
PARTITIONS: Final = 16
LOCK_TIMEOUT: Final = "5s"

COLUMNS: Final = "id, provider, model, dimensions, role, url, background, queued_upto IS NULL AS queueing, filled_at, created_at"
TRIGGERS: Final = (
    ("queue_added", "INSERT", "NEW TABLE AS come"),
    ("queue_changed", "UPDATE", "OLD TABLE AS gone NEW TABLE AS come"),
    ("unqueue_removed", "DELETE", "OLD TABLE AS gone"),
)


@dataclass(frozen=True, slots=True)
class Space:
    """A row."""

    id: int
    provider: str
    model: str
    dimensions: int
    role: Role
    url: str
    background: float | None
    """Mean cosine of memories that have nothing to do with each other; None: not known yet."""
    queueing: bool
    """Whether memories that were there before it are still being queued."""
    filled_at: datetime | None
    """When every memory that was there before it had its vector (or was parked)."""
    created_at: datetime

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.provider}/{self.model}/{self.dimensions}"


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much a space holds."""

    memories: int
    """In all."""
    embedded: int
    waiting: int
    parked: int


async def listed(connection: Any) -> list[Space]:
    """All spaces, by id."""
    rows = await connection.fetch(f"SELECT {COLUMNS} FROM memory.spaces ORDER BY id")  # noqa: S608 - constant columns
    return [Space(**dict(row)) for row in rows]


async def create(connection: Any, provider: str, model: str, dimensions: int, url: str) -> Space:
    """A new space: the primary one when there is none, else a candidate. Within a transaction.

    A retired space of the same model comes back as candidate and keeps its vectors: only what is missing is embedded.

    Raises:
        BadRequest: too many dimensions.
        Conflict: it is there already, or there is another candidate.
    """
    if not 1 <= dimensions <= WIDEST:
        raise BadRequest(
            f"A space has 1 to {WIDEST} dimensions, not {dimensions}: set MEMDECK_EMBEDDING_DIMS (or --dims) to fewer; "
            "many models can shorten their vectors."
        )
    await _quiet(connection)
    spaces = await listed(connection)
    roles = {space.role: space for space in spaces}
    role: Role = "candidate" if "primary" in roles else "primary"
    known = next(
        (s for s in spaces if (s.provider, s.model, s.dimensions) == (provider, model, dimensions)), None
    )
    if known is not None and known.role != "retired":
        raise Conflict(f"{known.name} is there already, as {known.role}.")
    if role in roles:
        raise Conflict(f"{roles[role].name} is a candidate already; switch to it or drop it first.")
    if known is not None:
        return await _revived(connection, known, url, role)
    row = await connection.fetchrow(
        "INSERT INTO memory.spaces (id, provider, model, dimensions, url, role) "  # noqa: S608 - constant columns
        f"VALUES (nextval('memory.space_ids'), $1, $2, $3, $4, $5) RETURNING {COLUMNS}",
        provider, model, dimensions, url, role,
    )  # fmt: skip
    await _make_table(connection, row["id"], dimensions)
    for name, event, tables in TRIGGERS:
        await connection.execute(
            f"CREATE OR REPLACE TRIGGER {name} AFTER {event} ON memory.vectors_{LOCAL} REFERENCING {tables} "
            "FOR EACH STATEMENT EXECUTE FUNCTION memory.follow_local_vectors()"
        )
    return Space(**dict(row))


async def _quiet(connection: Any) -> None:
    """Wait for writers that began before: one that does not see the new space would leave its memories out."""
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    await connection.execute(f"LOCK TABLE memory.vectors_{LOCAL} IN SHARE ROW EXCLUSIVE MODE")


async def _revived(connection: Any, space: Space, url: str, role: Role) -> Space:
    row = await connection.fetchrow(
        "UPDATE memory.spaces SET role = $3, url = $2, cursor_owner = NULL, cursor_id = NULL, queued_upto = NULL, "  # noqa: S608
        f"filled_at = NULL WHERE id = $1 RETURNING {COLUMNS}",
        space.id, url, role,
    )  # fmt: skip
    return Space(**dict(row))


async def _make_table(connection: Any, space_id: int, dimensions: int) -> None:
    table = f"memory.vectors_{space_id}"
    await connection.execute(
        f"CREATE TABLE {table} (owner text NOT NULL, id uuid NOT NULL, embedding halfvec({dimensions}) NOT NULL, "
        "PRIMARY KEY (owner, id)) PARTITION BY HASH (owner)"
    )
    await connection.execute(f"ALTER TABLE {table} ALTER COLUMN embedding SET STORAGE PLAIN")
    for part in range(PARTITIONS):
        await connection.execute(
            f"CREATE TABLE {table}_{part} PARTITION OF {table} FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part})"
        )


async def move(connection: Any, space_id: int, url: str) -> None:
    """Note that the same model is served from another address now."""
    await connection.execute("UPDATE memory.spaces SET url = $2 WHERE id = $1 AND url <> $2", space_id, url)


async def switch(connection: Any, space_id: int, *, force: bool) -> Space:
    """Make the candidate the primary space and retire the one before. Within a transaction.

    Raises:
        Conflict: it is no candidate, or not all memories have their vector there yet and `force` is not set.
    """
    await _quiet(connection)
    spaces = {space.id: space for space in await listed(connection)}
    wanted = spaces.get(space_id)
    if wanted is None or wanted.role != "candidate":
        raise Conflict(f"Space {space_id} is no candidate; `memdeck spaces list` shows what there is.")
    if wanted.filled_at is None and not force:
        raise Conflict(
            f"{wanted.name} does not hold all memories yet; wait until it does, or force the switch: memories that are "
            "missing there are found in the local space meanwhile."
        )
    old = next((space.id for space in spaces.values() if space.role == "primary"), None)
    if old is not None:
        await connection.execute("UPDATE memory.spaces SET role = 'retired' WHERE id = $1", old)
        await connection.execute("DELETE FROM memory.embedding_queue WHERE space = $1", old)
    row = await connection.fetchrow(
        f"UPDATE memory.spaces SET role = 'primary' WHERE id = $1 RETURNING {COLUMNS}",  # noqa: S608 - constant columns
        space_id,
    )
    return Space(**dict(row))


async def drop(connection: Any, space_id: int, *, force: bool) -> Space:
    """Remove a space with all its vectors. Within a transaction.

    Raises:
        Conflict: it is the local one, or the primary one and `force` is not set.
    """
    await _quiet(connection)
    spaces = {space.id: space for space in await listed(connection)}
    found = spaces.get(space_id)
    if found is None or found.role == "local":
        raise Conflict(f"Space {space_id} cannot be dropped; `memdeck spaces list` shows what there is.")
    if found.role == "primary" and not force:
        raise Conflict(
            f"{found.name} is in use; switch to another space first, or force it: the local one answers then."
        )
    await connection.execute("DELETE FROM memory.embedding_queue WHERE space = $1", space_id)
    await connection.execute("DELETE FROM memory.spaces WHERE id = $1", space_id)
    await connection.execute(f"DROP TABLE memory.vectors_{space_id}")
    return found


async def tidy(connection: Any) -> None:
    """Remove the triggers when there is no other space than the local one.

    A transaction of its own: it waits for searches, which must not wait for the removal of a table meanwhile. Triggers
    that stay behind find nothing to do.
    """
    await _quiet(connection)
    if any(space.role != "local" for space in await listed(connection)):
        return
    for name, _, _ in TRIGGERS:
        await connection.execute(f"DROP TRIGGER IF EXISTS {name} ON memory.vectors_{LOCAL}")


async def amounts(connection: Any, space: Space) -> Amounts:
    """How much a space holds; counts its rows."""
    row = await connection.fetchrow(
        "SELECT (SELECT coalesce(sum(owned), 0)::bigint FROM memory.identifiers) AS memories, "  # noqa: S608 - an integer
        f"(SELECT count(*) FROM memory.vectors_{space.id}) AS embedded, "
        "count(*) FILTER (WHERE parked IS NULL) AS waiting, count(parked) AS parked "
        "FROM memory.embedding_queue WHERE space = $1",
        space.id,
    )
    return Amounts(row["memories"], row["embedded"], row["waiting"], row["parked"])


async def hold(connection: Any, holder: str, seconds: float) -> bool:
    """Become or stay the daemon that works the queue."""
    held = await connection.fetchval(
        "INSERT INTO memory.embedding_worker AS w (holder, until) VALUES ($1, now() + make_interval(secs => $2)) "
        "ON CONFLICT (only_row) DO UPDATE SET holder = excluded.holder, until = excluded.until "
        "WHERE w.holder = excluded.holder OR w.until < now() RETURNING holder",
        holder, seconds,
    )  # fmt: skip
    return held is not None


async def set_background(connection: Any, backgrounds: dict[int, float]) -> None:
    """Note how near unrelated memories are in each space."""
    await connection.executemany(
        "UPDATE memory.spaces SET background = $2 WHERE id = $1", list(backgrounds.items())
    )


async def sample(
    connection: Any, space_id: int, per_partition: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of some memories in the local space and in another one, row by row the same memories."""
    parts = " UNION ALL ".join(
        f"(SELECT owner, id, embedding FROM memory.vectors_{space_id}_{part} LIMIT {per_partition})"  # noqa: S608
        for part in range(PARTITIONS)
    )
    rows = await connection.fetch(
        f"SELECT l.embedding AS local, s.embedding AS other FROM ({parts}) AS s "  # noqa: S608 - integers
        f"JOIN memory.vectors_{LOCAL} l ON l.owner = s.owner AND l.id = s.id"
    )
    if not rows:
        return np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32)
    return (
        np.stack([row["local"] for row in rows]).astype(np.float32),
        np.stack([row["other"] for row in rows]).astype(np.float32),
    )


async def neighbours(
    connection: Any, spaces: tuple[int, int], queries: int, top: int, newest: int
) -> list[tuple[set[str], set[str], float, float]]:
    """For recent memories that both spaces hold: the nearest others of their owner in each space, and the best cosines.

    Of an owner only the `newest` memories take part.
    """
    first, second = spaces
    samples = await connection.fetch(
        "SELECT m.owner, m.id, a.embedding AS one, b.embedding AS other FROM ("  # noqa: S608 - integers
        "SELECT owner, id FROM memory.memories ORDER BY created_at DESC, id DESC LIMIT $1) AS m "
        f"JOIN memory.vectors_{first} a ON a.owner = m.owner AND a.id = m.id "
        f"JOIN memory.vectors_{second} b ON b.owner = m.owner AND b.id = m.id",
        queries,
    )
    found = []
    for row in samples:
        near = await connection.fetch(
            "WITH pairs AS (SELECT a.id, a.embedding <#> $3 AS one, b.embedding <#> $4 AS other FROM ("  # noqa: S608
            "SELECT owner, id FROM memory.memories WHERE owner = $1 ORDER BY created_at DESC, id DESC LIMIT $6) AS m "
            f"JOIN memory.vectors_{first} a ON a.owner = m.owner AND a.id = m.id AND a.owner = $1 "
            f"JOIN memory.vectors_{second} b ON b.owner = m.owner AND b.id = m.id AND b.owner = $1 WHERE m.id <> $2) "
            "(SELECT true AS first, id, -one AS cosine FROM pairs ORDER BY one LIMIT $5) "
            "UNION ALL (SELECT false, id, -other FROM pairs ORDER BY other LIMIT $5)",
            row["owner"], row["id"], row["one"], row["other"], top, newest,
        )  # fmt: skip
        if near:
            mine = [r for r in near if r["first"]]
            theirs = [r for r in near if not r["first"]]
            found.append(
                (
                    {str(r["id"]) for r in mine},
                    {str(r["id"]) for r in theirs},
                    mine[0]["cosine"],
                    theirs[0]["cosine"],
                )
            )
    return found
