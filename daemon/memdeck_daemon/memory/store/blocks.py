"""What blocks are made of, read from Postgres.

Owns the statements that read many memories as columns: all of an owner, or candidates with their neighbours.
"""

import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import Identifier, Memory
from memdeck_daemon.memory.recall.block import Line
from memdeck_daemon.memory.store.conditions import Arguments, condition
from memdeck_daemon.memory.store.reads import Branches
from memdeck_daemon.memory.store.rows import COLUMNS, memory_of

LINE: Final = (
    "m.id, m.text, m.actor_id, m.run_id, m.arrival, m.created_at, m.expiration_date, m.owner, v.embedding"
)

# OFFSET 0 keeps the planner from joining the two tables by comparing every pair of rows, as it does for an owner that it
# has no statistics of yet: one index look-up a row is never far from the best.
VECTOR: Final = "CROSS JOIN LATERAL (SELECT w.embedding FROM memory.vectors_1 w WHERE w.owner = {owner} AND w.id = m.id OFFSET 0) v"

# One statement is one snapshot: the generation is that of exactly these memories.
OF_OWNER: Final = f"""
SELECT coalesce((SELECT i.generation FROM memory.identifiers i WHERE i.kind = $1 AND i.value = $2), 0) AS generation, found.*
FROM (SELECT 1) AS always LEFT JOIN LATERAL (
    SELECT {{columns}} FROM memory.memories m {VECTOR.format(owner="$3")} WHERE m.owner = $3
    ORDER BY m.created_at, m.id LIMIT $4) AS found ON true
"""  # noqa: S608 - constant columns
LINES_OF_OWNER: Final = OF_OWNER.format(columns=LINE)
WHOLE_OF_OWNER: Final = OF_OWNER.format(columns=f"{COLUMNS}, m.arrival, m.owner, v.embedding")

SIZE: Final = """
SELECT i.owned AS memories, CASE WHEN i.owned <= $4 THEN (
    SELECT coalesce(sum(octet_length(m.text)), 0)::bigint FROM memory.memories m WHERE m.owner = $3) END AS bytes
FROM memory.identifiers i WHERE i.kind = $1 AND i.value = $2
"""

HYDRATE: Final = f"""
SELECT coalesce((SELECT i.generation FROM memory.identifiers i WHERE i.kind = $1 AND i.value = $2), 0) AS generation, {COLUMNS}
FROM (SELECT 1) AS always LEFT JOIN memory.memories m ON m.owner = $3 AND m.id = ANY($4::uuid[])
"""  # noqa: S608 - constant columns

# {primary} and {joined}: the vectors of the primary space, where there is one.
WITH_NEIGHBOURS: Final = f"""
WITH chosen AS MATERIALIZED (
    SELECT m.id, m.run_id, m.arrival FROM memory.memories m WHERE m.owner = $1 AND m.id = ANY($2::uuid[])
), near AS (
    SELECT chosen.id FROM chosen UNION
    SELECT n.id FROM chosen CROSS JOIN LATERAL (
        SELECT w.id FROM memory.memories w WHERE w.owner = $1 AND w.run_id = chosen.run_id
            AND w.arrival BETWEEN chosen.arrival - $3::int AND chosen.arrival + $3::int OFFSET 0) n
)
SELECT {LINE} {{primary}} FROM near
CROSS JOIN LATERAL (SELECT * FROM memory.memories x WHERE x.owner = $1 AND x.id = near.id OFFSET 0) m
{VECTOR.format(owner="$1")} {{joined}}
"""  # noqa: S608 - constant columns

VECTORS_OF_OWNER: Final = "SELECT id, embedding FROM memory.vectors_{space} WHERE owner = $1"


def _with_primary(statement: str, space_id: int | None) -> str:
    if space_id is None:
        return statement.format(primary="", joined="")
    joined = (
        f"LEFT JOIN LATERAL (SELECT r.embedding FROM memory.vectors_{space_id} r "  # noqa: S608 - an integer
        "WHERE r.owner = $1 AND r.id = m.id OFFSET 0) p ON true"
    )
    return statement.format(primary=", p.embedding AS primary_embedding", joined=joined)


