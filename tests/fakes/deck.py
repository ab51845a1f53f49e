"""The console over scripted knowledge: a frozen clock, a store that has been told a scene, a link that stands still.

Used by snapshots and pictures; what the network does is tested against `tests/fakes/daemon.py`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from memdeck_common.errors import DaemonUnreachable, MemdeckError
from memdeck_common.wire.feed import Caller, Counts, LogLine, Slot, Vitals
from memdeck_common.wire.memory import Done, HistoryEntry, Memory, SearchAnswer
from memdeck_console.app import Console
from memdeck_console.core.ports import Memories
from memdeck_console.core.store import LinkState, Store
from tests.fakes import memories, scenes

Scene = Callable[[Store, "FrozenClock"], None]


@dataclass(slots=True)
class FrozenClock:
    """Time that moves only when told to."""

    seconds: float = scenes.NOON

    def now(self) -> datetime:
        """The instant."""
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """The same scale, which is all that is asked of it."""
        return self.seconds


@dataclass(slots=True)
class ScriptedMemories:
    """Answers of the memory routes, and what was asked."""

    answer: SearchAnswer | MemdeckError | None = None
    entries: list[HistoryEntry] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def search(self, query: str, filters: dict[str, Any], **fields: Any) -> SearchAnswer:
        """The scripted answer; for ever none when there is none."""
        self.asked.append(("search", query, filters, fields))
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, MemdeckError):
            raise self.answer
        assert self.answer is not None
        return self.answer

    async def history(self, memory_id: str) -> list[HistoryEntry]:
        """The scripted history."""
        self.asked.append(("history", memory_id))
        return self.entries

    async def update(self, memory_id: str, **fields: Any) -> Memory:
        """The memory with another text or date."""
        self.asked.append(("update", memory_id, fields))
        return memories.memory(0, **{key: value for key, value in fields.items() if value is not None})

    async def delete(self, memory_id: str) -> Done:
        """Done."""
        self.asked.append(("delete", memory_id))
        return Done(message="Memory deleted successfully!")

    async def undo(self, memory_id: str) -> Done:
        """Done."""
        self.asked.append(("undo", memory_id))
        return Done(message="Undone.")


@dataclass(slots=True)
class StillLink:
    """A link that changes nothing by itself."""

    scripted: ScriptedMemories | None = None
    retries: int = 0

    @property
    def memories(self) -> Memories:
        """The scripted ones."""
        if self.scripted is None:
            raise DaemonUnreachable("No link to the daemon; ctrl+r tries again now.")
        return self.scripted

    async def run(self) -> None:
        """Nothing."""

    def retry_now(self) -> None:
        """Count."""
        self.retries += 1


def deck(scene: Scene, scripted: ScriptedMemories | None = None, **options: Any) -> Console:
    """The real console after a scene."""
    clock = FrozenClock()
    store = Store(clock)
    scene(store, clock)
    return Console(store, StillLink(scripted or ScriptedMemories()), clock, **options)


def nothing(store: Store, clock: FrozenClock) -> None:
    """The console has just been started; no daemon has been heard."""
    del store, clock


def never(store: Store, clock: FrozenClock) -> None:
    """No daemon runs, and three tries have failed."""
    del clock
    reason = (
        "No daemon is running in ~/.memdeck; `memdeck up` starts it, `memdeck doctor` says what is wrong."
    )
    for tries in (1, 2, 3):
        store.link_is(LinkState.RECONNECTING, tries=tries, retry_in=4, reason=reason)


def refused(store: Store, clock: FrozenClock) -> None:
    """The daemon refuses the key."""
    del clock
    store.link_is(LinkState.AUTH_FAILED, tries=1, retry_in=4, reason="Authentication required.")


def healthy(store: Store, clock: FrozenClock) -> None:
    """All is well."""
    store.round_trip(2)
    store.take("boot:88214", scenes.snapshot())
    clock.seconds += 0.4


def administered(store: Store, clock: FrozenClock) -> None:
    """All is well, and the person may change memories."""
    store.round_trip(2)
    store.take("boot:88214", scenes.snapshot(caller=Caller(name="alice", role="admin")))
    clock.seconds += 0.4


def fresh(store: Store, clock: FrozenClock) -> None:
    """A daemon that has just been started: no calls, no memories."""
    vitals = Vitals(services=list(scenes.FLEET), counts=Counts(database_bytes=10_500_000))
    new = scenes.snapshot(slots=[], log=[], started_at=scenes.NOON - 9, vitals=vitals)
    store.round_trip(2)
    store.take("boot:9", new)
    clock.seconds += 0.4


def troubled(store: Store, clock: FrozenClock) -> None:
    """One silent service, one slow one, an objective broken, a gap of 12 seconds."""
    _play(store, clock, scenes.slots("troubled", hole=(-176, -164)), _troubled_vitals)
    store.round_trip(2)


def degraded(store: Store, clock: FrozenClock) -> None:
    """The embedder's breaker is open, and 18 seconds ago the link went."""
    _play(store, clock, scenes.slots("degraded"), _degraded_vitals)
    store.round_trip(2)
    clock.seconds = scenes.NOON + 0.204
    store.link_is(LinkState.RECONNECTING, retry_in=1, reason="stream closed by peer.")
    clock.seconds = scenes.NOON + 13.511
    store.link_is(LinkState.RECONNECTING, tries=2, retry_in=4, reason="connection refused")
    clock.seconds = scenes.NOON + 18.02
    store.link_is(LinkState.RECONNECTING, tries=3, retry_in=4, reason="connection refused 127.0.0.1:8888")


