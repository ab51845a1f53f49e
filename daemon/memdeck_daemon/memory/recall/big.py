"""Candidates in the memories of one big owner, from memory alone.

Owns the arms of such a search and their thread: the dense arm in the owner's vector index, then the lexical arm in the
keyword index, with one deadline. One thread, because under load each change of threads costs more than a second one gains.
Rows, neighbours, terms and cosines of the candidates come from the index, so that the database is asked for the few memories
of the answer only. Memories that the keyword index has not committed yet are
looked through word by word. A filter that looks at more than the name is applied by the database: to more proposals than
usual first, and where too few of them pass, to all memories, of which those that match are then compared one by one.
"""

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory.embedding.local import SPACE_ID as LOCAL
from memdeck_daemon.memory.lexical.index import IndexBroken, LexicalIndex, Watermark
from memdeck_daemon.memory.lexical.tokens import key_of
from memdeck_daemon.memory.recall.block import Block
from memdeck_daemon.memory.recall.candidates import (
    FILTERED,
    LEAST_DENSE,
    MOST_WITH_NEIGHBOURS,
    PER_HIT,
    SPREAD,
    Candidates,
    Wanted,
)
from memdeck_daemon.memory.recall.primary import BESIDE, KnownCosines
from memdeck_daemon.memory.store import big
from memdeck_daemon.memory.vectors.index import PROPOSALS, VectorIndex
from memdeck_daemon.memory.vectors.rows import Ints, distinct, place_of

Halves = NDArray[np.float16]
T = TypeVar("T")

DEADLINE: Final = 1.0
"""Seconds that the arms may take; without them only what was written last is found, and the answer says so."""
OVERSAMPLED: Final = 10
"""Times as many dense proposals when the database has to filter them."""
MOST_MATCHING: Final = 20_000
"""Memories that match a filter and are compared one by one; with more of them, proposals should have been among them."""
MOST_POSTINGS: Final = 50_000
"""Occurrences that the keyword index walks through, about half a millisecond: where rarer words propose, a word that
stands in every tenth memory only scores."""
EVERYTHING: Final = (0, 1, 2, 3)
"""All columns of the links."""


NOTHING: Final = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Near:
    """What the dense arm proposes: rows with their cosines. In the local space scoring has the vectors themselves."""

    rows: Ints
    cosines: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the lexical arm proposes."""

    rows: Ints = field(default_factory=lambda: NOTHING)
    frequencies: dict[str, int] = field(default_factory=dict)
    """How often the terms occur in all of the owner's memories."""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Proposed:
    """What both arms propose."""

    rows: Ints
    """Ascending."""
    words: Spoken
    cut: "Cut | None" = None
    """The rows as a block, where no filter has to be applied before."""


Cut = tuple[Block, NDArray[np.bool_]]
"""A block, and which of its rows are candidates."""


