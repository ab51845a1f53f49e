"""Keeps the lexical index in step with Postgres.

Owns the loop that reads the outbox, applies it and says how far it is. Wakes on local writes and now and then for those
of other daemons. On another lineage, or when the outbox no longer holds what it missed, it rebuilds from the memories
themselves; searches go on meanwhile and say that they are degraded.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from memdeck_common.errors import MemdeckError, StoreReadOnly, StoreUnavailable
from memdeck_common.log import action
from memdeck_common.wire.feed import Service, State
from memdeck_common.wire.projections import ParkedMemory, Projection
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory.lexical.index import Changes, Entry, LexicalIndex
from memdeck_daemon.memory.lexical.reader import IndexBroken, Watermark
from memdeck_daemon.memory.lexical.tokens import terms
from memdeck_daemon.memory.recall.block import spoken
from memdeck_daemon.memory.store import outbox

log = logging.getLogger(__name__)

BATCH: Final = 2_000
POLL: Final = 5.0
"""Seconds between looks for what other daemons wrote."""
FIRST_REST: Final = 0.5
AWAY_REST: Final = 2.0
LAST_REST: Final = 30.0
"""Seconds of rest after a failed round: at first, at most while the database is away, at most otherwise."""
ACKNOWLEDGE: Final = 30.0
"""Seconds between notes of how far it has read; each also prunes the outbox."""

SHOWN: Final = 20
"""Parked memories that are listed."""


@dataclass(slots=True)
class LexicalProjection:
    """The index's only writer."""

    database: Database
    index: LexicalIndex
    name: str
    interval: float
    label: str = "lexical"
    state: str = "starting"
    """starting, rebuilding, following, or what went wrong."""
    lag: int = 0
    rebuilds: int = 0
    """How often it was rebuilt since the daemon started."""
    parked: int = 0
    """Memories that could not be analysed; they are not found by their words."""
    analyse: Callable[[str], Iterable[str]] = terms
    """A text's words as they are indexed."""
    _rebuild_wanted: bool = False
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _acknowledged: float = 0.0

    async def look(self) -> Service:
        """The index as a service."""
        broken = self.state not in {"starting", "rebuilding", "following"}
        ailing = self.state == "rebuilding" or self.parked
        state: State = "stale" if broken else "warn" if ailing else "ok"
        note = f"lag {self.lag}" if self.state == "following" else self.state[:40]
        note += f" · {self.parked} parked" if self.parked else ""
        return Service(name="lexical", state=state, in_use=self.index.documents, note=note)

    async def shown(self) -> Projection:
        """What the index holds and how far it is.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        position = self.index.position
        after = outbox.Position(position.xid, position.id) if position else outbox.Position(0, 0)
        async with self.database.connection() as connection:
            memories, lag = await outbox.memories(connection), await outbox.lag(connection, after)
            self.parked, parked = await outbox.parked(connection, self.name, SHOWN)
        return Projection(
            name=self.label,
            state="rebuilding" if self._rebuild_wanted else self.state,
            holds=self.index.held,
            memories=memories,
            lag=lag,
            complete=position is not None,
            rebuilds=self.rebuilds,
            lineage=position.lineage if position else None,
            parked=self.parked,
            parked_memories=[
                ParkedMemory(owner=one.owner, memory_id=str(one.id), reason=one.reason) for one in parked
            ],
        )

    def wake(self) -> None:
        """There is something to read."""
        self._woken.set()

    def rebuild_soon(self) -> None:
        """Have the one task that writes the index build it anew; asking twice before it begins is asking once."""
        self._rebuild_wanted = True
        self.wake()

    async def run(self) -> None:
        """Follow the outbox until cancelled; a failed round is repeated, less and less often."""
        rest = FIRST_REST
        while True:
            try:
                await self._prepare()
                rest = FIRST_REST
                await self._follow()
            except (MemdeckError, IndexBroken) as error:
                away = isinstance(error, StoreUnavailable) and not isinstance(error, StoreReadOnly)
                reason = "no database" if away else str(error)
                if reason != self.state:
                    log.warning("the lexical index waits: %s", reason, extra=action("projection_failed"))
                self.state = reason
                # Whatever is written meanwhile: a full disk would be filled and emptied without end.
                await self._pause(rest, early=False)
                rest = min(2 * rest, AWAY_REST if isinstance(error, StoreUnavailable) else LAST_REST)

    async def _prepare(self) -> None:
        async with self.database.connection() as connection:
            lineage = await outbox.lineage(connection)
            known = await outbox.known(connection, self.name)
            now = await outbox.horizon(connection)
            self.parked, _ = await outbox.parked(connection, self.name, 1)
        position = self.index.position
        usable = position is not None and position.lineage == lineage and known
        # A position in the future is that of a database that was replaced by an older one.
        ahead = position is not None and position.xid > now.xid
        if self._rebuild_wanted or not usable or ahead:
            await self.rebuild(lineage)

    async def rebuild(self, lineage: str) -> None:
        """Read every memory anew."""
        self.state = "rebuilding"
        self._rebuild_wanted = False
        log.info("rebuilding the lexical index", extra=action("index_rebuild_started"))
        async with self.database.connection() as connection:
            await self.index.clear(await outbox.memories(connection))
            place = await outbox.horizon(connection)
            await outbox.acknowledge(connection, self.name, place, lineage)
            await self._park(connection, None, [])
            count = 0
            async for batch in outbox.all_texts(connection, BATCH):
                entries, refused = await self._analysed(batch)
                await self._park(connection, [], refused)
                await self.index.load(entries)
                count += len(batch)
        await self.index.apply(Changes(), Watermark(lineage, place.xid, place.id))
        self.rebuilds += 1
        log.info("rebuilt the lexical index", extra=action("index_rebuilt", memories=count))

    async def _follow(self) -> None:
        while self.index.position is not None:
            self._woken.clear()
            if self._rebuild_wanted:
                return
            moved = await self.step()
            self.state = "following"
            await self._pause(self.interval if moved else POLL, early=not moved)

    async def _pause(self, seconds: float, *, early: bool = True) -> None:
        """Wait; `early` ends it at the next wake."""
        if not early:
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)

    async def step(self) -> bool:
        """Read and apply one batch; whether there was something to read.

        Raises:
            StoreUnavailable: the database does not answer; nothing was applied.
        """
        position = self.index.position
        if position is None:
            return False
        after = outbox.Position(position.xid, position.id)
        async with self.database.connection() as connection:
            if await outbox.lineage(connection) != position.lineage:  # restored, and no connection was lost
                self.rebuild_soon()
                return False
            places, upto = await outbox.read(connection, after, BATCH)
            found = await outbox.texts(connection, places) if places else []
            await self._acknowledge(connection, after, position.lineage)
            self.lag = len(places)
            if not places:
                return False
            entries, refused = await self._analysed(found)
            await self._park(connection, [memory_id for _, memory_id in places], refused)
        present = {entry.id for entry in entries}
        drops = [memory_id for _, memory_id in places if memory_id not in present]
        await self.index.apply(Changes(entries, drops), Watermark(position.lineage, upto.xid, upto.id))
        self.lag = 0
        return True

    async def _analysed(self, texts: Sequence[outbox.Text]) -> tuple[list[Entry], list[outbox.Parked]]:
        """The memories as they are indexed, and those whose text cannot be taken apart."""
        # Tokenising 2,000 memories takes 40 ms: not on the loop.
        return await asyncio.to_thread(self._analyse, texts)

    def _analyse(self, texts: Sequence[outbox.Text]) -> tuple[list[Entry], list[outbox.Parked]]:
        entries, refused = [], []
        for text in texts:
            try:
                found = tuple(self.analyse(spoken(text.actor, text.text)))
            except Exception as error:  # noqa: BLE001 - one text must not hold up all that come after it
                refused.append(outbox.Parked(text.owner, text.id, type(error).__name__))
            else:
                entries.append(Entry(text.id, text.identifiers.named(), found))
        return entries, refused

    async def _park(
        self, connection: object, taken: Sequence[uuid.UUID] | None, refused: Sequence[outbox.Parked]
    ) -> None:
        if taken is not None and not refused and not self.parked:
            return
        await outbox.park(connection, self.name, taken, refused)
        self.parked, _ = await outbox.parked(connection, self.name, 1)
        if refused:
            log.error(
                "%d memories cannot be taken apart into words and were set aside", len(refused),
                extra=action("projection_parked", memories=len(refused)),
            )  # fmt: skip

    async def _acknowledge(self, connection: object, place: outbox.Position, lineage: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._acknowledged > ACKNOWLEDGE:
            await outbox.acknowledge(connection, self.name, place, lineage)
            self._acknowledged = now
