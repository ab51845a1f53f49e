"""The Protocols by which the wings see each other; `app.py` hands over what fulfils them.

Owns signatures only. Whoever needs something of another wing asks for it here, in the words of the wire types, so that
no wing imports its neighbour.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from memdeck_common.wire.feed import Caller, Mode
from memdeck_common.wire.health import Health, Live, Ready
from memdeck_common.wire.projections import Projections, Rebuilding
from memdeck_common.wire.spaces import Comparison, NewSpace, Space, Spaces
from memdeck_common.wire.spool import ReplayStarted, SpoolStatus


class Telemetry(Protocol):
    """What operations know and the API shows, and what the API tells operations."""

    in_flight: int
    """Requests that are being answered right now; the API counts them."""

    @property
    def mode(self) -> Mode:
        """The mode of the daemon right now, for the header `Memdeck-Mode`; read once per answer."""

    def health(self) -> Health:
        """Everything about the daemon's state."""

    def live(self) -> Live:
        """That the process answers."""

    def ready(self) -> Ready:
        """Whether requests can be served; `status` is `ready` or `not_ready`."""

    def feed(self, caller: Caller, last_event_id: str | None) -> AsyncIterator[tuple[str, bytes]]:
        """`(id, event as JSON)` for ever: a snapshot first, then a tick a second. Closing it ends the subscription."""

    def observe(self, operation: str, seconds: float, status: int, request_id: str) -> None:
        """One call has been answered. Must be cheap: it runs on every request."""

    def metrics(self) -> tuple[bytes, str]:
        """The Prometheus exposition and its content type."""


class SpoolOperations(Protocol):
    """What people do with writes that wait on the disk."""

    async def status(self) -> SpoolStatus:
        """What waits, and what was set aside."""

    async def start_replay(self, *, parked: bool) -> ReplayStarted:
        """Carry it out now; with `parked` also what was set aside. SpoolFull."""

    def export(self) -> AsyncIterator[bytes]:
        """Everything that it holds, a line of JSON each."""


class ProjectionOperations(Protocol):
    """What people do with what is derived from the memories."""

    async def listed(self) -> Projections:
        """All of them and how far they are."""

    async def rebuild(self, name: str) -> Rebuilding:
        """Have one built anew in the background; NotFound."""


class SpaceOperations(Protocol):
    """What people do with embedding spaces."""

    async def listed(self) -> Spaces:
        """All spaces with how much they hold."""

    async def add(self, new: NewSpace) -> Space:
        """Bring a model in; BadRequest, Conflict."""

    async def switch(self, space_id: int, *, force: bool) -> Space:
        """Search with the candidate from now on; Conflict."""

    async def drop(self, space_id: int, *, force: bool) -> Space:
        """Remove a space with its vectors; Conflict."""

    async def compare(self, queries: int) -> Comparison:
        """The primary space and the candidate side by side; Conflict."""
