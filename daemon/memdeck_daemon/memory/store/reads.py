"""Reading memories: by id, by page, and the candidates of a search.

Owns the statements that find. A search asks twice: once for light candidates (id and cosine), once for the few whole
memories that are returned; whole rows of all candidates would cost more than the search.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import Entity, HistoryEntry, Identifier, Memory
from memdeck_daemon.memory.store.conditions import Arguments, condition
from memdeck_daemon.memory.store.rows import COLUMNS, history_of, memory_of

Branches = tuple[frozenset[Identifier], ...]

ONE: Final = f"""
SELECT {COLUMNS} FROM memory.locator l JOIN memory.memories m ON m.owner = l.owner AND m.id = l.id WHERE l.id = $1
"""  # noqa: S608 - constant columns

MANY: Final = f"""
SELECT {COLUMNS} FROM memory.memories m WHERE m.owner = $1 AND m.id = ANY($2::uuid[])
"""  # noqa: S608 - constant columns

HISTORY: Final = """
SELECT h.*, CASE WHEN h.changed_at > now() - make_interval(secs => $2) AND h.changed_at = max(h.changed_at) OVER ()
    THEN h.changed_at + make_interval(secs => $2) END AS undo_until
FROM memory.history h WHERE h.memory_id = $1 ORDER BY h.changed_at, h.id
"""


BY_ID: Final = "SELECT m.owner, m.id FROM memory.memories m"
LOCATED: Final = """SELECT m.owner, m.id FROM (
    SELECT l.owner, l.id FROM memory.locator l WHERE l.id = ANY({found}::uuid[]) UNION ALL SELECT owner, id FROM tail
) AS others JOIN memory.memories m ON m.owner = others.owner AND m.id = others.id"""


@dataclass(frozen=True, slots=True)
class PrimaryArm:
    """The question in the primary space."""

    space: int
    query: NDArray[np.float16]
    complete: bool
    """Whether every memory without a vector there is in the space's queue."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A memory that an arm proposed."""

    owner: str
    id: uuid.UUID


async def one(connection: Any, memory_id: uuid.UUID) -> Memory | None:
    """A memory by its id."""
    row = await connection.fetchrow(ONE, memory_id)
    return memory_of(row) if row else None


async def many(connection: Any, places: Sequence[tuple[str, uuid.UUID]]) -> dict[uuid.UUID, Memory]:
    """Whole memories by owner and id; those that are gone are absent."""
    by_owner: dict[str, list[uuid.UUID]] = {}
    for owner, memory_id in places:
        by_owner.setdefault(owner, []).append(memory_id)
    # One owner at a time: with the owner as a constant the planner looks at one partition, not at sixteen.
    found = [row for owner, ids in by_owner.items() for row in await connection.fetch(MANY, owner, ids)]
    return {row["id"]: memory_of(row) for row in found}


async def history(connection: Any, memory_id: uuid.UUID, undo_hours: float) -> list[HistoryEntry]:
    """All changes of a memory, oldest first; only the last one can be undone."""
    return [history_of(row) for row in await connection.fetch(HISTORY, memory_id, undo_hours * 3600)]


async def page(
    connection: Any, where: Filter, branches: Branches, *, offset: int, limit: int, today: date | None
) -> tuple[int, list[Memory]]:
    """How many memories match, and a page of them: newest first, in an order that writes do not shuffle."""
    arguments = Arguments()
    sql = condition(where, branches, arguments, today=today)
    count = await connection.fetchval(
        f"SELECT count(*) FROM memory.memories m WHERE {sql}",  # noqa: S608 - values are parameters
        *arguments.values,
    )
    places = f"OFFSET {arguments.add(offset)} LIMIT {arguments.add(limit)}"
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM memory.memories m WHERE {sql} ORDER BY m.created_at DESC, m.id DESC {places}",  # noqa: S608
        *arguments.values,
    )
    return count, [memory_of(row) for row in rows]


def _dense(space: int, vector: str, near: str, sql: str, joined: str = "") -> str:
    # "+ 0" keeps the planner from an index that was built for another filter.
    return (
        f"SELECT m.owner, m.id, (v.embedding <#> {vector}) + 0 AS distance FROM memory.memories m "  # noqa: S608
        f"{joined} CROSS JOIN LATERAL (SELECT w.embedding FROM memory.vectors_{space} w "
        f"WHERE w.owner = m.owner AND w.id = m.id OFFSET 0) v "
        f"WHERE {sql} ORDER BY distance LIMIT {near}"
    )