def severed(store: Store, clock: FrozenClock) -> None:
    """The database went away 94 seconds ago; kept answers are given, writes wait on the disk."""
    _play(store, clock, scenes.slots("healthy"), _severed_vitals)
    store.round_trip(2)


def restarted(store: Store, clock: FrozenClock) -> None:
    """The daemon was away for 25 seconds and came back as another process, 40 seconds ago."""
    before, after = scenes.slots("healthy", -300, -65), scenes.slots("healthy", -40, 0)
    clock.seconds = scenes.NOON - 65
    store.take("old:88149", scenes.snapshot(scenes.NOON - 65, 88_149, slots=before))
    clock.seconds = scenes.NOON - 64
    store.link_is(LinkState.RECONNECTING, retry_in=1, reason="stream closed by peer.")
    clock.seconds = scenes.NOON
    new = scenes.snapshot(
        scenes.NOON,
        40,
        slots=after,
        boot_id="0193c0de-9999-7000-8000-0000b0072e02",
        started_at=scenes.NOON - 40,
    )
    store.take("new:40", new)
    store.round_trip(2)
    clock.seconds += 0.4


def _play(
    store: Store,
    clock: FrozenClock,
    slots: list[Slot],
    vitals: Callable[[float], tuple[Vitals, list[LogLine]]],
) -> None:
    """A healthy snapshot 251 seconds ago, then the slots tick by tick."""
    begin = scenes.NOON - 251
    clock.seconds = begin
    store.take(
        "boot:1", scenes.snapshot(begin, 87_963, slots=[slot for slot in slots if slot.at < begin], log=[])
    )
    for slot in slots:
        if slot.at >= begin:
            clock.seconds = slot.at + 1.0
            now, log = vitals(clock.seconds - scenes.NOON)
            seq = 88_214 + int(clock.seconds - scenes.NOON)
            store.take(f"boot:{seq}", scenes.tick(clock.seconds, seq, now, slot, log))
    clock.seconds += 0.4


def _troubled_vitals(second: float) -> tuple[Vitals, list[LogLine]]:
    changed = [scenes.SLOW_GRAPH] + ([scenes.SILENT] if second >= -4 else [])
    return scenes.vitals(*changed), list(scenes.LOG) if second == 0 else []


def _degraded_vitals(second: float) -> tuple[Vitals, list[LogLine]]:
    if second < -112:
        return scenes.vitals(), []
    changed = [scenes.BREAKER] + ([scenes.SILENT] if second >= -9 else [])
    return scenes.vitals(*changed, mode="reduced-precision", degraded=("local space", "lower ef")), []


def _severed_vitals(second: float) -> tuple[Vitals, list[LogLine]]:
    if second < -94:
        return scenes.vitals(), []
    return scenes.vitals(scenes.AWAY, mode="cache-only", degraded=("postgres",)), []
