"""What people do with spaces: list, add, compare, switch, drop.

Owns the checks before a space is added and what the comparison tells. Every change is one transaction of the store, and
what has to follow it is done by the filler from the state in the database, so there is nothing to resume here.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from memdeck_common.errors import BadRequest, Conflict
from memdeck_common.log import action
from memdeck_common.wire import spaces as wire
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory.embedding.failures import EmbedderFailed, TextRefused
from memdeck_daemon.memory.embedding.spaces import Spaces
from memdeck_daemon.memory.store import spaces as store

log = logging.getLogger(__name__)

ASKED: Final = 10.0
"""Seconds that the embedder of a new space gets for its first answer."""
TOP: Final = 10
NEWEST: Final = 2_000
"""Memories of an owner that take part in a comparison."""
WHOLE: Final = 100.0


@dataclass(frozen=True, slots=True)
class SpacesDesk:
    """The spaces of one database, for people."""

    spaces: Spaces
    database: Database

    async def listed(self) -> wire.Spaces:
        """All spaces with how much they hold."""
        async with self.database.connection() as connection:
            rows = [(row, await store.amounts(connection, row)) for row in await store.listed(connection)]
        return wire.Spaces(spaces=[_shown(row, amounts) for row, amounts in rows])

    async def add(self, new: wire.NewSpace) -> wire.Space:
        """Bring a model in: its embedder is tried, then memories are embedded in the background.

        Raises:
            BadRequest: the embedder cannot be used, or has other dimensions.
            Conflict: no embedder is configured, the space is there, or there is another candidate.
        """
        url = (new.url or self.spaces.endpoint.url).rstrip("/")
        endpoint = self.spaces.endpoint_at(url, new.model)
        try:
            dimensions = await self.spaces.trial(endpoint, new.dims, ASKED)
        except TimeoutError:
            raise BadRequest("The embedder did not answer in time; nothing was changed.") from None
        except (EmbedderFailed, TextRefused) as error:
            raise BadRequest(f"{error} Nothing was changed.") from None
        space = await self.spaces.add(new.model, dimensions, url)
        log.info("%s was added as %s", space.name, space.role, extra=action("embedding_space_added"))
        return await self._shown(space)

    async def switch(self, space_id: int, *, force: bool) -> wire.Space:
        """Search with the candidate from now on; the space before is retired.

        Raises:
            Conflict: it is no candidate, or does not hold all memories yet.
        """
        space = await self.spaces.switch(space_id, force=force)
        log.info(
            "%s is the embedding space from now on", space.name, extra=action("embedding_space_switched")
        )
        return await self._shown(space)

    async def drop(self, space_id: int, *, force: bool) -> wire.Space:
        """Remove a space with its vectors; what it held until then.

        Raises:
            Conflict: it is the local one, or in use.
        """
        async with self.database.connection() as connection:
            rows = [row for row in await store.listed(connection) if row.id == space_id]
            amounts = await store.amounts(connection, rows[0]) if rows else None
        space = await self.spaces.drop(space_id, force=force)
        log.info("%s was dropped", space.name, extra=action("embedding_space_dropped"))
        return _shown(space, amounts or store.Amounts(0, 0, 0, 0))

    async def compare(self, queries: int) -> wire.Comparison:
        """The primary space and the candidate, over memories that both hold.

        Raises:
            Conflict: there are not two spaces.
        """
        primary, candidate = self.spaces.primary, self.spaces.candidate
        if primary is None or candidate is None:
            raise Conflict("There is no candidate to compare with; `memdeck spaces add` brings a model in.")
        pair = (primary.space.id, candidate.space.id)
        async with self.database.connection() as connection:
            found = await store.neighbours(connection, pair, queries, TOP, NEWEST)
        if not found:
            return wire.Comparison(queries=0, overlap_at_10=None, primary=None, candidate=None)
        overlaps = [len(one & other) / max(len(one), 1) for one, other, _, _ in found]
        return wire.Comparison(
            queries=len(found),
            overlap_at_10=round(sum(overlaps) / len(overlaps), 4),
            primary=self._scores(primary.space, [row[2] for row in found]),
            candidate=self._scores(candidate.space, [row[3] for row in found]),
        )

    def _scores(self, space: store.Space, best: Sequence[float]) -> wire.Scores:
        low, middle, high = (round(float(value), 4) for value in np.percentile(best, (10, 50, 90)))
        background = self.spaces.backgrounds.get(space.id)
        return wire.Scores(
            space=space.id, name=space.name, background=background, best_p10=low, best_p50=middle, best_p90=high
        )  # fmt: skip

    async def _shown(self, space: store.Space) -> wire.Space:
        async with self.database.connection() as connection:
            return _shown(space, await store.amounts(connection, space))


def _shown(space: store.Space, amounts: store.Amounts) -> wire.Space:
    done = amounts.embedded + amounts.parked
    percent = WHOLE if done >= amounts.memories else WHOLE * done / amounts.memories
    return wire.Space(
        id=space.id,
        provider=space.provider,
        model=space.model,
        dimensions=space.dimensions,
        role=space.role,
        url=space.url,
        memories=amounts.memories,
        embedded=amounts.embedded,
        waiting=amounts.waiting,
        parked=amounts.parked,
        percent=round(percent, 2),
        background=space.background,
        filled_at=space.filled_at.isoformat() if space.filled_at else None,
        created_at=space.created_at.isoformat(),
    )
