"""Projections that are built at once."""

from memdeck_common.errors import NotFound
from memdeck_common.wire.projections import Projection, Projections, Rebuilding


class FakeProjections:
    """Fulfils `ports.ProjectionOperations`."""

    def __init__(self) -> None:
        self._rebuilds = 0

    async def listed(self) -> Projections:
        """The keyword index."""
        lexical = Projection(
            name="lexical", state="following", holds=0, memories=0, lag=0, complete=True,
            rebuilds=self._rebuilds, lineage=None,
        )  # fmt: skip
        return Projections(projections=[lexical])

    async def rebuild(self, name: str) -> Rebuilding:
        """Build it anew."""
        if name != "lexical":
            raise NotFound
        self._rebuilds += 1
        return Rebuilding(message="It is being rebuilt.", rebuilds=self._rebuilds - 1)
