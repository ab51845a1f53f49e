"""Who may keep the counters in memory: two advisory locks of the database, and how daemons tell each other.

Owns the statements. PRESENCE is held on one idle connection per daemon: shared by those who read the counters, exclusively by
the one that owns them. WRITERS is taken, shared and until the commit, by every write of a daemon that does not own the
counters, and held exclusively by the one that does: a daemon that has lost its connection can still write, and its write
waits until the owner has stepped down.
"""

import uuid
from dataclasses import dataclass
from typing import Any, Final

AREA: Final = 0x6D656D
"""`mem`: the first half of the keys of both locks."""
PRESENCE: Final = 1
WRITERS: Final = 2
CHANNEL: Final = "memdeck_presence"

LOOK: Final = """
SELECT l.id AS lineage,
    coalesce(bool_or(p.objid = $2 AND p.pid <> pg_backend_pid()), false) AS company,
    coalesce(bool_or(p.objid = $3 AND NOT p.granted), false) AS waiting
FROM memory.lineage l LEFT JOIN pg_locks p ON p.locktype = 'advisory' AND p.classid = $1 AND p.objsubid = 2
    AND p.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
GROUP BY l.id
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What one daemon sees of the others."""

    lineage: uuid.UUID
    company: bool
    """Another daemon holds or wants PRESENCE."""
    waiting: bool
    """A write waits for WRITERS."""


async def look(connection: Any, *, timeout: float) -> Look:  # noqa: ASYNC109 - the driver's parameter
    """Look at the locks, with a round trip that proves the connection alive."""
    row = await connection.fetchrow(LOOK, AREA, PRESENCE, WRITERS, timeout=timeout)
    return Look(row["lineage"], row["company"], row["waiting"])


async def announce(connection: Any) -> None:
    """Tell whoever owns the counters that somebody comes."""
    await connection.execute("SELECT pg_notify($1, '')", CHANNEL)


async def join(connection: Any) -> None:
    """Hold PRESENCE shared; waits until its owner has stepped down."""
    await connection.execute("SELECT pg_advisory_lock_shared($1, $2)", AREA, PRESENCE)


async def own(connection: Any) -> bool:
    """Hold both locks exclusively, beside the shared one; False, and nothing more than before, where that cannot be now."""
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", AREA, PRESENCE):
        return False
    if await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", AREA, WRITERS):
        return True
    await connection.execute("SELECT pg_advisory_unlock($1, $2)", AREA, PRESENCE)
    return False


async def step_down(connection: Any) -> None:
    """Give the exclusive locks back; the shared one stays."""
    await connection.execute(
        "SELECT pg_advisory_unlock($1, $3), pg_advisory_unlock($1, $2)", AREA, PRESENCE, WRITERS
    )


async def enter_as_writer(connection: Any) -> None:
    """Take WRITERS, shared, until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1, $2)", AREA, WRITERS)
