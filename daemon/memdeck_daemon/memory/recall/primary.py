"""The vectors of the primary space beside a block's rows.

Owns them in half precision, half the bytes and (by numkong, which reads halves as they are) half the time of single
precision: 10,000 rows of 1,536 take 5 ms instead of 11, and 90 ms by way of numpy, which widens them first. A row may
wait for its vector; it is zero until then. Refuses to ask anybody for the missing ones.
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.recall.columns import Column

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]

NEIGHBOUR_SHARE: Final = 0.6
"""How much of each neighbour's vector is mixed into a turn's (findings, section 4)."""
BESIDE: Final = (1, 2)
"""The columns of a block's links that lead to the turn before and the one after."""
CHUNK: Final = 512
"""Rows that are widened to single precision together."""


class KnownCosines:
    """Cosines that were computed before, with the one question of this search."""

    def __init__(self, space: int, near: Floats, mixed_norm: Floats, present: NDArray[np.bool_]) -> None:
        self.space, self._near, self.mixed_norm, self._present = space, near, mixed_norm, present
        self.missing = not present.all()

    def cosines(self, query: Halves) -> Floats:  # noqa: ARG002 - the question is known
        """As they are."""
        return self._near

    def present(self) -> NDArray[np.bool_]:
        """Which rows have their vector."""
        return self._present

    def surrounded(self, links: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which rows have their own vector and those of both neighbours, where there are any."""
        return _surrounded(self._present, links)


class PrimaryVectors:
    """Columns that grow with the block."""

    def __init__(self, space: int, width: int) -> None:
        """`width`: dimensions of the space."""
        self.space = space
        self.looked_at = float("-inf")
        """When somebody last looked for missing vectors (monotonic seconds)."""
        self.missing: dict[uuid.UUID, int] = {}
        """Rows that wait, by memory."""
        self._vectors = Column(np.float16, (width,))
        self._present = Column(np.bool_)
        self._mixed_norm = Column(np.float32)

    @property
    def nbytes(self) -> int:
        """What the vectors occupy."""
        return self._vectors.array.nbytes + 100 * len(self.missing)

    def extend(self, rows: Sequence[tuple[uuid.UUID, Halves | None]], links: NDArray[np.int32]) -> None:
        """Append rows; `links` are those of the whole block, its new rows included."""
        first, width = self._vectors.size, self._vectors.array.shape[1]
        fitting = [v if v is not None and len(v) == width else None for _, v in rows]
        nothing = np.zeros(width, np.float16)
        self._vectors.extend(np.stack([nothing if vector is None else vector for vector in fitting]))
        self._present.extend([vector is not None for vector in fitting])
        self._mixed_norm.extend(np.ones(len(rows), np.float32))
        found = []
        for row, ((memory_id, _), vector) in enumerate(zip(rows, fitting, strict=True), first):
            if vector is None:
                self.missing[memory_id] = row
            else:
                found.append(row)
        self._mix(found, links)

    def fill(self, found: Iterable[tuple[uuid.UUID, Halves]], links: NDArray[np.int32]) -> None:
        """Vectors of rows that waited."""
        rows = []
        for memory_id, vector in found:
            row = self.missing.pop(memory_id, None)
            if row is not None and len(vector) == self._vectors.array.shape[1]:
                self._vectors.array[row] = vector
                self._present.array[row] = True
                rows.append(row)
        self._mix(rows, links)

    def _mix(self, rows: Sequence[int], links: NDArray[np.int32]) -> None:
        """The lengths of vectors mixed with their neighbours', for these rows and their neighbours."""
        if not rows:
            return
        beside = links[np.asarray(rows)][:, BESIDE]
        touched = np.unique(np.concatenate([rows, beside[beside >= 0]])).astype(np.int64)
        touched = touched[(links[touched][:, BESIDE] >= 0).any(axis=1)]
        for start in range(0, len(touched), CHUNK):
            part = touched[start : start + CHUNK]
            mixed = self._vectors.array[part].astype(np.float32)
            for column in BESIDE:
                other = links[part, column]
                mixed += NEIGHBOUR_SHARE * self._vectors.array[other] * (other >= 0)[:, None]
            self._mixed_norm.array[part] = np.maximum(np.linalg.norm(mixed, axis=1), 1e-6)

    @property
    def mixed_norm(self) -> Floats:
        """The lengths of vectors mixed with their neighbours'. Shape: (rows,)."""
        return self._mixed_norm.values

    def cosines(self, query: Halves) -> Floats:
        """With a unit vector. Shape: (rows,); 0 where a vector is missing."""
        import numkong  # late: 4 MB that only a remote embedder needs

        if not self._vectors.size:
            return np.zeros(0, np.float32)
        found = numkong.cdist(self._vectors.values, query[None], "dot")
        return np.asarray(found, np.float32).reshape(-1)

    def present(self) -> NDArray[np.bool_]:
        """Which rows have their vector."""
        return self._present.values

    def surrounded(self, links: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which rows have their own vector and those of both neighbours, where there are any."""
        return _surrounded(self._present.values, links)


def _surrounded(present: NDArray[np.bool_], links: NDArray[np.int32]) -> NDArray[np.bool_]:
    known = np.append(present, np.True_)  # the sentinel behind the last row is no neighbour
    whole: NDArray[np.bool_] = known[:-1] & known[links[:, BESIDE]].all(axis=1)
    return whole
