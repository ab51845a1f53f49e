"""`/ops/spaces`: list, add, compare, switch and drop embedding spaces."""

from memdeck_common.errors import NotFound
from memdeck_common.wire import spaces as wire
from memdeck_daemon.api.http.routing import Call, Route
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.ports import SpaceOperations

LARGEST = 32_767
"""Ids are numbers of 16 bits."""


class SpaceRoutes:
    """Embedding spaces."""

    def __init__(self, spaces: SpaceOperations) -> None:
        self._spaces = spaces

    async def listed(self, _: Call[None, None]) -> wire.Spaces:
        """All spaces with how much they hold."""
        return await self._spaces.listed()

    async def add(self, call: Call[wire.NewSpace, None]) -> wire.Space:
        """A new candidate, or the first remote space; it is filled in the background."""
        call.principal.check_unpinned()
        return await self._spaces.add(call.body)

    async def compare(self, call: Call[None, wire.Sample]) -> wire.Comparison:
        """The primary space and the candidate side by side."""
        return await self._spaces.compare(call.query.queries)

    async def switch(self, call: Call[wire.Force, None]) -> wire.Space:
        """Search with the candidate from now on."""
        call.principal.check_unpinned()
        return await self._spaces.switch(_number(call.path["space_id"]), force=call.body.force)

    async def drop(self, call: Call[None, wire.Force]) -> wire.Space:
        """Remove a space with its vectors."""
        call.principal.check_unpinned()
        return await self._spaces.drop(_number(call.path["space_id"]), force=call.query.force)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text[:6]) > LARGEST:
        raise NotFound("No such space; `memdeck spaces list` shows those that exist.")
    return int(text[:6])


def routes(parts: Parts) -> list[Route]:
    """The table of spaces."""
    serve = SpaceRoutes(parts.spaces)
    return [
        Route(method="GET", path="/ops/spaces", handler=serve.listed, operation="spaces", need="operator",
              dialect="ops", summary="Embedding spaces and how much they hold", answer=wire.Spaces),
        Route(method="POST", path="/ops/spaces", handler=serve.add, operation="spaces", need="admin", dialect="ops",
              summary="Bring an embedding model in", body=wire.NewSpace, answer=wire.Space, status=201,
              refuses=(400, 409), description="Tries its embedder first; memories are embedded in the background.",
              example={"model": "text-embedding-3-small", "dims": 1536}),
        Route(method="GET", path="/ops/spaces/compare", handler=serve.compare, operation="spaces", need="operator",
              dialect="ops", summary="The primary space and the candidate side by side", query=wire.Sample,
              answer=wire.Comparison, refuses=(409,)),
        Route(method="POST", path="/ops/spaces/{space_id}/switch", handler=serve.switch, operation="spaces",
              need="admin", dialect="ops", summary="Search with the candidate from now on", body=wire.Force,
              answer=wire.Space, refuses=(404, 409), description="Refused before it holds all memories, unless forced."),
        Route(method="DELETE", path="/ops/spaces/{space_id}", handler=serve.drop, operation="spaces", need="admin",
              dialect="ops", summary="Remove a space with its vectors", query=wire.Force, answer=wire.Space,
              refuses=(404, 409), description="The primary space only when forced: the local one answers then."),
    ]  # fmt: skip
