"""Keeps the vector indexes of big owners in step with Postgres.

Owns which owners have one and which are in memory, within a limit of bytes. An owner gets one when a search asks for it; it
is made, opened and saved in the background by the one `Maker`, and meanwhile the search is answered without it. A search
that uses one has it brought up to the owner's generation first, together with all others that wait for the same, so it
sees every write that was answered before it began. Nothing is read twice from the outbox: entries that are applied before
all older transactions have ended are remembered until these have.
"""

import asyncio
import contextlib
import itertools
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from memdeck_common.clock import Clock
from memdeck_common.errors import MemdeckError
from memdeck_common.log import action
from memdeck_common.wire.projections import VectorStatus
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory.embedding.local import DIMENSIONS
from memdeck_daemon.memory.embedding.local import SPACE_ID as LOCAL
from memdeck_daemon.memory.lexical.reader import Watermark
from memdeck_daemon.memory.model import Identifier, Kind
from memdeck_daemon.memory.recall.block import Line, is_short, prepare
from memdeck_daemon.memory.searcher.wire import PrimarySpace, VectorsLook
from memdeck_daemon.memory.store import big, blocks, outbox, queue
from memdeck_daemon.memory.store import spaces as spaces_store
from memdeck_daemon.memory.store.outbox import Position
from memdeck_daemon.memory.vectors.files import FilesBroken
from memdeck_daemon.memory.vectors.index import Mark, VectorIndex
from memdeck_daemon.memory.vectors.lists import Stopped
from memdeck_daemon.memory.vectors.maker import Maker, NotNow, parts

log = logging.getLogger(__name__)

Key = tuple[str, int]

LEAST: Final = 5_000
"""Memories from which an owner gets an index; fewer are compared one by one."""
EACH: Final = 600
"""Bytes of a memory in an index beside its vector, about; its own figures and its code."""
LOOK: Final = 0.5
"""Seconds between looks for what other daemons wrote and for vectors that were still missing."""
ACKNOWLEDGE: Final = 30.0
TRY_AGAIN: Final = 60.0
"""Seconds after which an index that could not be made is tried again."""
MOST_CHANGES: Final = 20_000
"""Changes beyond which an index is made anew."""
PATIENCE: Final = 1.0
"""Seconds that a search waits until its index is up to date; then it does without."""
MOST_MISSING: Final = 1_000
SAVED: Final = 4_096
"""Rows in memory alone from which an index is saved, or a `SHARE` of all rows where that is more."""
SHARE: Final = 64
SAVE_EVERY: Final = 1_800.0
"""Seconds after which it is saved when anything has changed at all."""


@dataclass(slots=True)
class Turn:
    """Who brings an index up to date right now, and who will after that."""

    running: asyncio.Future[bool] | None = None
    following: asyncio.Future[bool] | None = None


