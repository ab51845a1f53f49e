"""`/ops/projections`: what is derived from the memories, and building it anew."""

from memdeck_common.wire import projections as wire
from memdeck_daemon.api.http.routing import Call, Route
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.ports import ProjectionOperations


class ProjectionRoutes:
    """Projections."""

    def __init__(self, projections: ProjectionOperations) -> None:
        self._projections = projections

    async def listed(self, _: Call[None, None]) -> wire.Projections:
        """What they hold and how far they are."""
        return await self._projections.listed()

    async def rebuild(self, call: Call[None, None]) -> wire.Rebuilding:
        """Build one anew in the background."""
        return await self._projections.rebuild(call.path["name"])


def routes(parts: Parts) -> list[Route]:
    """The table of projections."""
    serve = ProjectionRoutes(parts.projections)
    return [
        Route(method="GET", path="/ops/projections", handler=serve.listed, operation="projections", need="operator",
              dialect="ops", summary="What is derived from the memories, and how far it is", answer=wire.Projections),
        Route(method="POST", path="/ops/projections/{name}/rebuild", handler=serve.rebuild, operation="projections",
              need="operator", dialect="ops", summary="Build one anew", answer=wire.Rebuilding, status=202,
              refuses=(404,), description="Nothing is lost: it is derived from the memories. Searches go on."),
    ]  # fmt: skip
