"""`/ops/spool`: writes that wait on the disk, and those that were set aside."""

from memdeck_common.wire import spool as wire
from memdeck_daemon.api.http.routing import Call, Route, Stream
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.ports import SpoolOperations

LINES = "application/x-ndjson"


class SpoolRoutes:
    """The spool."""

    def __init__(self, spool: SpoolOperations) -> None:
        self._spool = spool

    async def status(self, _: Call[None, None]) -> wire.SpoolStatus:
        """What waits, and what was set aside."""
        return await self._spool.status()

    async def replay(self, call: Call[wire.ReplayWanted, None]) -> wire.ReplayStarted:
        """Try at once."""
        return await self._spool.start_replay(parked=call.body.parked)

    async def export(self, call: Call[None, None]) -> Stream:
        """Everything that it holds."""
        call.principal.check_unpinned()
        return Stream(self._spool.export(), LINES)


def routes(parts: Parts) -> list[Route]:
    """The table of the spool."""
    serve = SpoolRoutes(parts.spool)
    return [
        Route(method="GET", path="/ops/spool", handler=serve.status, operation="spool", need="operator", dialect="ops",
              summary="Writes that wait on the disk, and those that were set aside", answer=wire.SpoolStatus),
        Route(method="POST", path="/ops/spool/replay", handler=serve.replay, operation="spool", need="operator",
              dialect="ops", summary="Carry out what waits, now", body=wire.ReplayWanted, answer=wire.ReplayStarted,
              status=202, description="`parked`: also what was set aside, once more."),
        Route(method="GET", path="/ops/spool/export", handler=serve.export, operation="feed", need="admin",
              dialect="ops", summary="Everything in the spool, as JSON lines", answer=bytes, content_type=LINES),
    ]  # fmt: skip
