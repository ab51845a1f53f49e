"""What the route tables are built from."""

from dataclasses import dataclass

from memdeck_common.settings import Settings
from memdeck_daemon.api.access.access import Access
from memdeck_daemon.api.answers import Answers
from memdeck_daemon.api.http.requests import RequestLog
from memdeck_daemon.api.memories import Memories, Sessions
from memdeck_daemon.ports import ProjectionOperations, SpaceOperations, SpoolOperations, Telemetry


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the daemon that handlers speak to."""

    settings: Settings
    memory: Memories
    sessions: Sessions
    projections: ProjectionOperations
    access: Access
    telemetry: Telemetry
    requests: RequestLog
    spaces: SpaceOperations
    spool: SpoolOperations
    answers: Answers | None = None
    """Search answers that are kept; None keeps none."""

    @property
    def text_limit(self) -> int:
        """Largest text of one memory, in bytes of UTF-8."""
        return self.settings.server.max_memory_bytes