@dataclass(frozen=True, slots=True)
class BigOwners:
    """Searches in vector indexes."""

    database: Database
    index: LexicalIndex
    exact: bool = False
    """Compare every vector: what the figures of the index are measured against."""
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "arms"))

    def close(self) -> None:
        """Wait for what is under way."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def gather(self, vectors: VectorIndex, wanted: Wanted, *, plain: bool) -> Candidates:
        """What the arms propose. `plain`: the filter names the owner and nothing else.

        Raises:
            StoreUnavailable: a filter has to be applied and the database does not answer.
        """
        limit, query, position = _limit(wanted), _query(wanted), self.index.position
        rest = _tail(vectors, position, wanted.terms)
        if vectors.waiting and wanted.primary is not None:
            rest = np.concatenate([rest, vectors.nearest_waiting(wanted.vector, limit)])
        found = await self._timed(lambda: self._proposed(vectors, wanted, rest, plain=plain))
        without = ("dense",) if found is None else ()
        found = found or Proposed(distinct(rest), Spoken())
        if not found.words.whole or position is None or not position.complete:
            without = (*without, "lexical")
        cut = found.cut
        if cut is None:
            rows = found.rows if plain else await self._filtered(vectors, wanted, found.rows, query, limit)
            cut = _cut(vectors, rows, query)
        return Candidates(*cut, vectors.rows.live, found.words.frequencies, without)

    async def _timed(self, work: Callable[[], T]) -> T | None:
        """The work, done in the thread; None where that takes too long."""
        try:
            async with asyncio.timeout(None if self.exact else DEADLINE):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError:
            return None

    def _proposed(self, vectors: VectorIndex, wanted: Wanted, rest: Ints, *, plain: bool) -> Proposed:
        query = _query(wanted)
        near = self._nearest(vectors, query, _limit(wanted) * (1 if plain else OVERSAMPLED))
        words = self._spoken(vectors, wanted, plain=plain)
        rows = distinct(np.concatenate([near.rows, words.rows, rest]))
        return Proposed(rows, words, _cut(vectors, rows, query, near) if plain else None)

    def _nearest(self, vectors: VectorIndex, query: Halves, limit: int) -> Near:
        if self.exact:
            return Near(*vectors.nearest_among(None, query, limit))
        return Near(*vectors.nearest(query, limit, max(2 * limit, PROPOSALS)))

    def _spoken(self, vectors: VectorIndex, wanted: Wanted, *, plain: bool) -> Spoken:
        limit = _limit(wanted) * (1 if plain else FILTERED)
        try:
            weights = self.index.weights(vectors.owner, wanted.terms, vectors.rows.live)
            proposing = weights if self.exact else weights.rarest(MOST_POSTINGS)
            high, low = self.index.places(vectors.owner, proposing, limit)
        except IndexBroken:
            return Spoken()
        frequencies = {term: SPREAD * count for term, count in weights.frequencies.items()}
        return Spoken(vectors.rows.rows_of(high, low), frequencies, whole=True)

    async def _filtered(
        self, vectors: VectorIndex, wanted: Wanted, candidates: Ints, query: Halves, limit: int
    ) -> Ints:
        """The candidates that match; where they are few, the nearest of all that match as well."""
        ids = vectors.rows.ids(candidates)
        async with self.database.connection() as connection:
            passing = await self._passing(connection, wanted, ids=ids)
            kept = _rows_of(vectors, passing)
            if len(kept) >= limit:
                return kept
            matching = await self._passing(connection, wanted, limit=MOST_MATCHING + 1)
        if len(matching) > MOST_MATCHING:
            return kept
        rows = _rows_of(vectors, matching)
        near = await self._timed(lambda: vectors.nearest_among(rows, query, limit)[0])
        waiting = rows[~vectors.rows.records(rows)["present"]]
        return distinct(np.concatenate([kept, NOTHING if near is None else near, waiting]))

    async def _passing(self, connection: Any, wanted: Wanted, **which: Any) -> list[uuid.UUID]:
        return await big.passing(connection, wanted.where, wanted.branches, today=wanted.today, **which)


def _limit(wanted: Wanted) -> int:
    """How many each arm proposes."""
    return max(PER_HIT * wanted.top_k, LEAST_DENSE)


def _query(wanted: Wanted) -> Halves:
    if wanted.primary is not None:
        return wanted.primary.vector
    return wanted.vector.astype(np.float16)


def _rows_of(vectors: VectorIndex, ids: list[uuid.UUID]) -> Ints:
    places = [place_of(memory_id) for memory_id in ids]
    high, low = (np.array([place[half] for place in places], np.uint64) for half in (0, 1))
    return vectors.rows.rows_of(high, low)


def _tail(vectors: VectorIndex, position: Watermark | None, terms: list[str]) -> Ints:
    """Rows that hold a word of the question and are not in the keyword index yet."""
    tail = vectors.tail
    if position is None:
        return NOTHING
    while tail and (tail[0][0], tail[0][1]) <= (position.xid, position.id):
        tail.popleft()
    first = min(
        (row for xid, number, row in tail if (xid, number) > (position.xid, position.id)), default=None
    )
    return NOTHING if first is None else vectors.rows.saying(first, [key_of(term) for term in terms])


def _cut(vectors: VectorIndex, candidates: Ints, query: Halves, known: Near | None = None) -> Cut:
    """The candidates, ascending, with their neighbours; `known`: the cosines of some of them."""
    around = EVERYTHING if len(candidates) <= MOST_WITH_NEIGHBOURS else ()
    rows = vectors.rows.beside(candidates, around)
    block, records = vectors.rows.block(rows, str(vectors.owner))
    allowed = np.zeros(len(rows), np.bool_)
    allowed[rows.searchsorted(candidates)] = True
    mixed = np.ascontiguousarray(records["mixed_norm"])
    if vectors.space == LOCAL:
        block.vectors.adopt(vectors.view.take(rows).astype(np.float32))
        block.mixed_norm.adopt(mixed)
        return block, allowed
    # Of the neighbours' neighbours only the words count: their cosines stay 0.
    compared = np.append(allowed, np.False_)
    compared[block.links.values[allowed][:, BESIDE]] = True
    near = np.zeros(len(rows), np.float32)
    if known is not None:
        places = rows.searchsorted(known.rows)
        near[places], compared[places] = known.cosines, False
    places = np.flatnonzero(compared[:-1])
    near[places] = vectors.cosines(rows.take(places), query)
    block.known = KnownCosines(vectors.space, near, mixed, records["present"])
    if block.known.missing:
        block.vectors.adopt(vectors.locals_of(rows))
        block.mixed_norm.adopt(np.ones(len(rows), np.float32))
    return block, allowed
