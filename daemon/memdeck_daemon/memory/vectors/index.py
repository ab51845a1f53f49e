"""The vectors of one big owner in one space, searched in memory.

Owns the joint state: sealed rows are in the files and in the lists; rows behind them are in memory alone and compared by
their codes one by one, until a save seals them. Whole vectors decide which memories are near; how near those beside them
are, their codes tell.
Changes and searches happen on the event loop, saves in a thread: arrays are only appended to, so a save that runs
meanwhile sees its rows as they were. Refuses to read the database.
"""

import uuid
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.embedding.local import SPACE_ID as LOCAL
from memdeck_daemon.memory.lexical.reader import Watermark
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.recall.block import Prepared
from memdeck_daemon.memory.recall.columns import Column
from memdeck_daemon.memory.recall.primary import BESIDE, NEIGHBOUR_SHARE
from memdeck_daemon.memory.store.outbox import Position
from memdeck_daemon.memory.vectors.coding import Projection, coded, inner, products
from memdeck_daemon.memory.vectors.files import Manifest, VectorFile
from memdeck_daemon.memory.vectors.lists import Lists
from memdeck_daemon.memory.vectors.rows import Ints, Rows

Halves = NDArray[np.float16]
Floats = NDArray[np.float32]

CHUNK: Final = 4_096
"""Rows that are widened to single precision, or compared, together."""
PROPOSALS: Final = 90
"""Rows that the codes propose (docs/decisions/0008-vector-indexes.md)."""
MOST_WAITING: Final = 5_000
"""Memories without a vector in the space that are searched in the local one; with more of them the index is of no use."""
GROWN: Final = 4
"""An index is made anew with so many times the memories from which it learnt, or with this share of dead rows."""


class Fresh:
    """Vectors and codes of the rows behind the sealed ones."""

    def __init__(self, dimensions: int, width: int, capacity: int = 16) -> None:
        self.vectors = Column(np.float16, (dimensions,), capacity)
        self.codes = Column(np.int8, (width,), capacity)
        self.scales = Column(np.float32, capacity=capacity)

    def extend(self, vectors: Halves, projection: Projection) -> None:
        """Append rows."""
        small = coded(projection.flat(vectors))
        self.vectors.extend(vectors)
        self.scales.extend(small.scales)
        # Last: whoever searches meanwhile goes by the codes.
        self.codes.extend(small.codes)

    def fill(self, places: Ints, vectors: Halves, projection: Projection) -> None:
        """The vectors of rows that were appended as zeros."""
        small = coded(projection.flat(vectors))
        self.vectors.array[places] = vectors
        self.codes.array[places] = small.codes
        self.scales.array[places] = small.scales

    def behind(self, count: int, projection: Projection) -> "Fresh":
        """The last `count` rows."""
        vectors = self.vectors.values[self.vectors.size - count :]
        kept = Fresh(vectors.shape[1], projection.width, 2 * count + 16)
        kept.extend(vectors, projection)
        return kept

    def nearest(self, point: Floats, count: int) -> Ints:
        """About the nearest, as places."""
        codes, scales = self.codes.values, self.scales.array
        if not len(codes):
            return np.zeros(0, np.int64)
        near = products(codes, coded(point[None]).codes) * scales[: len(codes)]
        return np.argpartition(-near, count - 1)[:count] if len(near) > count else np.arange(len(near))

    def about(self, point: Floats, places: Ints) -> Floats:
        """About the inner products of some of them with a projected vector."""
        # One may be so new that there is no room for it yet: any other does for this search.
        codes, scales = (one.array.take(places, axis=0, mode="clip") for one in (self.codes, self.scales))
        return inner(codes, scales, point)


@dataclass(frozen=True, slots=True)
class View:
    """What a search looks at: sealed rows, and those behind them. Replaced as a whole."""

    base: Halves
    lists: Lists
    projection: Projection
    fresh: Fresh

    @property
    def sealed(self) -> int:
        """Rows in the files."""
        return len(self.base)

    def take(self, rows: Ints) -> Halves:
        """The vectors of rows; of those that wait, zeros."""
        behind = rows >= self.sealed
        # `take` is several times as fast as an index in brackets.
        if not behind.any():
            return self.base.take(rows, axis=0)
        # A neighbour may be so new that there is no room for its vector yet: any other's does for this search.
        taken = np.empty((len(rows), self.base.shape[1]), np.float16)
        taken[~behind] = self.base.take(rows[~behind], axis=0)
        taken[behind] = self.fresh.vectors.array.take(rows[behind] - self.sealed, axis=0, mode="clip")
        return taken

    def about(self, rows: Ints, aim: "Aim") -> Floats:
        """About the cosines of rows, by their codes: a twentieth of the memory of the vectors. 0 of those that wait."""
        behind = rows >= self.sealed
        if not behind.any():
            return self.lists.about(aim.flat, rows)
        found = np.empty(len(rows), np.float32)
        found[~behind] = self.lists.about(aim.flat, rows[~behind])
        found[behind] = self.fresh.about(aim.flat, rows[behind] - self.sealed)
        return found

    def aims(self, queries: Sequence[Halves]) -> list["Aim"]:
        """For unit vectors; together, because projection and centroids are megabytes that are read once for all of them."""
        flat = self.projection.flat(np.stack(queries))
        return [Aim(*one) for one in zip(queries, flat, self.lists.towards(flat), strict=True)]


