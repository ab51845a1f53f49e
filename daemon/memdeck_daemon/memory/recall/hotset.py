"""The hot set: the blocks of the owners that were searched last.

Owns loading them, keeping them in step with what this process commits, and their bound in bytes. A block is valid for
one generation of its owner's counter. Whoever used a block learns the generation together with the memories that it
returns, in the same statement: when they differ, another daemon wrote, the block is dropped and the search repeated.
So answers are exact however many daemons write, and nothing is asked twice when only this one does.
"""

import asyncio
import itertools
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory.embedding.spaces import Spaces
from memdeck_daemon.memory.model import Identifier, Memory
from memdeck_daemon.memory.recall.block import Block, Line, fill, is_short, prepare
from memdeck_daemon.memory.recall.primary import PrimaryVectors
from memdeck_daemon.memory.store import blocks, queue
from memdeck_daemon.memory.store.counters import Counter

MOST_ROWS: Final = 10_000
"""Owners with more memories are searched through the indexes."""
MOST_BYTES: Final = 8 * 1024 * 1024
"""Of text, likewise: a block takes about ten times as much while it is made."""
LOOK: Final = 0.5
"""Seconds between looks for vectors of the primary space that were still missing."""
MOST_MISSING: Final = 1_000
"""Vectors that are looked for together."""
KEPT: Final = 256
"""Whole memories of a block that are kept at most."""
KEPT_TEXT: Final = 2_000
"""Characters of a memory that is kept; longer ones are read each time."""
KEPT_BYTES: Final = 2_000
INLINE: Final = 200
"""Vectors that are put into a block on the loop; more take a thread."""


@dataclass(slots=True)
class HotBlock:
    """A block and the generation for which it is valid."""

    block: Block
    generation: int
    memories: dict[uuid.UUID, Memory] = field(default_factory=dict)
    """Whole memories that were read for this generation or one before it; what changes one of them ends the block."""

    @property
    def nbytes(self) -> int:
        """Roughly what it occupies."""
        return self.block.nbytes + KEPT_BYTES * len(self.memories)

    def hold(self, memories: Iterable[Memory]) -> None:
        """Keep whole memories, the newest `KEPT`."""
        self.memories.update({m.id: m for m in memories if len(m.text) <= KEPT_TEXT})
        while len(self.memories) > KEPT:
            del self.memories[next(iter(self.memories))]

    @property
    def space(self) -> int | None:
        """The primary space whose vectors it holds."""
        return self.block.primary.space if self.block.primary is not None else None


