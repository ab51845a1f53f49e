"""`GET /ops/feed`: what the daemon tells those who watch it, as Server-Sent Events."""

from memdeck_common.wire import feed as wire
from memdeck_daemon.api.http.routing import Call, Route, Stream
from memdeck_daemon.api.http.sse import event_stream
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.ports import Telemetry


class FeedRoutes:
    """The feed."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    async def feed(self, call: Call[None, None]) -> Stream:
        """A snapshot first, then a tick a second."""
        caller = wire.Caller(name=call.principal.caller.name, role=call.principal.role)
        return event_stream(self._telemetry.feed(caller, call.headers.get("Last-Event-ID")))


def routes(parts: Parts) -> list[Route]:
    """The table of the feed."""
    serve = FeedRoutes(parts.telemetry)
    return [
        Route(method="GET", path="/ops/feed", handler=serve.feed, operation="feed", need="operator", dialect="ops",
              summary="What happens, as it happens", answer=bytes, content_type="text/event-stream",
              description="Server-Sent Events: `snapshot`, then a `tick` each second; `Last-Event-ID` resumes."),
    ]  # fmt: skip
