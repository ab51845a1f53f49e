"""`/health`, `/health/live`, `/health/ready`: no key needed, no database asked."""

from http import HTTPStatus

from memdeck_common.wire import health as wire
from memdeck_daemon.api.http.routing import Call, Reply, Route
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.ports import Telemetry


class HealthRoutes:
    """What the daemon knows of its own state."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    async def health(self, _: Call[None, None]) -> Reply:
        """Everything; 503 when it is down."""
        found = self._telemetry.health()
        return Reply(found, status=HTTPStatus.SERVICE_UNAVAILABLE if found.status == "down" else None)

    async def live(self, _: Call[None, None]) -> wire.Live:
        """The process answers."""
        return self._telemetry.live()

    async def ready(self, _: Call[None, None]) -> Reply:
        """Whether requests can be served; 503 with what is missing when they cannot."""
        found = self._telemetry.ready()
        return Reply(found, status=None if found.status == "ready" else HTTPStatus.SERVICE_UNAVAILABLE)


def routes(parts: Parts) -> list[Route]:
    """The table of health."""
    serve = HealthRoutes(parts.telemetry)
    return [
        Route(method="GET", path="/health", handler=serve.health, operation="health", need="public", dialect="ops",
              summary="Everything about the daemon's state", answer=wire.Health, refuses=(503,)),
        Route(method="GET", path="/health/live", handler=serve.live, operation="health", need="public", dialect="ops",
              summary="Whether the process answers", answer=wire.Live),
        Route(method="GET", path="/health/ready", handler=serve.ready, operation="health", need="public",
              dialect="ops", summary="Whether requests can be served", answer=wire.Ready, refuses=(503,)),
    ]  # fmt: skip
