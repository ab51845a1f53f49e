"""The counters of identifiers: generations, and how many memories each name has.

Owns the last statement of every write transaction. Rows are always touched in (kind, value) order and after everything
else, or two writers that share names deadlock.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from memdeck_daemon.memory.model import Identifier, Identifiers

BUMP = """
INSERT INTO memory.identifiers AS i (kind, value, generation, memories, owned)
SELECT kind, value, 1, memories, owned FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
    AS given (kind, value, memories, owned) ORDER BY kind, value
ON CONFLICT (kind, value) DO UPDATE SET generation = i.generation + 1, memories = i.memories + excluded.memories,
    owned = i.owned + excluded.owned, updated_at = clock_timestamp(),
    created_at = CASE WHEN i.memories <= 0 THEN clock_timestamp() ELSE i.created_at END
RETURNING kind, value, generation, memories
"""

GENERATIONS: Final = """
SELECT l.id AS lineage, array(
    SELECT coalesce(i.generation, 0) FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (kind, value, place)
    LEFT JOIN memory.identifiers i USING (kind, value) ORDER BY asked.place
) AS generations FROM memory.lineage l
"""

LOOK: Final = (
    "coalesce((SELECT i.generation FROM memory.identifiers i WHERE i.kind = ${} AND i.value = ${}), 0)"
)
FEW: Final = 8
"""Names that are looked up one by one."""


@dataclass(frozen=True, slots=True)
class Counter:
    """A name's counters after the commit that returned them."""

    identifier: Identifier
    generation: int
    memories: int


async def bump(connection: Any, changes: Iterable[tuple[Identifiers, int]]) -> list[Counter]:
    """Count memories with these identifiers in (+) or out (−); 0 counts a change. The last statement before the commit.

    The values hold only once the transaction has committed: use them after, never before.
    """
    totals: dict[Identifier, list[int]] = {}
    for identifiers, amount in changes:
        for place, name in enumerate(identifiers.named()):
            memories_owned = totals.setdefault(name, [0, 0])
            memories_owned[0] += amount
            memories_owned[1] += amount if place == 0 else 0
    names = sorted(totals, key=lambda name: (name.kind, name.value))
    rows = await connection.fetch(
        BUMP,
        [name.kind for name in names],
        [name.value for name in names],
        [totals[name][0] for name in names],
        [totals[name][1] for name in names],
    )
    return [
        Counter(Identifier(row["kind"], row["value"]), row["generation"], row["memories"]) for row in rows
    ]


async def read(connection: Any, identifiers: Iterable[Identifier]) -> list[Counter]:
    """The counters of these names; names without memories are absent."""
    names = list(identifiers)
    rows = await connection.fetch(
        "SELECT i.kind, i.value, i.generation, i.memories FROM memory.identifiers i "
        "JOIN unnest($1::text[], $2::text[]) AS asked (kind, value) USING (kind, value)",
        [name.kind for name in names],
        [name.value for name in names],
    )
    return [
        Counter(Identifier(row["kind"], row["value"]), row["generation"], row["memories"]) for row in rows
    ]


async def generations(connection: Any, names: Sequence[Identifier]) -> tuple[uuid.UUID, list[int]]:
    """The lineage and, of the same instant, the generations of these names in their order; 0 where a name was never used."""
    if len(names) <= FEW:
        row = await connection.fetchrow(
            _of_few(len(names)), *(part for name in names for part in (name.kind, name.value))
        )
    else:
        row = await connection.fetchrow(
            GENERATIONS, [name.kind for name in names], [name.value for name in names]
        )
    return row["lineage"], list(row["generations"])


@cache
def _of_few(count: int) -> str:
    """A row look-up for each name; planning the join of `GENERATIONS` takes longer than the look-ups themselves."""
    looks = ", ".join(LOOK.format(place, place + 1) for place in range(1, 2 * count, 2))
    return f"SELECT l.id AS lineage, ARRAY[{looks}]::bigint[] AS generations FROM memory.lineage l"  # noqa: S608


async def settled(connection: Any, names: Sequence[Identifier]) -> dict[Identifier, int]:
    """The generations of these names after the transactions that change them right now; names never used are absent.

    FOR SHARE waits for the locks of a transaction whose client has gone but which the server may still commit.
    """
    rows = await connection.fetch(
        "SELECT i.kind, i.value, i.generation FROM memory.identifiers i "
        "JOIN unnest($1::text[], $2::text[]) AS asked (kind, value) USING (kind, value) "
        "ORDER BY i.kind, i.value FOR SHARE OF i",
        [name.kind for name in names],
        [name.value for name in names],
    )
    return {Identifier(row["kind"], row["value"]): row["generation"] for row in rows}