@dataclass(slots=True)
class VectorIndexes:
    """The indexes of one database in this process."""

    database: Database
    primary: Callable[[], PrimarySpace | None]
    """The space of the remote embedder, where searches use one."""
    maker: Maker
    name: str
    limit_bytes: int
    clock: Clock
    position: Callable[[], Watermark | None] = lambda: None
    """What the keyword index has seen that searches use."""
    prepare: Callable[[], Awaitable[None]] | None = None
    """Awaited before an index is used at first."""
    rebuilds: int = 0
    """How often one of them was made anew, or could not be, since the daemon started."""
    _indexes: dict[Key, VectorIndex] = field(default_factory=dict)
    _turns: dict[Key, Turn] = field(default_factory=dict)
    _states: dict[Key, str] = field(default_factory=dict)
    """What is done for an index that cannot be used yet, or why it cannot."""
    _wanted: dict[Key, Identifier] = field(default_factory=dict)
    _not_before: dict[Key, float] = field(default_factory=dict)
    _anew: set[Key] = field(default_factory=set)
    """Those that are made again although there is one, which serves until then."""
    _held: dict[Key, Position] = field(default_factory=dict)
    """The places from which indexes that are being made or opened will read on."""
    _acknowledged: float = float("-inf")
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    # --- for searches -------------------------------------------------------------------------------------------------

    def known(self, owner: Identifier, space: int) -> VectorIndex | None:
        """The owner's index in a space, if it is in memory."""
        return self._indexes.get((str(owner), space))

    def of(self, owner: Identifier, space: int) -> VectorIndex | None:
        """The owner's index in a space; None while there is none. Asking has one made where it is worth it."""
        key = (str(owner), space)
        index = self._indexes.get(key)
        if index is None:
            self._want(key, owner)
        else:
            index.used_at = self.clock.monotonic()
        return index

    def _want(self, key: Key, owner: Identifier) -> None:
        if key not in self._wanted and self.clock.monotonic() >= self._not_before.get(key, 0.0):
            self._wanted[key] = owner
            self._states[key] = "waits"
            self._woken.set()

    def try_again(self) -> None:
        """What could not be made may be possible now: other spaces are searched."""
        self._not_before.clear()

    async def fresh(self, index: VectorIndex, generation: int | None = None) -> bool:
        """Bring it up to what was committed before this call; False: that takes too long, do without it.

        `generation`: the owner's, where the caller knows it; an index of that generation lacks nothing.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if generation is not None and generation == index.generation:
            return True
        turn = self._turns.setdefault(_key(index), Turn())
        if turn.following is None:
            turn.following = asyncio.ensure_future(self._next(turn, index))
        # Not cancelled: when one of several searches that wait gives up, the others still want it.
        following = turn.following
        done, _ = await asyncio.wait([following], timeout=PATIENCE)
        return bool(done) and following.result()

    async def _next(self, turn: Turn, index: VectorIndex) -> bool:
        if turn.running is not None:
            await asyncio.wait([turn.running])
        # Whoever asks from now on may know of a commit that this turn does not see.
        turn.running, turn.following = turn.following, None
        return await self._apply(index)

    async def _apply(self, index: VectorIndex) -> bool:
        async with self.database.connection() as connection:
            found = await big.changes(connection, index.owner, index.place, MOST_CHANGES + 1)
            fresh = [entry for entry in found.entries if (entry.xid, entry.id) not in index.seen]
            ids = list({entry.memory_id: None for entry in fresh})
            if found.lineage != index.lineage or len(found.entries) > MOST_CHANGES:
                await self._discard(index, "is made anew")
                return False
            lines = await self._lines(index, connection, ids)
        order = {entry.memory_id: (entry.xid, entry.id) for entry in fresh}
        lines.sort(key=lambda line: order[line.id])
        index.drop(set(ids) - {line.id for line in lines})
        for part in parts(lines):
            prepared = prepare(part) if is_short(part) else await asyncio.to_thread(prepare, part)
            first = len(index.rows)
            index.put(prepared)
            index.tail.extend((*order[line.id], first + place) for place, line in enumerate(part))
            await asyncio.sleep(0)
        index.seen = {(e.xid, e.id) for e in found.entries if e.xid > found.upto.xid}
        index.place, index.generation = found.upto, found.generation
        index.marks.append(Mark(len(index.rows), found.upto))
        return True

    async def _lines(self, index: VectorIndex, connection: object, ids: Sequence[uuid.UUID]) -> list[Line]:
        if not ids:
            return []
        places = [(str(index.owner), memory_id) for memory_id in ids]
        return await blocks.with_neighbours(
            connection, places, 0, None if index.space == LOCAL else index.space
        )

    # --- in the background --------------------------------------------------------------------------------------------

    def rebuild_soon(self) -> None:
        """Have all of them made anew; they serve until then."""
        self.try_again()
        self.rebuilds += not self._indexes  # done already
        for key, index in self._indexes.items():
            self._anew.add(key)
            self._want(key, index.owner)

    async def follow(self) -> None:
        """Keep those in memory in step until cancelled."""
        while True:
            for index in list(self._indexes.values()):
                with contextlib.suppress(MemdeckError):  # the next search finds out, and says so
                    await self._kept(index)
            await asyncio.sleep(LOOK)

    async def _kept(self, index: VectorIndex) -> None:
        primary = self.primary()
        if index.space not in {LOCAL, primary.id if primary else LOCAL}:
            await self._discard(index, "")
            return
        await self.fresh(index)
        if (seen := self.position()) is not None:
            # Searches do so too, but an owner may be written for days without one.
            index.forget_tail(seen)
        if index.waiting:
            async with self.database.connection() as connection:
                wanted = dict(itertools.islice(index.waiting.items(), MOST_MISSING))
                index.fill(await queue.vectors(connection, index.space, str(index.owner), wanted), wanted)

    async def work(self) -> None:
        """Make, open and save until cancelled."""
        begun = False
        while True:
            self._woken.clear()
            with contextlib.suppress(MemdeckError):
                begun = begun or await self._begin()
                for key, owner in list(self._wanted.items()):
                    await self._tried(key, owner)
                for index in list(self._indexes.values()):
                    await self._saved(index)
                await self._acknowledge()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK)

    async def _begin(self) -> bool:
        """Have those opened that were there, as far as there is room; those of spaces that are gone are removed.

        Raises:
            StoreUnavailable: the database does not answer yet.
        """
        async with self.database.connection() as connection:
            roles = {space.id: space.role for space in await spaces_store.listed(connection)}
        for _, manifest in await asyncio.to_thread(self.maker.found):
            kind, _, value = manifest.owner.partition(":")
            key = (manifest.owner, manifest.space)
            if roles.get(manifest.space) in {"local", "primary"}:
                self._held[key] = Position(manifest.xid, manifest.id)
                self._want(key, Identifier(cast("Kind", kind), value))
            elif manifest.space not in roles:
                self.maker.forget(*key)
        return True

    async def _tried(self, key: Key, owner: Identifier) -> None:
        try:
            await self._get(key, owner)
            self._states[key] = "ready"
        except (NotNow, MemdeckError, OSError) as error:
            self._states[key] = str(error)
            log.warning("no vector index: %s", error, extra=action("vector_index_waits", owner=key[0]))
            self._not_before[key] = self.clock.monotonic() + TRY_AGAIN
        except Stopped:
            pass
        except Exception as error:
            # What is derived must not end the daemon: searches do without it.
            self._states[key] = f"failed: {type(error).__name__}"
            log.exception("a vector index cannot be made", extra=action("vector_index_failed", owner=key[0]))
            self._not_before[key] = self.clock.monotonic() + TRY_AGAIN
        finally:
            self._wanted.pop(key, None)
            self._held.pop(key, None)
            self.rebuilds += key in self._anew
            self._anew.discard(key)

    async def _get(self, key: Key, owner: Identifier) -> None:
        dimensions = self._dimensions(key[1])
        async with self.database.connection() as connection:
            lineage, now = await outbox.lineage(connection), await outbox.horizon(connection)
            read = await big.acknowledged(connection, self.name, lineage)
            count = await big.owned(connection, owner)
        self._check_size(count, dimensions)
        self._states[key] = "opening"
        index = None
        try:
            if key not in self._anew:
                index = await self.maker.opened(owner, key[1], lineage, read, now)
        except FilesBroken as error:
            log.info("a vector index is made: %s", error, extra=action("vector_index_missing", owner=key[0]))
        if index is None or index.dimensions != dimensions or not await self._apply(index):
            index = await self._made(key, owner, dimensions, lineage)
        async with self.database.connection() as connection:
            index.tail_after = await big.last(connection, owner, Position(*index.tail_after))
        if self.prepare is not None:
            await self.prepare()
        self._indexes[key] = index
        self._shrink(key)

    async def _made(self, key: Key, owner: Identifier, dimensions: int, lineage: str) -> VectorIndex:
        async with self.database.connection() as connection:
            self._held[key] = place = await outbox.horizon(connection)
        await self._acknowledge(at_once=True)

        def say(what: str) -> None:
            self._states[key] = what

        index = await self.maker.made(owner, key[1], dimensions, lineage, place, say)
        if not await self._apply(index):
            raise NotNow("more was written meanwhile than it can take in")
        return index

    def _dimensions(self, space: int) -> int:
        if space == LOCAL:
            return DIMENSIONS
        primary = self.primary()
        if primary is None or primary.id != space:
            raise NotNow("the space is not searched any more")
        return primary.dimensions

    def _check_size(self, count: int, dimensions: int) -> None:
        if count < LEAST:
            raise NotNow(f"has only {count} memories")
        size = count * (2 * dimensions + EACH)
        if size > self.limit_bytes:
            raise NotNow(
                f"would take {size >> 20} MiB, more than MEMDECK_VECTOR_BYTES allows ({self.limit_bytes >> 20} MiB)"
            )

    def _shrink(self, spared: Key) -> None:
        """Let go of those that were used longest ago; their files stay."""
        while sum(index.nbytes for index in self._indexes.values()) > self.limit_bytes:
            others = [index for key, index in self._indexes.items() if key != spared]
            if not others:
                return
            old = min(others, key=lambda index: index.used_at)
            self._forget(old)
            self._states[_key(old)] = "on disk"

    async def _saved(self, index: VectorIndex) -> None:
        if index.outgrown:
            self._anew.add(_key(index))
            self._want(_key(index), index.owner)
            return
        due = index.unsealed - len(index.waiting) >= max(SAVED, index.sealed // SHARE)
        old = self.clock.monotonic() - index.saved_at > SAVE_EVERY and index.place != index.saved_place
        if not due and not old:
            return
        try:
            await self.maker.save(index)
        except OSError as error:
            log.warning("a vector index is not saved: %s", error, extra=action("vector_index_unsaved"))
            index.saved_at = self.clock.monotonic() - SAVE_EVERY + TRY_AGAIN
        except Stopped:
            return

    async def _acknowledge(self, *, at_once: bool = False) -> None:
        """Note up to where all of them are saved: the outbox keeps what comes after."""
        now = self.clock.monotonic()
        if not at_once and now - self._acknowledged < ACKNOWLEDGE:
            return
        self._acknowledged = now
        async with self.database.connection() as connection:
            lineage, place = await outbox.lineage(connection), await outbox.horizon(connection)
            if not self._indexes and not self._held and not await outbox.known(connection, self.name):
                return
            places = [index.saved_place for index in self._indexes.values() if index.lineage == lineage]
            least = min([*places, *self._held.values(), place], key=lambda one: (one.xid, one.id))
            await outbox.acknowledge(connection, self.name, least, lineage)

    async def _discard(self, index: VectorIndex, state: str) -> None:
        """Without its files; where a state is given it is made anew when it is asked for."""
        self._forget(index)
        self.maker.forget(*_key(index))
        if state:
            self._states[_key(index)] = state

    def _forget(self, index: VectorIndex) -> None:
        if self._indexes.get(_key(index)) is index:
            del self._indexes[_key(index)]
            self._turns.pop(_key(index), None)
            self._states.pop(_key(index), None)

    # --- for people ---------------------------------------------------------------------------------------------------

    async def look(self) -> VectorsLook:
        """All of it."""
        return VectorsLook(self.status(), not self._wanted, self.rebuilds)

    def status(self) -> list[VectorStatus]:
        """Each index that there is or was asked for."""
        return [self._status(key) for key in sorted({*self._indexes, *self._states})]

    def _status(self, key: Key) -> VectorStatus:
        index = self._indexes.get(key)
        return VectorStatus(
            owner=key[0],
            space=key[1],
            state=self._states.get(key, "ready"),
            memories=index.rows.live if index else 0,
            waiting=len(index.waiting) if index else 0,
            unsaved=index.unsealed if index else 0,
            bytes=index.nbytes if index else 0,
        )


def _key(index: VectorIndex) -> Key:
    return str(index.owner), index.space
