"""The whole API: every table of routes, and the addresses that describe it."""

from typing import Final

from aiohttp import web

from memdeck_common.clock import Clock
from memdeck_common.settings import Settings
from memdeck_daemon.api import native, sessions
from memdeck_daemon.api.access.access import Access
from memdeck_daemon.api.answers import Answers
from memdeck_daemon.api.http import openapi
from memdeck_daemon.api.http.admission import Admission
from memdeck_daemon.api.http.docs import PAGE
from memdeck_daemon.api.http.endpoint import Border
from memdeck_daemon.api.http.hosts import Hosts
from memdeck_daemon.api.http.requests import RequestLog
from memdeck_daemon.api.http.routing import Call, Handler, Reply, Route
from memdeck_daemon.api.http.server import application
from memdeck_daemon.api.mem0 import legacy, oss, oss_server, platform, project, records
from memdeck_daemon.api.memories import Memories, Sessions
from memdeck_daemon.api.ops import feed, health, keys
from memdeck_daemon.api.ops import projections as projection_routes
from memdeck_daemon.api.ops import spaces as space_routes
from memdeck_daemon.api.ops import spool as spool_routes
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.ports import ProjectionOperations, SpaceOperations, SpoolOperations, Telemetry

TABLES: Final = (
    oss,
    oss_server,
    platform,
    records,
    project,
    legacy,
    native,
    sessions,
    health,
    feed,
    keys,
    projection_routes,
    space_routes,
    spool_routes,
)
MOVED: Final = 307


def build_application(
    settings: Settings,
    memory: Memories,
    access: Access,
    telemetry: Telemetry,
    clock: Clock,
    answers: Answers | None = None,
    *,
    session_memory: Sessions,
    projections: ProjectionOperations,
    spaces: SpaceOperations,
    spool: SpoolOperations,
) -> web.Application:
    """The API over these parts; `http.server.serve` puts it on its ports."""
    requests = RequestLog(clock)
    parts = Parts(
        settings=settings,
        memory=memory,
        sessions=session_memory,
        projections=projections,
        spaces=spaces,
        spool=spool,
        access=access,
        telemetry=telemetry,
        requests=requests,
        answers=answers,
    )
    routes = [route for table in TABLES for route in table.routes(parts)]
    routes += _description(routes)
    border = Border(
        settings=settings.server,
        access=access,
        telemetry=telemetry,
        requests=requests,
        clock=clock,
        hosts=Hosts(settings.server.host, settings.server.allowed_hosts),
        admission=Admission(settings.server.max_concurrent),
        answers=answers,
    )
    return application(routes, border)


def _description(routes: list[Route]) -> list[Route]:
    """`/openapi.json`, `/docs` and the ways there."""
    described = openapi.document(routes)

    async def document(_: Call[None, None]) -> Reply:
        return Reply(raw=described)

    async def page(_: Call[None, None]) -> Reply:
        return Reply(raw=PAGE, content_type="text/html; charset=utf-8")

    async def to_docs(_: Call[None, None]) -> Reply:
        return Reply(raw=b"", status=MOVED, headers={"Location": "/docs"}, content_type="text/plain")

    def route(path: str, handler: Handler, summary: str) -> Route:
        return Route(
            method="GET", path=path, handler=handler, operation="other", need="public", dialect="ops", summary=summary
        )  # fmt: skip

    return [
        route("/openapi.json", document, "This description"),
        route("/docs", page, "The same for people"),
        route("/redoc", to_docs, "Moved to /docs"),
        route("/", to_docs, "Moved to /docs"),
    ]
