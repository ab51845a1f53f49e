"""Two tiers before something that is expensive to make: this process, then Redis; made once for all who wait.

Owns their order and the single flight. A value is valid for one stamp (the counters of what it was made from): a value
with another stamp is as good as none, in either tier, and those who ask with another stamp do not join a flight. Values
are bytes, in Redis behind their stamp; nothing is ever unpickled.
"""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from memdeck_daemon.infra.caching.l1 import L1
from memdeck_daemon.infra.microbatch import MicroBatch

if TYPE_CHECKING:
    from memdeck_daemon.infra.redis import Redis  # late: 7 MB that most daemons never use

Stamp = tuple[int, ...]
Source = Literal["l1", "l2", "made"]

L1_SECONDS: Final = 300.0
L2_SECONDS: Final = 3600
PENDING: Final = 1_000
"""Values that wait to be sent to Redis at most; more are not sent."""


class Made(msgspec.Struct, frozen=True):
    """A value, made: `keep` says whether others may have it later too."""

    value: bytes
    keep: bool
    notes: tuple[str, ...] = ()
    """What its maker tells those who wait for it now; not kept."""


@dataclass(slots=True)
class Figures:
    """Where values were found since the start."""

    l1: int = 0
    l2: int = 0
    made: int = 0
    joined: int = 0
    """Those who waited for what another one had begun to make."""


class Tiered:
    """L1, then L2 where there is a Redis, then the maker. `run` sends to Redis; `close` ends flights."""

    def __init__(self, l1: L1[Stamp], redis: "Redis | None", prefix: str) -> None:
        """`prefix` and the first number of the stamp, the lineage, begin the keys in Redis: nobody else's are met."""
        self.l1, self._redis, self._prefix = l1, redis, prefix
        self.figures = Figures()
        self._batch = MicroBatch()
        self._flights: dict[tuple[bytes, Stamp], asyncio.Task[tuple[Made, Source]]] = {}
        self._pending: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(PENDING)

    @property
    def reduced(self) -> bool:
        """Whether there is a Redis and it fails."""
        return self._redis is not None and self._redis.away

    def near(self, key: bytes, stamp: Stamp) -> bytes | None:
        """The value, if this process has it."""
        found = self.l1.get(key, stamp)
        if found is not None:
            self.figures.l1 += 1
        return found

    async def get(self, key: bytes, stamp: Stamp, make: Callable[[], Awaitable[Made]]) -> tuple[Made, Source]:
        """The value and where it was found; errors are the maker's, for all who wait."""
        if (found := self.near(key, stamp)) is not None:
            return Made(found, keep=True), "l1"
        flight = self._flights.get((key, stamp))
        if flight is None:
            await self._batch.turn()
            # Another one may have begun or even ended meanwhile.
            if (found := self.near(key, stamp)) is not None:
                return Made(found, keep=True), "l1"
            flight = self._flights.get((key, stamp))
        if flight is None:
            flight = asyncio.create_task(self._fly(key, stamp, make), name="answer")
            self._flights[key, stamp] = flight
            flight.add_done_callback(lambda task: self._landed(key, stamp, task))
        else:
            self.figures.joined += 1
        # Shielded: when one of several who wait gives up, the others still want it.
        return await asyncio.shield(flight)

    async def unverified(self, key: bytes, latest: Stamp, since: float) -> bytes | None:
        """The value as far as it is known to hold: made from counters no older than `latest`, kept at `since`.

        For when nobody can tell the counters; `since`: monotonic seconds at which that began.
        """
        near = self.l1.peek(key, since)
        if near is not None and _as_new(near[0], latest):
            return near[1]
        kept = await self._redis.get(self._name(key, latest)) if self._redis is not None else None
        if kept is None:
            return None
        stamp, value = _unpacked(kept)
        return value if _as_new(stamp, latest) else None

    def _name(self, key: bytes, stamp: Stamp) -> str:
        return f"{self._prefix}{stamp[0]:x}:{key.hex()}"

    def _landed(self, key: bytes, stamp: Stamp, task: asyncio.Task[tuple[Made, Source]]) -> None:
        self._flights.pop((key, stamp), None)
        if not task.cancelled():
            task.exception()  # looked at: all who waited may have gone

    async def _fly(
        self, key: bytes, stamp: Stamp, make: Callable[[], Awaitable[Made]]
    ) -> tuple[Made, Source]:
        redis = self._redis
        if redis is not None and (kept := await redis.get(self._name(key, stamp))) is not None:
            head = _packed(stamp)
            if kept.startswith(head):
                value = kept[len(head) :]
                self.figures.l2 += 1
                self.l1.put(key, stamp, value)
                return Made(value, keep=True), "l2"
        made = await make()
        self.figures.made += 1
        if made.keep:
            self.l1.put(key, stamp, made.value)
            if redis is not None and not redis.away:
                with contextlib.suppress(asyncio.QueueFull):
                    self._pending.put_nowait((self._name(key, stamp), _packed(stamp) + made.value))
        return made, "made"

    async def run(self) -> None:
        """Send what was made to Redis until cancelled."""
        while True:
            name, value = await self._pending.get()
            if self._redis is not None:
                await self._redis.put(name, value, L2_SECONDS)

    async def close(self) -> None:
        """End the flights under way; whoever waits for them is told by their cancellation."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)


def _packed(stamp: Stamp) -> bytes:
    return struct.pack(f">H{len(stamp)}q", len(stamp), *stamp)


def _unpacked(kept: bytes) -> tuple[Stamp, bytes]:
    count = int.from_bytes(kept[:2], "big")
    end = 2 + 8 * count
    return (struct.unpack_from(f">{count}q", kept, 2), kept[end:]) if len(kept) >= end else ((), b"")


def _as_new(stamp: Stamp, latest: Stamp) -> bool:
    """Whether a stamp is of the same lineage and names, and no counter of it is older."""
    return (
        len(stamp) == len(latest)
        and stamp[:1] == latest[:1]
        and all(mine >= known for mine, known in zip(stamp[1:], latest[1:], strict=True))
    )
