"""Candidates in the memories of one big owner, from memory alone.

Owns the arms of such a search: the dense arm in the owner's vector index, then the lexical arm in the keyword index, one
after the other on the event loop, which serves nothing else (`memory/searcher`): a thread for either costs more in turns
at Python's lock than it gains. Rows, neighbours, terms and cosines of the candidates come from the index, so that the
database is asked for the few memories of the answer only. Memories that the keyword index has not committed yet are
looked through word by word. A filter that looks at more than the name is applied by the database: to more proposals than
usual first, and where too few of them pass, to all memories, of which those that match are then compared one by one.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory.embedding.local import SPACE_ID as LOCAL
from memdeck_daemon.memory.lexical.reader import IndexBroken, LexicalReader, Watermark, id_key
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
from memdeck_daemon.memory.vectors.index import PROPOSALS, Aim, VectorIndex
from memdeck_daemon.memory.vectors.rows import Ints, distinct

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]

OVERSAMPLED: Final = 10
"""Times as many dense proposals when the database has to filter them."""
MOST_MATCHING: Final = 20_000
"""Memories that match a filter and are compared one by one; with more of them, proposals should have been among them."""
MOST_POSTINGS: Final = 50_000
"""Occurrences that the keyword index walks through, 0.4 ms at a million memories: where rarer words propose, one that
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
    position: Watermark | None = None
    """What the keyword index had seen; None: it cannot be used."""

    def whole(self, vectors: VectorIndex) -> bool:
        """Whether nothing is between what the keyword index has seen and what the vector index remembers as its tail."""
        position = self.position
        if position is None or position.lineage != vectors.lineage:
            return False
        return (position.xid, position.id) >= vectors.tail_after


Cut = tuple[Block, NDArray[np.bool_]]
"""A block, and which of its rows are candidates."""


@dataclass(frozen=True, slots=True)
class BigOwners:
    """Searches in vector indexes."""

    database: Database
    index: LexicalReader
    exact: bool = False
    """Compare every vector: what the figures of the index are measured against."""

    async def gather(self, vectors: VectorIndex, wanted: Wanted, *, plain: bool) -> Candidates:
        """What the arms propose. `plain`: the filter names the owner and nothing else.

        Raises:
            StoreUnavailable: a filter has to be applied and the database does not answer.
        """
        if plain:
            return self.propose(vectors, [wanted])[0]
        limit = _limit(wanted)
        (aim,) = vectors.view.aims([_query(wanted)])
        near = self._nearest(vectors, aim, limit * OVERSAMPLED)
        words, rows = self._united(vectors, wanted, near, limit * FILTERED)
        rows = await self._filtered(vectors, wanted, rows, aim.whole, limit)
        return self._candidates(vectors, words, self._cut(vectors, rows, aim))

    def propose(self, vectors: VectorIndex, wanted: Sequence[Wanted]) -> list[Candidates]:
        """What the arms propose for filters that name the owner and nothing else; a ms or two each.

        Stage by stage for all of them: what one search has in the processor's caches serves the next one. Awaits nothing:
        the tail is shortened meanwhile, up to what the keyword index has seen by then.
        """
        aims = vectors.view.aims([_query(one) for one in wanted])
        nearest = [self._nearest(vectors, aim, _limit(one)) for aim, one in zip(aims, wanted, strict=True)]
        united = [
            self._united(vectors, one, near, _limit(one)) for one, near in zip(wanted, nearest, strict=True)
        ]
        return [
            self._candidates(vectors, words, self._cut(vectors, rows, aim, near))
            for aim, near, (words, rows) in zip(aims, nearest, united, strict=True)
        ]

    @staticmethod
    def _candidates(vectors: VectorIndex, words: Spoken, cut: Cut) -> Candidates:
        without = () if words.whole(vectors) else ("lexical",)
        return Candidates(*cut, vectors.rows.live, words.frequencies, without)

    def _cut(self, vectors: VectorIndex, candidates: Ints, aim: Aim, known: Near | None = None) -> Cut:
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
        near = self._cosines(vectors, rows, aim, block.links.values[allowed][:, BESIDE])
        compared = allowed.copy()
        if known is not None:
            places = rows.searchsorted(known.rows)
            near[places], compared[places] = known.cosines, False
        places = np.flatnonzero(compared)
        near[places] = vectors.cosines(rows.take(places), aim.whole)
        block.known = KnownCosines(vectors.space, near, mixed, records["present"])
        if block.known.missing:
            block.vectors.adopt(vectors.locals_of(rows))
            block.mixed_norm.adopt(np.ones(len(rows), np.float32))
        return block, allowed

    def _cosines(self, vectors: VectorIndex, rows: Ints, aim: Aim, beside: NDArray[np.int32]) -> Floats:
        """Those of the candidates' neighbours, whose places are `beside`, by their codes: each counts for a part of a part.

        Of the neighbours' neighbours only the words count: theirs stay 0.
        """
        near, compared = np.zeros(len(rows), np.float32), np.zeros(len(rows) + 1, np.bool_)
        compared[beside] = True
        places = np.flatnonzero(compared[:-1])
        chosen = rows.take(places)
        near[places] = vectors.cosines(chosen, aim.whole) if self.exact else vectors.view.about(chosen, aim)
        return near

    def _nearest(self, vectors: VectorIndex, aim: Aim, limit: int) -> Near:
        if self.exact:
            return Near(*vectors.nearest_among(None, aim.whole, limit))
        return Near(*vectors.aimed(aim, limit, max(limit + limit // 2, PROPOSALS)))

    def _united(self, vectors: VectorIndex, wanted: Wanted, near: Near, limit: int) -> tuple[Spoken, Ints]:
        """What the lexical arm proposes, up to `limit`, and what both arms do, as rows, ascending."""
        words = self._spoken(vectors, wanted, limit)
        found = [near.rows, words.rows, _tail(vectors, words.position, wanted.terms)]
        if vectors.waiting and wanted.primary is not None:
            found.append(vectors.nearest_waiting(wanted.vector, _limit(wanted)))
        return words, distinct(np.concatenate(found))

    def _spoken(self, vectors: VectorIndex, wanted: Wanted, limit: int) -> Spoken:
        position = (
            self.index.position
        )  # before searching: what is committed meanwhile is then in the tail as well
        if position is None:
            return Spoken()
        try:
            weights = self.index.weights(vectors.owner, wanted.terms, vectors.rows.live)
            proposing = weights if self.exact else weights.rarest(MOST_POSTINGS)
            keys = self.index.keys(vectors.owner, proposing, limit)
        except IndexBroken:
            return Spoken()
        frequencies = {term: SPREAD * count for term, count in weights.frequencies.items()}
        return Spoken(vectors.rows.rows_of(keys), frequencies, position)

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
        near = vectors.nearest_among(rows, query, limit)[0]
        waiting = rows[~vectors.rows.records(rows)["present"]]
        return distinct(np.concatenate([kept, near, waiting]))

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
    return vectors.rows.rows_of(np.array([id_key(memory_id) for memory_id in ids], np.uint64))


def _tail(vectors: VectorIndex, position: Watermark | None, terms: list[str]) -> Ints:
    """Rows that hold a word of the question and are not in the keyword index yet."""
    if position is None or position.lineage != vectors.lineage:
        return NOTHING
    seen = (position.xid, position.id)
    vectors.forget_tail(position)
    # An earlier entry may stand behind a later one: transactions commit in any order.
    first = min((row for xid, number, row in vectors.tail if (xid, number) > seen), default=None)
    return NOTHING if first is None else vectors.rows.saying(first, [key_of(term) for term in terms])
