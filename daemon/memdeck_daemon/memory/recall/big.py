"""Candidates in the memories of one big owner, from memory alone.

Owns the arms of such a search and their threads: the dense arm in the owner's vector index, the lexical arm in the keyword
index, side by side, each with a deadline. Rows, neighbours, terms and cosines of the candidates come from the index, so that
the database is asked for the few memories of the answer only. Memories that the keyword index has not committed yet are
looked through word by word. A filter that looks at more than the name is applied by the database: to more proposals than
usual first, and where too few of them pass, to all memories, of which those that match are then compared one by one.
"""

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

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

DEADLINE: Final = 1.0
"""Seconds that an arm may take; what the other one proposes is the answer then."""
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
    """The cosines of some rows."""

    rows: Ints
    cosines: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Proposed:
    """What an arm proposes."""

    rows: Ints
    near: Near | None = None
    """Of the rows and of those beside them; the arm's thread has the time for it."""
    frequencies: dict[str, int] = field(default_factory=dict)
    """How often the terms occur in all of the owner's memories."""
    whole: bool = True


NONE: Final = Proposed(NOTHING, whole=False)


@dataclass(frozen=True, slots=True)
class BigOwners:
    """Searches in vector indexes."""

    database: Database
    index: LexicalIndex
    exact: bool = False
    """Compare every vector: what the figures of the index are measured against."""
    # One thread each: more would only share the same processors.
    _dense: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "dense"))
    _lexical: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "lexical"))

    def close(self) -> None:
        """Wait for what is under way."""
        for thread in (self._dense, self._lexical):
            thread.shutdown(wait=True, cancel_futures=True)

    async def gather(self, vectors: VectorIndex, wanted: Wanted, *, plain: bool) -> Candidates:
        """What the arms propose. `plain`: the filter names the owner and nothing else.

        Raises:
            StoreUnavailable: a filter has to be applied and the database does not answer.
        """
        filtered = 1 if plain else OVERSAMPLED
        limit = max(PER_HIT * wanted.top_k, LEAST_DENSE)
        query = _query(wanted)
        position = self.index.position
        dense, words = await self._timed(
            (self._dense, lambda: self._nearest(vectors, query, limit * filtered)),
            (self._lexical, lambda: self._spoken(vectors, wanted, query, plain=plain)),
        )
        rest = _tail(vectors, position, wanted.terms)
        if vectors.waiting and wanted.primary is not None:
            rest = np.concatenate([rest, vectors.nearest_waiting(wanted.vector, limit)])
        candidates = distinct(np.concatenate([dense.rows, words.rows, rest]))
        if not plain:
            rest = candidates = await self._filtered(vectors, wanted, candidates, query, limit)
        without = () if dense.whole else ("dense",)
        if not words.whole or position is None or not position.complete:
            without = (*without, "lexical")
        known = [dense.near, words.near] if plain else []
        block, allowed = _block(
            vectors, candidates, [*known, _near(vectors, rest, query) if len(rest) else None]
        )
        return Candidates(block, allowed, vectors.rows.live, words.frequencies, without)

    async def _timed(self, *arms: tuple[ThreadPoolExecutor, Callable[[], Proposed]]) -> list[Proposed]:
        """What each arm proposes; nothing where it takes too long."""
        loop = asyncio.get_running_loop()
        under_way = [loop.run_in_executor(thread, work) for thread, work in arms]
        _, late = await asyncio.wait(under_way, timeout=None if self.exact else DEADLINE)
        for one in late:
            one.cancel()
        return [NONE if one in late else one.result() for one in under_way]

    def _nearest(self, vectors: VectorIndex, query: Halves, limit: int) -> Proposed:
        if self.exact:
            rows = vectors.nearest_among(None, query, limit)
        else:
            rows = vectors.nearest(query, limit, max(2 * limit, PROPOSALS))
        return Proposed(rows, _near(vectors, rows, query))

    def _spoken(self, vectors: VectorIndex, wanted: Wanted, query: Halves, *, plain: bool) -> Proposed:
        limit = max(PER_HIT * wanted.top_k, LEAST_DENSE) * (1 if plain else FILTERED)
        try:
            weights = self.index.weights(vectors.owner, wanted.terms, vectors.rows.live)
            proposing = weights if self.exact else weights.rarest(MOST_POSTINGS)
            high, low = self.index.places(vectors.owner, proposing, limit)
        except IndexBroken:
            return NONE
        frequencies = {term: SPREAD * count for term, count in weights.frequencies.items()}
        rows = vectors.rows.rows_of(high, low)
        return Proposed(rows, _near(vectors, rows, query), frequencies)

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
        (near,) = await self._timed(
            (self._dense, lambda: Proposed(vectors.nearest_among(rows, query, limit)))
        )
        waiting = rows[~vectors.rows["present"][rows]]
        return distinct(np.concatenate([kept, near.rows, waiting]))

    async def _passing(self, connection: Any, wanted: Wanted, **which: Any) -> list[uuid.UUID]:
        return await big.passing(connection, wanted.where, wanted.branches, today=wanted.today, **which)


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


def _near(vectors: VectorIndex, rows: Ints, query: Halves) -> Near | None:
    """The cosines of rows and of those beside them; None in the local space, where scoring has the vectors themselves."""
    if vectors.space == LOCAL:
        return None
    compared = vectors.rows.beside(rows, BESIDE)
    return Near(compared, vectors.cosines(compared, query))


def _block(
    vectors: VectorIndex, candidates: Ints, known: list[Near | None]
) -> tuple[Block, NDArray[np.bool_]]:
    """The candidates with their neighbours, and which rows are candidates."""
    around = EVERYTHING if len(candidates) <= MOST_WITH_NEIGHBOURS else ()
    rows = vectors.rows.beside(candidates, around)
    block, records = vectors.rows.block(rows, str(vectors.owner))
    allowed = np.zeros(len(rows), np.bool_)
    allowed[vectors.rows.places(rows, candidates)] = True
    mixed = np.ascontiguousarray(records["mixed_norm"])
    if vectors.space == LOCAL:
        block.vectors.adopt(vectors.view.take(rows).astype(np.float32))
        block.mixed_norm.adopt(mixed)
        return block, allowed
    # Of the neighbours' neighbours only the words count: their cosines stay 0.
    near = np.zeros(len(rows) + 1, np.float32)
    for one in known:
        if one is not None:
            near[vectors.rows.places(rows, one.rows)] = one.cosines
    block.known = KnownCosines(vectors.space, near[:-1], mixed, records["present"])
    if block.known.missing:
        block.vectors.adopt(vectors.locals_of(rows))
        block.mixed_norm.adopt(np.ones(len(rows), np.float32))
    return block, allowed
