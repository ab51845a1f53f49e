"""What a search in a vector index is measured against, in this process and on the files of a daemon.

Owns three things: the exact nearest memories by cosine, the same search with an exact dense arm, and the bare loop, which
does what the daemon does for an answer but neither HTTP nor the database. Opens the files and changes nothing.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory import filters
from memdeck_daemon.memory.embedding.queries import RemoteQuery
from memdeck_daemon.memory.lexical.reader import LexicalReader
from memdeck_daemon.memory.lexical.tokens import query_terms
from memdeck_daemon.memory.model import Identifier, Identifiers
from memdeck_daemon.memory.recall.big import BigOwners
from memdeck_daemon.memory.recall.candidates import Wanted
from memdeck_daemon.memory.recall.ranking import asked_about, ranked_among
from memdeck_daemon.memory.vectors import files
from memdeck_daemon.memory.vectors.index import VectorIndex

CHUNK: Final = 16_384
THRESHOLD: Final = 0.1
TOP: Final = 10
NOWHERE: Final = np.zeros(0, np.float32)


@dataclass(slots=True)
class Reference:
    """One owner's index, opened beside its daemon."""

    vectors: VectorIndex
    lexical: LexicalReader
    factor: float
    offset: float

    @classmethod
    def opened(cls, indexes: Path, owner: str, scale: tuple[float, float]) -> "Reference":
        """The index of a user under `DIR/indexes`."""
        name = Identifier("user", owner)
        folder = next(
            path
            for path, one in files.manifests(indexes / "vectors")
            if one.owner == str(name) and one.space != 1
        )
        found = files.read(folder, lambda: False)
        lexical = LexicalReader(indexes / "lexical")
        lexical.refresh()
        return cls(VectorIndex.of(folder, name, *found, now=0.0), lexical, *scale)

    def nearest(self, queries: NDArray[np.float16], count: int) -> list[set[int]]:
        """The rows of the nearest memories by cosine, each compared."""
        base, wide = self.vectors.view.base, queries.astype(np.float32)
        near = np.full((len(wide), 0), 0, np.float32)
        rows = np.zeros((len(wide), 0), np.int64)
        for start in range(0, len(base), CHUNK):
            part = wide @ base[start : start + CHUNK].astype(np.float32).T
            near = np.concatenate([near, part], axis=1)
            here = np.arange(start, start + part.shape[1])
            rows = np.concatenate([rows, np.broadcast_to(here, part.shape)], axis=1)
            top = np.argpartition(-near, min(count, near.shape[1]) - 1, axis=1)[:, :count]
            near, rows = np.take_along_axis(near, top, 1), np.take_along_axis(rows, top, 1)
        return [set(row.tolist()) for row in rows]

    def proposed(self, query: NDArray[np.float16], count: int) -> set[int]:
        """What the index finds."""
        return set(self.vectors.nearest(query, count)[0].tolist())

    def answer(self, arms: BigOwners, text: str, query: NDArray[np.float16]) -> list[str]:
        """The ids of an answer, best first, as the daemon finds them."""
        where = filters.of_identifiers(Identifiers(user=self.vectors.owner.value))
        remote = RemoteQuery(self.vectors.space, query, self.factor, self.offset, complete=True)
        wanted = Wanted(
            where, (frozenset({self.vectors.owner}),), query_terms(text), NOWHERE, TOP, None, remote
        )
        (proposed,) = arms.propose(self.vectors, [wanted])
        ranked = ranked_among(proposed, asked_about(text, wanted, proposed), THRESHOLD, TOP, explain=False)
        return [str(memory_id) for memory_id in ranked.ids()]

    def arms(self, *, exact: bool) -> BigOwners:
        """The arms over these files; no filter is applied, so no database is asked."""
        return BigOwners(cast("Any", None), self.lexical, exact=exact)

    def bare(self, texts: list[str], queries: NDArray[np.float16]) -> float:
        """Answers per second of the bare loop, in one thread."""
        arms, began = self.arms(exact=False), time.perf_counter()
        for text, query in zip(texts, queries, strict=True):
            self.answer(arms, text, query)
        return len(texts) / (time.perf_counter() - began)