async def candidates(
    connection: Any,
    where: Filter,
    branches: Branches,
    *,
    query: NDArray[np.float32],
    lexical: Sequence[uuid.UUID],
    tail_after: tuple[int, int],
    limit: int,
    tail_limit: int,
    today: date | None,
    primary: PrimaryArm | None = None,
) -> tuple[list[Candidate], bool]:
    """The nearest memories by exact cosine, the lexical ones, and the tail of the outbox; whether that is all of the tail.

    With `primary`, the nearest ones are those of that space, and those of the local space among what waits for its vector.

    `tail_after` is the lexical index's watermark (xid, id). All of them match the filter: what was deleted or changed
    since an index saw it falls out here.
    """
    arguments = Arguments()
    sql = condition(where, branches, arguments, today=today)
    vector, near = arguments.add(query), arguments.add(limit)
    found, xid, place = (
        arguments.add(list(lexical)),
        arguments.add(tail_after[0]),
        arguments.add(tail_after[1]),
    )
    after = f"(o.xid, o.id) > ({xid}::bigint::text::xid8, {place}::bigint)"
    owners = owners_of(branches)
    owned = "true" if owners is None else f"o.owner = ANY({arguments.add(owners)}::text[])"
    # Of known owners the ids are looked up as an array: joined as a table whose size the planner does not know, they are
    # read again for every memory of the owner.
    others, chosen = BY_ID, f" AND m.id = ANY({found}::uuid[] || ARRAY(SELECT id FROM tail))"  # noqa: S608
    if owners is None:
        others, chosen = LOCATED.format(found=found), ""
    dense = _dense(1, vector, near, sql)
    if primary is not None:
        waiting = ""
        if primary.complete:
            waiting = f"JOIN memory.embedding_queue q ON q.space = {primary.space} AND q.owner = m.owner AND q.id = m.id"
        dense = (
            f"({_dense(primary.space, arguments.add(primary.query), near, sql)}) UNION ALL "
            f"({_dense(1, vector, near, sql, waiting)})"
        )
    rows = await connection.fetch(
        f"""
        WITH dense AS (
            {dense}
        ), tail AS MATERIALIZED (
            SELECT DISTINCT o.owner, o.memory_id AS id FROM memory.outbox o
            WHERE {owned} AND {after} AND o.change = 'put' LIMIT {arguments.add(tail_limit)}
        ), found AS (
            SELECT owner, id FROM dense
            UNION
            {others} WHERE {sql}{chosen}
        )
        SELECT found.owner, found.id, behind.amount FROM (SELECT count(*) AS amount FROM tail) AS behind
        LEFT JOIN found ON true
        """,  # noqa: S608 - values are parameters
        *arguments.values,
    )
    found_here = [Candidate(row["owner"], row["id"]) for row in rows if row["id"] is not None]
    return found_here, rows[0]["amount"] < tail_limit


def owners_of(branches: Branches) -> list[str] | None:
    """The owners that the branches can belong to; None when that is not known from the names alone."""
    users = [next((str(name) for name in branch if name.kind == "user"), None) for branch in branches]
    return [user for user in users if user is not None] if all(users) else None


async def entities(
    connection: Any, kind: str | None, patterns: dict[str, list[str]], offset: int, limit: int
) -> tuple[int, list[Entity], dict[str, int]]:
    """How many names have memories, a page of them by kind and name, and how many there are of each kind.

    `patterns` holds regular expressions by kind. Where there are any, only names of these kinds that match are shown: how
    many memories another name has is not for a caller who cannot reach them.
    """
    shown = "i.memories > 0 AND ($1::text IS NULL OR i.kind = $1)"
    arguments: list[Any] = [kind]
    fitting = []
    for pinned, expressions in patterns.items():
        arguments += [pinned, expressions]
        fitting.append(f"i.kind = ${len(arguments) - 1} AND i.value ~ ANY(${len(arguments)}::text[])")
    if fitting:
        shown += f" AND ({' OR '.join(fitting)})"
    totals = await connection.fetch(
        f"SELECT i.kind, count(*) AS names FROM memory.identifiers i WHERE {shown} GROUP BY i.kind",  # noqa: S608
        *arguments,
    )
    rows = await connection.fetch(
        f"SELECT i.kind, i.value, i.memories, i.created_at, i.updated_at FROM memory.identifiers i WHERE {shown} "  # noqa: S608
        f"ORDER BY i.kind, i.value OFFSET ${len(arguments) + 1} LIMIT ${len(arguments) + 2}",
        *arguments, offset, limit,
    )  # fmt: skip
    by_kind = {row["kind"]: row["names"] for row in totals}
    found = [
        Entity(Identifier(row["kind"], row["value"]), row["memories"], row["created_at"], row["updated_at"])
        for row in rows
    ]
    return sum(by_kind.values()), found, by_kind


async def totals(connection: Any) -> tuple[int, dict[str, int], int]:
    """All memories, the names that have some by kind, and the size of the database in bytes."""
    rows = await connection.fetch(
        "SELECT kind, count(*) FILTER (WHERE memories > 0) AS names, coalesce(sum(owned), 0)::bigint AS owned "
        "FROM memory.identifiers GROUP BY kind"
    )
    size = await connection.fetchval("SELECT pg_database_size(current_database())")
    return sum(row["owned"] for row in rows), {row["kind"]: row["names"] for row in rows}, size
