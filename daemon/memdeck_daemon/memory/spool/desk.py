"""The spool as people operate it: fulfils `ports.SpoolOperations`.

Owns how it is shown. What a write holds is told by an export alone.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import msgspec

from memdeck_common.clock import Clock
from memdeck_common.wire import spool as wire
from memdeck_common.wire.feed import Service, State
from memdeck_daemon.memory.spool.replay import Replay
from memdeck_daemon.memory.spool.service import Spool

SHOWN: Final = 100
"""Parked writes that a status lists."""


@dataclass(frozen=True, slots=True)
class SpoolDesk:
    """One daemon's spool."""

    replay: Replay
    clock: Clock

    @property
    def _spool(self) -> Spool:
        return self.replay.spool

    async def status(self) -> wire.SpoolStatus:
        """What waits, and what was set aside."""
        spool, journal = self._spool, self._spool.journal
        await spool.recount()
        parked, damaged = await journal.run(lambda: (journal.parked.writes(), journal.parked.damaged()))
        return wire.SpoolStatus(
            state=self._state(),
            waiting=len(journal),
            bytes=journal.nbytes,
            limit_bytes=journal.limit,
            oldest_seconds=self.oldest_seconds,
            replayed=spool.replayed,
            note=spool.trouble,
            parked=len(parked),
            parked_writes=[
                wire.ParkedWrite(
                    receipt_id=str(write.intent.receipt_id),
                    kind=write.intent.kind,
                    at=write.intent.at.isoformat(timespec="microseconds"),
                    reason=write.reason,
                )
                for write in parked[:SHOWN]
            ],
            damaged=[wire.DamagedPart(name=part.name, bytes=part.size) for part in damaged],
        )

    def _state(self) -> str:
        spool = self._spool
        if not spool.enabled:
            return "off"
        if spool.full:
            return "full"
        if not len(spool.journal):
            return "empty"
        return "waiting" if spool.down else "replaying"

    @property
    def oldest_seconds(self) -> float | None:
        """How long the oldest write has waited; None: none waits."""
        oldest = self._spool.journal.oldest
        return None if oldest is None else max(0.0, self.clock.now().timestamp() - oldest)

    async def start_replay(self, *, parked: bool) -> wire.ReplayStarted:
        """Do not wait for the next try; parked writes once more, too. SpoolFull: the rest of those stays parked."""
        count = await self.replay.again() if parked else 0
        self.replay.soon()
        waiting = len(self._spool.journal)
        said = f"{count} parked writes wait again. " if parked else ""
        said += f"{_wait(waiting)}: carried out as soon as the database takes writes."
        return wire.ReplayStarted(
            message=said if waiting else f"{said} There is nothing to do.", waiting=waiting
        )

    async def export(self) -> AsyncIterator[bytes]:
        """Everything that waits or is parked, a line of JSON each; what is carried out meanwhile is left out."""
        journal = self._spool.journal
        encode = msgspec.json.Encoder().encode
        for receipt_id in journal.receipts():
            intent = await journal.find(receipt_id)
            if intent is not None:
                yield encode(wire.ExportedWrite(state="waiting", write=intent)) + b"\n"
        for write in await journal.run(journal.parked.writes):
            yield encode(wire.ExportedWrite(state="parked", write=write.intent, reason=write.reason)) + b"\n"

    def depths(self) -> tuple[int, int, float, int]:
        """Writes that wait, bytes on the disk, seconds since the oldest was acknowledged, what was set aside."""
        spool = self._spool
        return len(spool.journal), spool.journal.nbytes, self.oldest_seconds or 0.0, spool.parked_or_damaged

    def missing(self) -> list[str]:
        """What readiness waits for."""
        waiting = len(self._spool.journal)
        return [f"spool: {_wait(waiting)}"] if waiting else []

    async def look(self) -> Service:
        """The spool as a service: silent while it is empty, a warning as soon as something waits or was set aside."""
        spool = self._spool
        if spool.full and spool.parked_or_damaged:
            await spool.recount()  # somebody may have made room
        waiting, aside = len(spool.journal), spool.parked_or_damaged
        state: State = "warn" if waiting or aside or (spool.full and spool.enabled) else "ok"
        words = [
            "off" if not spool.enabled else "full" if spool.full else "",
            _age(self.oldest_seconds or 0.0) if waiting else "",
            f"{aside} parked" if aside else "",
        ]
        return Service(
            name="spool", state=state, in_use=waiting, note=" · ".join(word for word in words if word)
        )


def _wait(count: int) -> str:
    return "1 write waits" if count == 1 else f"{count} writes wait"


def _age(seconds: float) -> str:
    # Eight characters are what a console of 120 columns has for a note.
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f}{unit} old"
    return f"{seconds:.0f}s old"
