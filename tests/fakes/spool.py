"""A spool without a disk."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from memdeck_common.wire.spool import ReplayStarted, SpoolStatus


@dataclass(slots=True)
class FakeSpool:
    """Fulfils `ports.SpoolOperations`."""

    waiting: int = 0

    async def status(self) -> SpoolStatus:
        """What waits."""
        return SpoolStatus(
            state="waiting" if self.waiting else "empty", waiting=self.waiting, bytes=0, limit_bytes=1,
            oldest_seconds=None, replayed=0, note="", parked=0, parked_writes=[], damaged=[],
        )  # fmt: skip

    async def start_replay(self, *, parked: bool) -> ReplayStarted:
        """All of it is done at once."""
        del parked
        waiting, self.waiting = self.waiting, 0
        return ReplayStarted(message="It is being carried out.", waiting=waiting)

    async def export(self) -> AsyncIterator[bytes]:
        """A line for each."""
        for number in range(self.waiting):
            yield b'{"state":"waiting","write":{"n":%d},"reason":""}\n' % number