@dataclass(frozen=True, slots=True)
class Aim:
    """A question's vector as it is compared."""

    whole: Halves
    flat: Floats
    """Projected."""
    near: Floats
    """Its inner products with the centroids of the lists."""


@dataclass(slots=True)
class Mark:
    """So many rows hold everything up to a place in the outbox."""

    rows: int
    place: Position


@dataclass(slots=True)
class VectorIndex:
    """One owner, one space."""

    path: Path
    """Its folder."""
    owner: Identifier
    space: int
    dimensions: int
    lineage: str
    rows: Rows
    file: VectorFile
    view: View
    place: Position
    """Everything up to here is in the rows."""
    saved_place: Position
    learnt: int
    """Rows when the projection was learnt."""
    generation: int = -1
    """Of the owner's counter, when the last changes were read; −1: nothing was read since it was opened."""
    saved_at: float = 0.0
    used_at: float = 0.0
    """Monotonic seconds."""
    waiting: dict[uuid.UUID, int] = field(default_factory=dict)
    """Rows without their vector."""
    seen: set[tuple[int, int]] = field(default_factory=set)
    """Entries of the outbox behind `place` that are in the rows already."""
    tail: deque[tuple[int, int, int]] = field(default_factory=deque)
    """Transaction and number of an entry, and the row that came of it, as they were read: what the lexical index may lack."""
    tail_after: tuple[int, int] = (0, 0)
    """The tail holds all entries behind this one."""
    marks: deque[Mark] = field(default_factory=deque)
    _local: dict[int, Floats] = field(default_factory=dict)
    """Local vectors of the rows that wait."""

    @classmethod
    def of(
        cls, path: Path, owner: Identifier, manifest: Manifest, rows: Rows, file: VectorFile, projection: Projection,
        lists: Lists, now: float,
    ) -> "VectorIndex":  # fmt: skip
        """What stands in files; `now`: monotonic seconds."""
        place = Position(manifest.xid, manifest.id)
        view = View(file.values, lists, projection, Fresh(manifest.dimensions, projection.width))
        return cls(
            path, owner, manifest.space, manifest.dimensions, manifest.lineage, rows, file, view, place, place,
            manifest.learnt, saved_at=now, used_at=now,
        )  # fmt: skip

    def __post_init__(self) -> None:
        """Nothing is behind the sealed rows yet."""
        self.tail_after = (self.place.xid, self.place.id)
        self.marks.append(Mark(len(self.rows), self.place))

    @property
    def sealed(self) -> int:
        """Rows in the files."""
        return self.view.sealed

    @property
    def unsealed(self) -> int:
        """Rows in memory alone."""
        return len(self.rows) - self.sealed

    @property
    def outgrown(self) -> bool:
        """Whether it is to be made anew: too little of it is what it learnt from."""
        rows = len(self.rows)
        return rows > GROWN * self.learnt or self.rows.buried * GROWN > rows

    @property
    def nbytes(self) -> int:
        """What it occupies at most: mapped files count in full."""
        fresh = self.view.fresh
        return self.file.nbytes + self.view.lists.nbytes + self.rows.nbytes + fresh.vectors.array.nbytes

    # --- changing, on the loop ----------------------------------------------------------------------------------------

    def put(self, items: Sequence[Prepared]) -> None:
        """Memories as they are now; who was here before gets another row."""
        if not items:
            return
        first = len(self.rows)
        for item in items:
            self._forget(item.line.id)
        self.rows.append(items)
        view = self.view
        view.fresh.extend(np.zeros((len(items), self.dimensions), np.float16), view.projection)
        filled = []
        for row, item in enumerate(items, first):
            vector = item.line.vector.astype(np.float16) if self.space == LOCAL else item.line.primary
            if vector is not None and len(vector) == self.dimensions:
                filled.append((row, vector))
            else:
                self.waiting[item.line.id] = row
                self._local[row] = item.line.vector
        self._fill(filled)

    def drop(self, ids: Iterable[uuid.UUID]) -> None:
        """Memories that are gone."""
        for memory_id in ids:
            self._forget(memory_id)
            self.rows.bury(memory_id)

    def _forget(self, memory_id: uuid.UUID) -> None:
        row = self.waiting.pop(memory_id, None)
        if row is not None:
            self._local.pop(row, None)

    def forget_tail(self, seen: Watermark) -> None:
        """The lexical index has seen everything up to there. That of another lineage says nothing."""
        if seen.lineage != self.lineage:
            return
        while self.tail and self.tail[0][:2] <= (seen.xid, seen.id):
            self.tail.popleft()

    def fill(self, found: Iterable[tuple[uuid.UUID, Halves]], wanted: Mapping[uuid.UUID, int]) -> None:
        """Vectors of rows that waited; `wanted`: the rows for which they were read.

        A memory that has been changed since waits in another row, for the vector of another text.
        """
        filled = []
        for memory_id, vector in found:
            row = self.waiting.get(memory_id)
            if row is not None and row == wanted[memory_id] and len(vector) == self.dimensions:
                self._forget(memory_id)
                filled.append((row, vector))
        self._fill(filled)

    def _fill(self, found: Sequence[tuple[int, Halves]]) -> None:
        if not found:
            return
        rows = np.array([row for row, _ in found], np.int64)
        vectors, view = np.stack([vector for _, vector in found]), self.view
        view.fresh.fill(rows - view.sealed, vectors, view.projection)
        self.rows["present"][rows] = True
        self.mix(rows)

    def mix(self, rows: Ints) -> None:
        """The lengths of vectors mixed with their neighbours', for these rows and those beside them."""
        links = self.rows["links"]
        touched = self.rows.beside(rows, BESIDE)
        touched = touched[(links[touched][:, BESIDE] >= 0).any(axis=1)]
        for start in range(0, len(touched), CHUNK):
            part = touched[start : start + CHUNK]
            mixed = self.view.take(part).astype(np.float32)
            for column in BESIDE:
                other = links[part, column].astype(np.int64)
                known = other >= 0
                mixed[known] += NEIGHBOUR_SHARE * self.view.take(other[known])
            self.rows["mixed_norm"][part] = np.maximum(np.linalg.norm(mixed, axis=1), 1e-6)

    def seal(self, lists: Lists) -> None:
        """The rows that were appended to the file are in the lists now; those behind them stay."""
        base, projection = self.file.values, self.view.projection
        self.view = View(
            base, lists, projection, self.view.fresh.behind(len(self.rows) - len(base), projection)
        )

    # --- searching ----------------------------------------------------------------------------------------------------

    def cosines(self, rows: Ints, query: Halves) -> Floats:
        """With a unit vector. Shape: (rows,)."""
        import numkong  # late: 4 MB that only vectors in half precision need

        if not len(rows):
            return np.zeros(0, np.float32)
        found = numkong.cdist(self.view.take(rows), query[None], "dot", out_dtype="float32")
        return np.asarray(found).reshape(-1)

    def nearest(self, query: Halves, count: int, proposals: int = PROPOSALS) -> tuple[Ints, Floats]:
        """About the `count` nearest rows that live, best first, and their cosines.

        `proposals` are compared by their whole vectors.
        """
        return self.aimed(self.view.aims([query])[0], count, proposals)

    def aimed(self, aim: Aim, count: int, proposals: int = PROPOSALS) -> tuple[Ints, Floats]:
        """As `nearest`."""
        view = self.view
        rows = view.lists.nearest(aim.flat, proposals, aim.near)
        if view.fresh.codes.size:
            rows = np.concatenate([rows, view.sealed + view.fresh.nearest(aim.flat, proposals)])
        return self._best(np.sort(rows), aim.whole, count)

    def nearest_among(self, rows: Ints | None, query: Halves, count: int) -> tuple[Ints, Floats]:
        """As `nearest`, among these rows (None: all), each compared by its whole vector: a second or so for a million."""
        chosen = np.arange(len(self.rows)) if rows is None else rows
        best, cosines = np.zeros(0, np.int64), np.zeros(0, np.float32)
        for start in range(0, len(chosen), CHUNK):
            part = np.concatenate([best, chosen[start : start + CHUNK]])
            best, cosines = self._best(part, query, count)
        return best, cosines

    def _best(self, rows: Ints, query: Halves, count: int) -> tuple[Ints, Floats]:
        records = self.rows.records(rows)
        rows = rows[records["present"] & ~records["dead"]]
        cosines = self.cosines(rows, query)
        if len(rows) > count:
            chosen = np.argpartition(-cosines, count - 1)[:count]
            rows, cosines = rows[chosen], cosines[chosen]
        order = np.argsort(-cosines, kind="stable")
        return rows[order], cosines[order]

    def nearest_waiting(self, local: Floats, count: int) -> Ints:
        """The nearest of the rows that wait, in the local space."""
        if not self._local:
            return np.zeros(0, np.int64)
        rows = np.fromiter(self._local, np.int64)
        cosines = np.stack(list(self._local.values())) @ local
        return rows[np.argsort(-cosines)[:count]]

    def locals_of(self, rows: Ints) -> Floats:
        """The local vectors of the rows that wait, zeros for all others."""
        width = len(next(iter(self._local.values()))) if self._local else 0
        found = np.zeros((len(rows), width), np.float32)
        for place, row in enumerate(rows):
            vector = self._local.get(int(row))
            if vector is not None:
                found[place] = vector
        return found
