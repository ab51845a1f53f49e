"""Whole memories for the answers of one moment, read by one statement.

Owns who reads for whom: the search process answers several searches in one piece, and the first of them reads for all that
come in the same turn of the event loop. Nobody joins a statement that was sent already, so each answer holds what was
committed before its search began. Refuses to share a failure: where the first one gives up or the statement for all fails,
each reads for itself; only that the database is away concerns them all alike.
"""

import asyncio
import math
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from memdeck_common.errors import StoreUnavailable
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.memory.model import Memory
from memdeck_daemon.memory.store import reads

Places = Sequence[tuple[str, uuid.UUID]]
Memories = dict[uuid.UUID, Memory]


async def read(database: Database, places: Places) -> Memories:
    """Memories by owner and id; those that are gone are absent.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    async with database.connection() as connection:
        return await reads.many(connection, places)


@dataclass(slots=True)
class Hydration:
    """Reads memories for those that come together."""

    read: Callable[[Places], Awaitable[Memories]]
    _joining: list[tuple[Places, "asyncio.Future[Memories | None]"]] | None = field(init=False, default=None)
    """Those for whom the first one will read; None: nobody is first."""

    async def memories(self, places: Places) -> Memories:
        """These memories, and perhaps others' too; errors as `read`."""
        if self._joining is None:
            return await self._first(places)
        future = asyncio.get_running_loop().create_future()
        self._joining.append((places, future))
        left = deadline.left(math.inf)
        try:
            async with asyncio.timeout(None if left == math.inf else left):
                found: Memories | None = await future
        except TimeoutError:
            raise StoreUnavailable("There was no time left for the database.") from None
        return await self.read(places) if found is None else found

    async def _first(self, places: Places) -> Memories:
        joined = self._joining = []
        found: Memories | None = None
        try:
            try:
                await asyncio.sleep(0)  # those whose answers came in the same piece
            finally:
                self._joining = None
            try:
                found = await self.read([*places, *(place for others, _ in joined for place in others)])
            except StoreUnavailable:
                raise
            except Exception:
                if not joined:
                    raise
                return await self.read(places)  # it may have been another's memory
            return found
        finally:
            for _, future in joined:
                if not future.done():  # whoever waited may have given up
                    future.set_result(found)