def line_of(row: Any, *, primary: bool = False) -> Line:
    """A memory on its way into a block; `primary`: its vector in the primary space was asked for."""
    return Line(
        id=row["id"],
        text=row["text"],
        vector=row["embedding"],
        created_at=row["created_at"],
        actor=row["actor_id"],
        run=row["run_id"],
        arrival=row["arrival"],
        expiration_date=row["expiration_date"],
        owner=row["owner"],
        primary=row["primary_embedding"] if primary else None,
    )


async def size(connection: Any, owner: Identifier, most_rows: int, most_bytes: int) -> int | None:
    """How many memories an owner has, up to so many with so many bytes of text; one indexed row when it has too many: None."""
    row = await connection.fetchrow(SIZE, owner.kind, owner.value, str(owner), most_rows)
    if row is None:
        return 0
    fits = row["memories"] <= most_rows and row["bytes"] <= most_bytes
    return int(row["memories"]) if fits else None


async def of_owner(connection: Any, owner: Identifier, limit: int) -> tuple[int, list[Line]]:
    """The owner's generation and, of the same instant, its memories; at most `limit` of them."""
    rows = await connection.fetch(LINES_OF_OWNER, owner.kind, owner.value, str(owner), limit)
    return rows[0]["generation"], [line_of(row) for row in rows if row["id"] is not None]


async def whole_of_owner(
    connection: Any, owner: Identifier, limit: int
) -> tuple[int, list[Line], list[Memory]]:
    """As `of_owner`, and the memories as they are answered."""
    rows = await connection.fetch(WHOLE_OF_OWNER, owner.kind, owner.value, str(owner), limit)
    found = [row for row in rows if row["id"] is not None]
    return rows[0]["generation"], [line_of(row) for row in found], [memory_of(row) for row in found]


async def primary_of_owner(
    connection: Any, owner: Identifier, space_id: int
) -> list[tuple[uuid.UUID, NDArray[np.float16]]]:
    """The vectors that an owner's memories have in the primary space."""
    rows = await connection.fetch(VECTORS_OF_OWNER.format(space=space_id), str(owner))
    return [(row["id"], row["embedding"]) for row in rows]


async def hydrate(
    connection: Any, owner: Identifier, ids: Sequence[uuid.UUID]
) -> tuple[int, dict[uuid.UUID, Memory]]:
    """The owner's generation and, of the same instant, whole memories."""
    rows = await connection.fetch(HYDRATE, owner.kind, owner.value, str(owner), list(ids))
    return rows[0]["generation"], {row["id"]: memory_of(row) for row in rows if row["id"] is not None}


async def allowed(
    connection: Any, where: Filter, branches: Branches, *, today: date | None
) -> set[uuid.UUID]:
    """The ids of all memories that match."""
    arguments = Arguments()
    sql = condition(where, branches, arguments, today=today)
    rows = await connection.fetch(f"SELECT m.id FROM memory.memories m WHERE {sql}", *arguments.values)  # noqa: S608
    return {row["id"] for row in rows}


async def with_neighbours(
    connection: Any, places: Sequence[tuple[str, uuid.UUID]], reach: int, space_id: int | None
) -> list[Line]:
    """Candidates, and the turns up to `reach` places before and after them in their runs.

    `space_id`: the primary space, whose vectors are read as well.
    """
    statement = _with_primary(WITH_NEIGHBOURS, space_id)
    by_owner: dict[str, list[uuid.UUID]] = {}
    for owner, memory_id in places:
        by_owner.setdefault(owner, []).append(memory_id)
    rows = [
        row for owner, ids in by_owner.items() for row in await connection.fetch(statement, owner, ids, reach)
    ]
    return [line_of(row, primary=space_id is not None) for row in rows]
