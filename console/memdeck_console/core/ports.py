"""What the console needs of a daemon, as Protocols.

`memdeck_common.client.Client` fits them; tests and pictures hand in others. They keep the HTTP library out of the
console's first second: it is imported by the link, in a thread, after the first screen stands.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from memdeck_common.wire.feed import Event
from memdeck_common.wire.memory import Done, HistoryEntry, Memory, SearchAnswer


class Memories(Protocol):
    """The memory routes that the Memory screen uses."""

    async def search(self, query: str, filters: dict[str, Any], **fields: Any) -> SearchAnswer:
        """Search."""

    async def history(self, memory_id: str) -> list[HistoryEntry]:
        """All changes of a memory, oldest first."""

    async def update(self, memory_id: str, **fields: Any) -> Memory | Done:
        """Change text, metadata or expiration_date; a `Done` where the change waits on the daemon's disk."""

    async def delete(self, memory_id: str) -> Done:
        """Delete one memory."""

    async def undo(self, memory_id: str) -> Done:
        """Revert the memory's last change."""


class Daemon(Memories, Protocol):
    """One daemon at one address."""

    def feed(self, last_event_id: str | None = None) -> AsyncIterator[tuple[str, Event]]:
        """A snapshot first, then a tick a second."""

    async def live(self) -> Any:
        """The cheapest answer there is: its time is the round trip."""


class Connect(Protocol):
    """How a daemon is found and opened; asked at each try, since a restarted daemon may have another address."""

    def __call__(self) -> AbstractAsyncContextManager[Daemon]:
        """Open a connection.

        Raises:
            DaemonUnreachable: no address is known.
        """


class Link(Protocol):
    """What the screens need of the link."""

    @property
    def memories(self) -> Memories:
        """The daemon's memories.

        Raises:
            DaemonUnreachable: there is no link right now.
        """

    async def run(self) -> None:
        """Keep the store up to date until cancelled."""

    def retry_now(self) -> None:
        """Do not wait for the next try."""
