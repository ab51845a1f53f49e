"""Embeds in the background: what was added, and what was there before a space.

Owns the one task that works the queue of every live space, the primary one first. A failing embedder is asked less and
less often, not at all while its breaker is open, and its queue waits; a text that is to blame is parked with the reason, but only after the embedder took
another one. One daemon of a database works the queue at a time; when it is gone, another one takes over.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memdeck_common.clock import Clock
from memdeck_common.errors import MemdeckError
from memdeck_common.log import action
from memdeck_common.wire.feed import Service
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.infra.resilience.breaker import BreakerOpen
from memdeck_daemon.memory.embedding import calibration
from memdeck_daemon.memory.embedding.failures import EmbedderFailed, TextRefused
from memdeck_daemon.memory.embedding.local import SPACE_ID as LOCAL
from memdeck_daemon.memory.embedding.spaces import TRIAL, Live, Spaces
from memdeck_daemon.memory.recall.block import spoken
from memdeck_daemon.memory.store import queue
from memdeck_daemon.memory.store import spaces as store

log = logging.getLogger(__name__)

ROUND: Final = 256
"""Memories that are read, embedded and stored together."""
REFILL: Final = 2_000
"""Older memories that are queued together."""
POLL: Final = 5.0
"""Seconds between looks for what other daemons did."""
HELD: Final = 15.0
"""Seconds after which another daemon may take the queue over."""
RENEW: Final = 5.0
COUNTED: Final = 10_001
"""Entries up to which the queue is counted."""
FIRST_ESTIMATE: Final = 64
"""Memories after which the space is calibrated; then again whenever it has doubled."""
PER_PARTITION: Final = 30
FIRST_PAUSE: Final = 0.5
"""Seconds after a failure; each one in a row doubles them, up to `POLL`."""
SUSPICIOUS: Final = 3
"""Failures in a row after which the texts are suspected and not only the embedder."""

Floats = NDArray[np.float32]


@dataclass(slots=True)
class Outcome:
    """What became of a part of a round."""

    entries: list[queue.Entry] = field(default_factory=list)
    vectors: list[Floats] = field(default_factory=list)
    refused: list[tuple[queue.Entry, str]] = field(default_factory=list)
    failed: bool = False


@dataclass(slots=True)
class Filler:
    """The worker of the queue."""

    database: Database
    spaces: Spaces
    name: str
    """Of this daemon, the same over its starts: after a crash it takes its own work up at once."""
    clock: Clock
    observe: Callable[[str, float], None]
    lengths: dict[int, queue.Length] = field(default_factory=dict)
    _stored: dict[int, int] = field(default_factory=dict)
    _next_estimate: dict[int, int] = field(default_factory=dict)
    _failures: dict[int, int] = field(default_factory=dict)
    """In a row, by space."""
    _again: dict[int, float] = field(default_factory=dict)
    """When the embedder of a space that failed may be asked again (monotonic seconds)."""
    _held_until: float = float("-inf")
    _asked_at: float = float("-inf")
    _counted_at: float = float("-inf")

    def wake(self) -> None:
        """There is something to embed."""
        self.spaces.changed.set()

    async def look(self) -> Service | None:
        """The remote embedder as a service; None when there is none."""
        live = self.spaces.primary or self.spaces.candidate
        if live is None:
            return self._expected()
        length = self.lengths.get(live.space.id, queue.Length(0, 0))
        waiting = f"queue {length.waiting}" if length.waiting < COUNTED else f"queue >{COUNTED - 1}"
        words = [live.breaker.reason, waiting, f"parked {length.parked}" if length.parked else ""]
        return Service(
            name="embedder",
            state="warn" if live.breaker.reason else "ok",
            in_use=length.waiting,
            note=" · ".join(word for word in words if word),
        )

    def _expected(self) -> Service | None:
        """One that is configured and not known yet."""
        if self.spaces.agreed:
            return None
        return Service(name="embedder", state="warn", note=self.spaces.trouble or "waits for the database")

    async def run(self) -> None:
        """Work the queue until cancelled."""
        fresh = True
        while True:
            pause = POLL
            try:
                await self.spaces.look()
                if self.spaces.lives:
                    if fresh:
                        await self._begin()
                        fresh = False
                    pause = await self.round()
            except MemdeckError as error:
                log.warning("embedding waits: %s", error, extra=action("embedding_waits"))
            if pause:
                await self._pause(pause)

    async def _begin(self) -> None:
        """What was set aside is tried once more after each start."""
        async with self.database.connection() as connection:
            for live in self.spaces.lives:
                await queue.unpark(connection, live.space.id)

    async def _pause(self, seconds: float) -> None:
        """Wait until something was written; without spaces as long as it takes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds if self.spaces.lives else None):
                await self.spaces.changed.wait()
                # Nothing is done more often because more is written while it cannot be embedded.
                await asyncio.sleep(self._idle())
        self.spaces.changed.clear()

    def _idle(self) -> float:
        """Seconds for which a round would find nothing that it may do."""
        now = self.clock.monotonic()
        if now > self._held_until:
            return max(0.0, self._asked_at + RENEW - now)
        return min((self._wait(live) for live in self.spaces.lives), default=0.0)

    def _wait(self, live: Live) -> float:
        """Seconds until the embedder may be asked for memories again; 0: now."""
        due = self._again.get(live.space.id, float("-inf"))
        return max(live.breaker.retry_after, due - self.clock.monotonic(), 0.0)

    async def round(self) -> float:
        """One round for each space; seconds after which there may be more to do, 0: at once."""
        if not await self._holding():
            await self._count()
            return POLL
        busy = False
        for live in self.spaces.lives:
            if not self._wait(live):
                busy |= await self._fill(live)
        await self._count(final=not busy)
        waits = [wait for live in self.spaces.lives if (wait := self._wait(live))]
        return 0.0 if busy else min([POLL, *waits])

    async def _holding(self) -> bool:
        """Whether this daemon works the queue; asks again now and then, and looks at the spaces as well."""
        now = self.clock.monotonic()
        if now - self._asked_at >= RENEW:
            self._asked_at = now
            async with self.database.connection() as connection:
                held = await store.hold(connection, self.name, HELD)
            self._held_until = now + HELD if held else float("-inf")
            await self.spaces.refresh()
            self.spaces.changed.clear()
        return now <= self._held_until

    async def _count(self, *, final: bool = True) -> None:
        now = self.clock.monotonic()
        if not final and now - self._counted_at < 1.0:
            return
        self._counted_at = now
        async with self.database.connection() as connection:
            self.lengths = {
                live.space.id: await queue.length(connection, live.space.id, COUNTED)
                for live in self.spaces.lives
            }

    async def _fill(self, live: Live) -> bool:
        """Embed the next memories of a space; whether there may be more right away."""
        space = live.space
        async with self.database.connection() as connection:
            entries = await queue.following(connection, space.id, ROUND)
        if len(entries) < ROUND and space.queueing:
            async with self.database.transaction() as connection:
                more = await queue.refill(connection, space.id, REFILL)
            if not more:
                await self.spaces.refresh()
            if not entries:
                return True
        if not entries:
            await self._settled(live)
            return False
        outcome = await self._embedded(live, [entry for entry in entries if entry.text is not None])
        async with self.database.transaction() as connection:
            if outcome.entries:
                await queue.store(connection, space.id, outcome.entries, np.stack(outcome.vectors))
            await queue.remove(connection, space.id, [entry for entry in entries if entry.text is None])
            for entry, reason in outcome.refused:
                await queue.park(connection, space.id, entry, reason)
        if outcome.refused:
            log.warning(
                "%d texts cannot be embedded and were set aside", len(outcome.refused),
                extra=action("embedding_parked", space=space.name, texts=len(outcome.refused)),
            )  # fmt: skip
        await self._calibrated(live, len(outcome.entries))
        if space.filled_at is None:
            await self._settled(live)
        return not outcome.failed

    async def _settled(self, live: Live) -> None:
        if live.space.filled_at is not None:
            return
        async with self.database.connection() as connection:
            settled = await queue.settle(connection, live.space.id)
        if settled:
            log.info("%s holds all memories", live.space.name, extra=action("embedding_space_filled"))
            await self._estimate(live)
            await self.spaces.refresh()

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _embedded(self, live: Live, entries: Sequence[queue.Entry]) -> Outcome:
        """Ask for all of them, in parts at once."""
        parts = [
            list(entries[start : start + self.spaces.settings.batch])
            for start in range(0, len(entries), self.spaces.settings.batch)
        ]
        whole = Outcome()
        for outcome in await asyncio.gather(*(self._part(live, part) for part in parts)):
            whole.entries += outcome.entries
            whole.vectors += outcome.vectors
            whole.refused += outcome.refused
            whole.failed |= outcome.failed
        return whole

    async def _part(self, live: Live, entries: list[queue.Entry]) -> Outcome:
        if self._wait(live):
            return Outcome(failed=True)  # another part of this round found out
        try:
            return Outcome(entries, list(await self._asked(live, entries)))
        except BreakerOpen:
            return Outcome(failed=True)
        except EmbedderFailed as error:
            blamed = self._failures.get(live.space.id, 0) >= SUSPICIOUS and await self._takes_another(live)
            if not blamed:
                self._failed(live, error)
            reason = str(error)
        except TextRefused as error:
            blamed, reason = len(entries) > 1 or await self._takes_another(live), str(error)
        if not blamed:
            return Outcome(failed=True)
        return (
            await self._singly(live, entries) if len(entries) > 1 else Outcome(refused=[(entries[0], reason)])
        )

    def _failed(self, live: Live, error: EmbedderFailed) -> None:
        """Leave it alone for a moment, for longer each time."""
        space_id, failures = live.space.id, self._failures.get(live.space.id, 0)
        if not failures:
            log.warning("the embedder fails: %s", error, extra=action("embedder_failed"))
        if not self._wait(live):  # failures of requests that were under way together count once
            self._failures[space_id] = failures + 1
            self._again[space_id] = self.clock.monotonic() + min(FIRST_PAUSE * 2.0**failures, POLL)
        live.failed(error)

    def _succeeded(self, live: Live) -> None:
        self._failures.pop(live.space.id, None)
        self._again.pop(live.space.id, None)

    async def _asked(self, live: Live, entries: list[queue.Entry]) -> Floats:
        begun = self.clock.monotonic()
        with live.breaker.call():
            vectors = await live.embedder.embed([spoken(entry.actor, entry.text or "") for entry in entries])
        self.observe("embed_remote", self.clock.monotonic() - begun)
        self._succeeded(live)
        return vectors

    async def _singly(self, live: Live, entries: list[queue.Entry]) -> Outcome:
        whole = Outcome()
        for entry in entries:
            outcome = await self._part(live, [entry])
            whole.entries += outcome.entries
            whole.vectors += outcome.vectors
            whole.refused += outcome.refused
            whole.failed |= outcome.failed
        return whole

    async def _takes_another(self, live: Live) -> bool:
        """Whether the embedder takes some other text, so that it is the texts which are to blame and not itself."""
        try:
            with live.breaker.call():
                await live.embedder.embed([TRIAL])
        except BreakerOpen:
            return False
        except EmbedderFailed as error:
            self._failed(live, error)
        except TextRefused:
            live.breaker.open("refuses every text")
        else:
            self._succeeded(live)
            return True
        return False

    # --- calibration --------------------------------------------------------------------------------------------------

    async def _calibrated(self, live: Live, stored: int) -> None:
        """Estimate anew whenever the space has doubled since this daemon started."""
        space_id = live.space.id
        total = self._stored.get(space_id, 0) + stored
        self._stored[space_id] = total
        if total >= self._next_estimate.setdefault(space_id, FIRST_ESTIMATE):
            self._next_estimate[space_id] = 2 * total
            await self._estimate(live)

    async def _estimate(self, live: Live) -> None:
        async with self.database.connection() as connection:
            local, other = await store.sample(connection, live.space.id, PER_PARTITION)
            found = {LOCAL: calibration.background(local), live.space.id: calibration.background(other)}
            known = {space_id: value for space_id, value in found.items() if value is not None}
            await store.set_background(connection, known)
        self.spaces.backgrounds.update(known)
