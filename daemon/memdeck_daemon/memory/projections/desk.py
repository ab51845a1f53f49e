"""What is derived from the memories, as people operate it: fulfils `ports.ProjectionOperations`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from memdeck_common.errors import NotFound
from memdeck_common.wire import projections as wire
from memdeck_daemon.memory.searcher.wire import VectorsLook

STARTED: Final = (
    "{name} is being rebuilt; until that is done, searches that would need it say that they are degraded."
)
SETTLED: Final = frozenset({"ready", "on disk"})


class Projection(Protocol):
    """What follows the outbox."""

    label: str

    async def shown(self) -> wire.Projection:
        """What it holds and how far it is; StoreUnavailable."""

    def rebuild_soon(self) -> None:
        """Have it built anew in the background."""


class Indexes(Protocol):
    """The vector indexes of big owners, wherever they are."""

    async def look(self) -> VectorsLook:
        """What they hold and how far they are."""

    def rebuild_soon(self) -> None:
        """Have all of them made anew."""


@dataclass(slots=True)
class VectorProjection:
    """The vector indexes of big owners, all together."""

    indexes: Indexes
    label: str = "vectors"

    async def shown(self) -> wire.Projection:
        """What they hold and how far they are."""
        look = await self.indexes.look()
        parts = look.parts
        busy = [part.state for part in parts if part.state not in SETTLED]
        holds, waiting = sum(part.memories for part in parts), sum(part.waiting for part in parts)
        return wire.Projection(
            name=self.label,
            state=busy[0] if busy else "following",
            holds=holds,
            memories=holds + waiting,
            lag=waiting,
            complete=look.settled,
            rebuilds=look.rebuilds,
            lineage=None,
            vectors=parts,
        )

    def rebuild_soon(self) -> None:
        """Have all of them made anew; they serve until then."""
        self.indexes.rebuild_soon()


@dataclass(frozen=True, slots=True)
class ProjectionsDesk:
    """All projections of this daemon."""

    projections: Sequence[Projection]

    async def listed(self) -> wire.Projections:
        """What they hold and how far they are.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        return wire.Projections(projections=[await one.shown() for one in self.projections])

    async def rebuild(self, name: str) -> wire.Rebuilding:
        """Have one built anew; searches go on.

        Raises:
            NotFound: there is none of this name.
            StoreUnavailable: the database does not answer.
        """
        for one in self.projections:
            if one.label == name:
                before = await one.shown()
                one.rebuild_soon()
                return wire.Rebuilding(message=STARTED.format(name=name), rebuilds=before.rebuilds)
        raise NotFound("No such projection; `memdeck projections status` shows those that exist.")
