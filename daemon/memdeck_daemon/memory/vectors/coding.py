"""Vectors in few bytes.

Owns the projection: the directions in which the vectors of one owner differ most (principal components, not centred, so
that inner products are kept), found on a sample, as many as it takes to rank that sample nearly as the whole vectors do.
What is projected is rounded to bytes, each vector to its own scale. Codes propose and do not decide: what is found for its
own vector was compared by its whole vector. How near its neighbours are, a part of a part of its score, the codes say.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.int8]

SAMPLE: Final = 20_000
"""Vectors from which the directions are learnt."""
WIDTHS: Final = (128, 192, 256, 384, 512)
"""Dimensions that are tried, fewest first."""
TRIALS: Final = 200
NEAREST: Final = 10
PROPOSED: Final = 60
FAITHFUL: Final = 0.99
"""Share of the nearest `NEAREST` that must be among the `PROPOSED` nearest by code; the first width that reaches it is taken."""
STEEPEST: Final = 127.0


@dataclass(frozen=True, slots=True)
class Coded:
    """Codes and the scale of each: `scale · code` is about the projected vector."""

    codes: Codes
    scales: Floats


@dataclass(frozen=True, slots=True)
class Projection:
    """From vectors to fewer dimensions."""

    matrix: Floats
    """Shape (dimensions, width)."""

    @property
    def width(self) -> int:
        """Bytes of a code."""
        return int(self.matrix.shape[1])

    def flat(self, vectors: NDArray[Any]) -> Floats:
        """Projected, shape (rows, width)."""
        projected: Floats = vectors.astype(np.float32, copy=False) @ self.matrix
        return projected


def coded(flat: Floats) -> Coded:
    """One code a row."""
    scales = np.maximum(np.abs(flat).max(axis=1, initial=0), 1e-9) / np.float32(STEEPEST)
    return Coded(np.rint(flat / scales[:, None]).astype(np.int8), scales.astype(np.float32))


def products(codes: Codes, code: Codes) -> NDArray[np.int32]:
    """The inner product of each code with one, shape (1, width)."""
    import numkong  # late: 4 MB that only big owners need

    if not len(codes):  # which it refuses
        return np.zeros(0, np.int32)
    # As the integers that they are: in its default, double precision, it takes twice as long.
    found = numkong.cdist(codes, code, "dot", out_dtype="int32")  # type: ignore[arg-type]  # its stub lacks integers
    return np.asarray(found).reshape(-1)


def inner(codes: Codes, scales: Floats, point: Floats) -> Floats:
    """About the inner products of what some codes and their scales stand for with a projected vector. Shape: (rows,)."""
    small = coded(point[None])
    found: Floats = products(codes, small.codes) * scales * small.scales
    return found


def learnt(sample: NDArray[Any]) -> Projection:
    """The projection for vectors like these, shape (rows, dimensions); seconds of work for a thread."""
    wide = sample.astype(np.float32)
    dimensions = wide.shape[1]
    _, directions = np.linalg.eigh(wide.T @ wide)
    truth = _nearest(wide, wide[:TRIALS], NEAREST)
    for width in WIDTHS:
        if width >= dimensions:
            break
        one = Projection(np.ascontiguousarray(directions[:, -width:]))
        if _faithful(one, wide, truth) >= FAITHFUL:
            return one
    return Projection(np.eye(dimensions, dtype=np.float32))


def _nearest(rows: Floats, queries: Floats, count: int) -> NDArray[np.int64]:
    cosines = queries @ rows.T
    cosines[np.arange(len(queries)), np.arange(len(queries))] = -2  # itself
    count = min(count, len(rows))
    found: NDArray[np.int64] = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    return found


def _faithful(projection: Projection, rows: Floats, truth: NDArray[np.int64]) -> float:
    small = coded(projection.flat(rows))
    near = small.codes.astype(np.float32) * small.scales[:, None]
    proposed = _nearest(near, near[: len(truth)], PROPOSED)
    kept = [np.isin(wanted, found).mean() for wanted, found in zip(truth, proposed, strict=True)]
    return float(np.mean(kept))
