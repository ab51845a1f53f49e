"""What the vector indexes of big owners read from Postgres.

Owns the pages of an owner from which an index is made, and the changes that it has not seen, with the generation of the
same instant: an index that applied them holds exactly what that generation counts.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.infra.postgres.codecs import HEADER
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.recall.block import Line
from memdeck_daemon.memory.store.conditions import Arguments, condition
from memdeck_daemon.memory.store.outbox import Position
from memdeck_daemon.memory.store.reads import Branches

# One snapshot: whatever the generation counts is below the place, among the changes, or in the index already.
CHANGES: Final = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon, l.id AS lineage,
    coalesce((SELECT i.generation FROM memory.identifiers i WHERE i.kind = $1 AND i.value = $2), 0) AS generation, found.*
FROM memory.lineage l LEFT JOIN LATERAL (
    SELECT o.xid::text::bigint AS xid, o.id, o.memory_id FROM memory.outbox o
    WHERE o.owner = $3 AND (o.xid, o.id) > ($4::bigint::text::xid8, $5::bigint) ORDER BY o.xid, o.id LIMIT $6
) AS found ON true
"""

LAST: Final = """
SELECT o.xid::text::bigint AS xid, o.id FROM memory.outbox o
WHERE o.owner = $1 AND (o.xid, o.id) <= ($2::bigint::text::xid8, $3::bigint) ORDER BY o.xid DESC, o.id DESC LIMIT 1
"""

# The vectors as bytes: decoding them here would hold the loop up; a thread does it for a whole page.
PAGE: Final = """
SELECT m.id, m.text, m.actor_id, m.run_id, m.arrival, m.created_at, m.expiration_date, halfvec_send(v.embedding) AS vector
FROM (SELECT * FROM memory.memories x WHERE x.owner = $1 AND x.id > $2 ORDER BY x.id LIMIT $3) AS m
LEFT JOIN LATERAL (SELECT w.embedding FROM memory.vectors_{space} w WHERE w.owner = $1 AND w.id = m.id OFFSET 0) v ON true
ORDER BY m.id
"""

NOWHERE: Final = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of the outbox."""

    xid: int
    id: int
    memory_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to an owner's memories after a place."""

    lineage: str
    generation: int
    upto: Position
    """Everything up to here is among the entries, or was before them."""
    entries: list[Change]


@dataclass(frozen=True, slots=True)
class Page:
    """Memories of an owner in the order of their ids, with their vectors as they came."""

    rows: Sequence[Any]

    @property
    def last(self) -> uuid.UUID:
        """The last memory."""
        last: uuid.UUID = self.rows[-1]["id"]
        return last

    def lines(self, dimensions: int) -> tuple[list[Line], list[Line], NDArray[np.float16]]:
        """Memories with a vector, memories without, and the vectors, row by row those of the former. For a thread."""
        size = HEADER.size + 2 * dimensions
        whole = [row for row in self.rows if row["vector"] is not None and len(row["vector"]) == size]
        rest = [row for row in self.rows if row["vector"] is None or len(row["vector"]) != size]
        raw = np.frombuffer(b"".join(row["vector"] for row in whole), np.uint8).reshape(len(whole), size)
        vectors = np.ascontiguousarray(raw[:, HEADER.size :]).view(">f2").astype(np.float16)
        return [_line(row) for row in whole], [_line(row) for row in rest], vectors


def _line(row: Any) -> Line:
    return Line(
        id=row["id"],
        text=row["text"],
        vector=NOWHERE,
        created_at=row["created_at"],
        actor=row["actor_id"],
        run=row["run_id"],
        arrival=row["arrival"],
        expiration_date=row["expiration_date"],
    )


async def changes(connection: Any, owner: Identifier, after: Position, limit: int) -> Changes:
    """What happened after a place; at most `limit` entries."""
    rows = await connection.fetch(CHANGES, owner.kind, owner.value, str(owner), after.xid, after.id, limit)
    entries = [Change(row["xid"], row["id"], row["memory_id"]) for row in rows if row["xid"] is not None]
    horizon = Position(rows[0]["horizon"] - 1, 2**63 - 1)
    # A consumer that began at a horizon is never behind an older one.
    upto = horizon if (horizon.xid, horizon.id) > (after.xid, after.id) else after
    return Changes(str(rows[0]["lineage"]), rows[0]["generation"], upto, entries)


async def page(connection: Any, owner: str, space: int, after: uuid.UUID, limit: int) -> Page:
    """The next memories of an owner."""
    return Page(await connection.fetch(PAGE.format(space=space), owner, after, limit))


async def owned(connection: Any, owner: Identifier) -> int:
    """How many memories an owner has."""
    return int(
        await connection.fetchval(
            "SELECT coalesce((SELECT i.owned FROM memory.identifiers i WHERE i.kind = $1 AND i.value = $2), 0)",
            owner.kind, owner.value,
        )
    )  # fmt: skip


async def last(connection: Any, owner: Identifier, upto: Position) -> tuple[int, int]:
    """The last entry of the outbox about an owner's memories that is not behind a place; (0, 0) where there is none."""
    row = await connection.fetchrow(LAST, str(owner), upto.xid, upto.id)
    return (row["xid"], row["id"]) if row else (0, 0)


async def passing(
    connection: Any,
    where: Filter,
    branches: Branches,
    *,
    today: date | None,
    ids: Sequence[uuid.UUID] | None = None,
    limit: int | None = None,
) -> list[uuid.UUID]:
    """Which memories match; of `ids` where they are given, else at most `limit` of all."""
    arguments = Arguments()
    sql = condition(where, branches, arguments, today=today)
    if ids is not None:
        sql += f" AND m.id = ANY({arguments.add(list(ids))}::uuid[])"
    if limit is not None:
        sql += f" LIMIT {arguments.add(limit)}"
    rows = await connection.fetch(f"SELECT m.id FROM memory.memories m WHERE {sql}", *arguments.values)  # noqa: S608
    return [row["id"] for row in rows]


async def acknowledged(connection: Any, name: str, lineage: str) -> Position | None:
    """Up to where a consumer said that it has read; None: it is not known, or of another lineage."""
    row = await connection.fetchrow(
        "SELECT xid::text::bigint AS xid, id FROM memory.projections WHERE name = $1 AND lineage = $2",
        name, uuid.UUID(lineage),
    )  # fmt: skip
    return Position(row["xid"], row["id"]) if row else None
