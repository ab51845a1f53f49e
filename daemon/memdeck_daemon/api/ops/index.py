"""`/ops/index`: the state of the keyword index and of the vector indexes, and building them anew."""

from typing import Final

from memdeck_common.wire import index as wire
from memdeck_daemon.api.http.routing import Call, Route
from memdeck_daemon.api.memories import Index
from memdeck_daemon.api.parts import Parts

STARTED: Final = (
    "The lexical index is being rebuilt; until that is done, searches say that they are degraded."
)


class IndexRoutes:
    """The lexical index."""

    def __init__(self, index: Index) -> None:
        self._index = index

    async def status(self, _: Call[None, None]) -> wire.IndexStatus:
        """What it holds and how far it is."""
        return await self._index.status()

    async def rebuild(self, _: Call[None, None]) -> wire.RebuildStarted:
        """Build it anew in the background."""
        before = await self._index.status()
        self._index.rebuild_soon()
        return wire.RebuildStarted(message=STARTED, rebuilds=before.rebuilds)


def routes(parts: Parts) -> list[Route]:
    """The table of the index."""
    serve = IndexRoutes(parts.index)
    return [
        Route(method="GET", path="/ops/index", handler=serve.status, operation="index", need="operator", dialect="ops",
              summary="State of the keyword index and of the vector indexes of big owners", answer=wire.IndexStatus),
        Route(method="POST", path="/ops/index/rebuild", handler=serve.rebuild, operation="index", need="operator",
              dialect="ops", summary="Build the indexes anew", answer=wire.RebuildStarted, status=202,
              description="Nothing is lost: it is derived from the memories. Searches go on and say that they are degraded."),
    ]  # fmt: skip