@dataclass(slots=True)
class HotSet:
    """Blocks by owner, least recently used first."""

    database: Database
    limit_bytes: int
    spaces: Spaces | None = None
    current: Callable[[Sequence[Identifier]], tuple[int, ...] | None] = lambda _: None
    """The lineage and the generations of names, where this process alone writes and knows them; None otherwise."""
    _blocks: OrderedDict[str, HotBlock] = field(default_factory=OrderedDict)
    _loading: dict[str, asyncio.Future[HotBlock | None]] = field(default_factory=dict)
    _pending: dict[str, set[asyncio.Future[None]]] = field(default_factory=dict)
    """The transactions of this process that add to an owner right now."""
    _bytes: int = 0

    @property
    def nbytes(self) -> int:
        """Roughly what all blocks occupy."""
        return self._bytes

    async def get(self, owner: Identifier) -> HotBlock | None:
        """The owner's block, loaded if need be; None when it has too many memories for one.

        It holds the vectors of the primary space as well, when there is one.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        key = str(owner)
        known = self._blocks.get(key)
        live = self.spaces.primary if self.spaces is not None else None
        if known is not None and known.space != (live.space.id if live else None):
            self.discard(key)
            known = None
        if known is not None:
            if live is not None:
                await self._completed(owner, known, live.space.id)
            if key in self._blocks:
                self._blocks.move_to_end(key)
            return known
        if key not in self._loading:
            self._loading[key] = asyncio.ensure_future(self._load(owner))
            self._loading[key].add_done_callback(lambda _: self._loading.pop(key, None))
        # Shielded: when one of several searches that wait gives up, the others still want it.
        return await asyncio.shield(self._loading[key])

    def at_hand(self, owner: Identifier) -> HotBlock | None:
        """The owner's block, if it is here and some of its memories are."""
        known = self._blocks.get(str(owner))
        return known if known is not None and known.memories else None

    async def _load(self, owner: Identifier) -> HotBlock | None:
        live = self.spaces.primary if self.spaces is not None else None
        space = live.space if live else None
        found: list[tuple[uuid.UUID, NDArray[np.float16]]] = []
        whole: list[Memory] = []
        async with self.database.connection() as connection:
            count = await blocks.size(connection, owner, MOST_ROWS, MOST_BYTES)
            if count is None:
                return None
            if count <= KEPT:  # all of them are kept: read now, or by the first searches that find them
                generation, lines, whole = await blocks.whole_of_owner(connection, owner, MOST_ROWS + 1)
            else:
                generation, lines = await blocks.of_owner(connection, owner, MOST_ROWS + 1)
            if len(lines) > MOST_ROWS:
                return None
            if space is not None:
                # A text that changes between the two statements changes the generation as well.
                found = await blocks.primary_of_owner(connection, owner, space.id)
        block = Block(PrimaryVectors(space.id, space.dimensions) if space else None)
        await fill(block, lines)
        if len(found) > INLINE:
            await asyncio.to_thread(_complete, block, found)
        else:
            _complete(block, found)
        hot = HotBlock(block, generation)
        hot.hold(whole)
        self._put(str(owner), hot)
        return hot

    async def _completed(self, owner: Identifier, hot: HotBlock, space_id: int) -> None:
        """Look for vectors that were still missing, at most once in `LOOK` seconds."""
        primary, now = hot.block.primary, asyncio.get_running_loop().time()
        if primary is None or not primary.missing or now - primary.looked_at < LOOK:
            return
        primary.looked_at = now
        async with self.database.connection() as connection:
            wanted = list(itertools.islice(primary.missing, MOST_MISSING))
            found = await queue.vectors(connection, space_id, str(owner), wanted)
        primary.fill(found, hot.block.links.values)

    def _put(self, key: str, hot: HotBlock) -> None:
        self.discard(key)
        self._blocks[key] = hot
        self._bytes += hot.nbytes
        self._shrink()

    def _shrink(self) -> None:
        while self._bytes > self.limit_bytes and len(self._blocks) > 1:
            _, old = self._blocks.popitem(last=False)
            self._bytes -= old.nbytes

    def discard(self, owner: str) -> None:
        """Forget an owner's block."""
        if hot := self._blocks.pop(owner, None):
            self._bytes -= hot.nbytes

    def kept(
        self, owner: Identifier, hot: HotBlock, ids: Sequence[uuid.UUID]
    ) -> dict[uuid.UUID, Memory] | None:
        """Whole memories without a question to the database; None where one is needed.

        That is where this process alone writes, the block is of the newest generation, and all of them were read before.
        """
        stamp = self.current((owner,))
        if stamp is None or stamp[1] != hot.generation:
            return None
        known = hot.memories
        found = {memory_id: known[memory_id] for memory_id in ids if memory_id in known}
        return found if len(found) == len(ids) else None

    def keep(self, owner: Identifier, hot: HotBlock, memories: Iterable[Memory]) -> None:
        """Memories that were read together with the generation for which the block is valid."""
        if self._blocks.get(str(owner)) is not hot:
            return
        self._bytes -= hot.nbytes
        hot.hold(memories)
        self._bytes += hot.nbytes
        self._shrink()

    @asynccontextmanager
    async def committing(self, owners: set[str]) -> AsyncIterator[None]:
        """Around a transaction of this process that adds to these owners, until `added` was told of it."""
        settled = asyncio.get_running_loop().create_future()
        for owner in owners:
            self._pending.setdefault(owner, set()).add(settled)
        try:
            yield
        finally:
            for owner in owners:
                self._pending[owner].discard(settled)
                if not self._pending[owner]:
                    del self._pending[owner]
            settled.set_result(None)

    async def explained(self, owner: Identifier, used: HotBlock, generation: int) -> bool:
        """Whether this process' own writes alone brought a block that was used to a generation that a search met.

        Another block that is as new by now says nothing: what the used one lacks may be another daemon's.

        Waits for those that are committing right now: until then it cannot be told whether another daemon wrote. Not for
        those that follow, or a search among steady writers would never end.
        """
        key = str(owner)
        if pending := self._pending.get(key):
            await asyncio.wait(pending)
        return self._blocks.get(key) is used and used.generation >= generation

    async def newer(self, owner: Identifier, used: HotBlock) -> HotBlock | None:
        """Another block than the one that was found outdated; as `get`."""
        if self._blocks.get(str(owner)) is used:
            self.discard(str(owner))
        return await self.get(owner)

    def added(self, touched: Sequence[Counter], lines: dict[str, list[Line]]) -> None:
        """Memories that one committed transaction of this process added, by owner."""
        generations = {str(counter.identifier): counter.generation for counter in touched}
        for owner, new in lines.items():
            hot = self._blocks.get(owner)
            if hot is None:
                continue
            fits = len(hot.block) + len(new) <= MOST_ROWS and is_short(new)
            if not fits or generations.get(owner) != hot.generation + 1:
                self.discard(owner)
                continue
            self._bytes -= hot.nbytes
            hot.block.extend(prepare(new))
            hot.generation += 1
            self._bytes += hot.nbytes

    def changed(self, touched: Sequence[Counter]) -> None:
        """Names whose memories were changed or removed by this process."""
        for counter in touched:
            self.discard(str(counter.identifier))


def _complete(block: Block, found: list[tuple[uuid.UUID, NDArray[np.float16]]]) -> None:
    if block.primary is not None:
        block.primary.fill(found, block.links.values)
