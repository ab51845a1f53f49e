"""Ends what can no longer be undone, and what was to be kept for a while only.

Owns the hourly pass: over the history, where what was deleted longer ago than changes can be undone is forgotten for
good, its text included; and over the traces whose time is over.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from memdeck_common.errors import MemdeckError
from memdeck_common.log import action
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory.sessions import store as traces
from memdeck_daemon.memory.store import changes

log = logging.getLogger(__name__)

EVERY: Final = 3_600.0
BATCH: Final = 5_000


async def run(database: Database, undo_hours: float, purge_traces: Callable[[], Awaitable[int]]) -> None:
    """Purge every hour until cancelled; `purge_traces` deletes old traces and says how many."""
    while True:
        try:
            count = await purge(database, undo_hours)
            if count:
                log.info(
                    "forgot %d deleted memories for good",
                    count,
                    extra=action("memories_purged", memories=count),
                )
            if traces := await purge_traces():
                log.info("deleted %d old traces", traces, extra=action("traces_purged", traces=traces))
        except MemdeckError as error:
            log.warning("the purge waits for the next hour: %s", error, extra=action("purge_failed"))
        await asyncio.sleep(EVERY)


async def purge(database: Database, undo_hours: float) -> int:
    """One pass; how many memories were forgotten for good."""
    total = 0
    while True:
        async with database.connection() as connection:
            count = await changes.purge(connection, undo_hours, BATCH)
        total += count
        if count < BATCH:
            break
    async with database.connection() as connection:
        await changes.purge_ledger(connection)
        await traces.purge_deleted(connection, undo_hours)
    return total
