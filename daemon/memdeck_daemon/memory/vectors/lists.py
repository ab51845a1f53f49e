"""Codes in lists of near ones, so that a search need not look at all.

Owns the lists: every row belongs to the one of the centroids that is nearest to it, the codes of a list lie side by side,
and a search scans the lists whose centroids are nearly as near as the nearest. How many that are depends on the question:
where memories crowd around it, many lists are about as near, and all of them are scanned; elsewhere a few are. Refuses to
decide which are near: it proposes rows, whose whole vectors are compared then.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.vectors.coding import Codes, Floats, coded, inner, products

Ints = NDArray[np.int64]

PER_ROOT: Final = 8.0
"""Lists, as a multiple of the square root of the rows."""
MOST_LISTS: Final = 4_096
"""Each search looks at all centroids."""
SAMPLED: Final = 32
"""Rows a list that the centroids are found from."""
ROUNDS: Final = 5
NEARLY: Final = 0.7
"""Lists are scanned whose centroids are at least this share as near as the nearest (docs/decisions/0008-vector-indexes.md)."""
LEAST_SCANNED: Final = 4_000
"""Codes that a search scans at least, about 0.05 ms."""
GATHERED: Final = 20_000
"""Codes up to which it is quicker to copy them together than to scan their lists one by one."""
MOST_SCANNED: Final = 100_000
"""Codes that a search scans at most, about 2 ms."""
SPARE: Final = 4
"""Lists that are looked at where few are nearly as near as the nearest, as a multiple of what it takes on average."""
TOGETHER: Final = 4_096
"""Rows that are compared with the centroids together."""
FIRST: Final = 8
"""The share of the scanned codes, nearest lists first, that says how near a code must be to be looked at again."""
SEED: Final = 8


class Stopped(Exception):
    """The daemon ends, or nobody wants the result any more."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Never changed; an extension is another one."""

    centroids: Floats
    starts: Ints
    """Where each list begins, and where the last one ends."""
    codes: Codes
    scales: Floats
    rows: NDArray[np.int32]
    places: NDArray[np.int32] = field(init=False)
    """Where the code of each row stands; of a row without one, anywhere."""
    halves: NDArray[np.float16] = field(init=False)
    """The centroids, in half precision: each search looks at all of them, and 2 MB would not stay in the cache."""

    def __post_init__(self) -> None:
        """`rows`, the other way round, and `halves`."""
        places = np.zeros(int(self.rows.max(initial=-1)) + 1, np.int32)
        places[self.rows] = np.arange(len(self.rows), dtype=np.int32)
        object.__setattr__(self, "places", places)
        object.__setattr__(self, "halves", self.centroids.astype(np.float16))

    @property
    def nbytes(self) -> int:
        """What they occupy."""
        arrays = (self.codes, self.scales, self.rows, self.places, self.centroids, self.halves)
        return sum(array.nbytes for array in arrays)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """All of it by name, to be put down."""
        return {name: getattr(self, name) for name in ("centroids", "starts", "codes", "scales", "rows")}

    @classmethod
    def of(
        cls, centroids: Floats, labels: NDArray[np.int32], codes: Codes, scales: Floats, rows: Ints
    ) -> Self:
        """From rows in any order, each with its list."""
        order = np.argsort(labels, kind="stable")
        sizes = np.bincount(labels, minlength=len(centroids))
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return cls(centroids, starts, codes[order], scales[order], rows[order].astype(np.int32))

    def extended(self, flat: Floats, rows: Ints, kept: NDArray[np.bool_]) -> "Lists":
        """With further rows, and without those that `kept` says (by row) are gone."""
        labels = np.repeat(np.arange(len(self.centroids), dtype=np.int32), np.diff(self.starts))
        stay, fresh = kept[self.rows], coded(flat)
        return Lists.of(
            self.centroids,
            np.concatenate([labels[stay], assigned(flat, self.centroids)]),
            np.concatenate([self.codes[stay], fresh.codes]),
            np.concatenate([self.scales[stay], fresh.scales]),
            np.concatenate([self.rows[stay].astype(np.int64), rows]),
        )

    def nearest(self, point: Floats, count: int, near: Floats | None = None) -> Ints:
        """About the `count` nearest rows to a projected vector, shape (width,), in no order.

        `near`: its inner products with the centroids, where they are known.
        """
        lists = self._near(self.towards(point[None])[0] if near is None else near)
        sizes = self.starts.take(lists + 1) - self.starts.take(lists)
        ends = np.cumsum(sizes)
        scores, places = self._scanned(point, lists, sizes, ends)
        return self.rows[places[_best(scores, count)]].astype(np.int64)

    def towards(self, points: Floats) -> Floats:
        """About the inner products of projected vectors with the centroids. Shape: (points, lists)."""
        import numkong  # late, as in `products`

        found = numkong.cdist(self.halves, points.astype(np.float16), "dot", out_dtype="float32")
        return np.ascontiguousarray(np.asarray(found).reshape(len(self.halves), len(points)).T)

    def about(self, point: Floats, rows: Ints) -> Floats:
        """About the inner products of rows, which have codes, with a projected vector. Shape: (rows,)."""
        # A row whose code is gone may be beyond the last one that has one: any other's does.
        places = self.places.take(rows, mode="clip")
        return inner(self.codes.take(places, axis=0), self.scales.take(places), point)

    def _near(self, near: Floats) -> Ints:
        """The lists to be scanned, nearest first: those nearly as near as the nearest, no fewer and no more than the limits."""
        nearest = near.max()
        nearly = np.flatnonzero(near >= NEARLY * nearest) if nearest > 0 else np.arange(len(near))
        held = self._held(nearly)
        if held < LEAST_SCANNED:
            # A few more than it takes, found without sorting all; where lists are of very different sizes, all.
            count = SPARE * (1 + LEAST_SCANNED * len(near) // max(1, len(self.rows)))
            nearly = np.argpartition(-near, count)[:count] if count < len(near) else np.arange(len(near))
            if self._held(nearly) < LEAST_SCANNED:
                nearly = np.arange(len(near))
        lists = nearly[np.argsort(-near.take(nearly))]
        if LEAST_SCANNED <= held <= MOST_SCANNED:
            return lists
        ends = np.cumsum(self.starts.take(lists + 1) - self.starts.take(lists))
        limit = LEAST_SCANNED if held < LEAST_SCANNED else MOST_SCANNED
        return lists[: int(np.searchsorted(ends, limit)) + 1]

    def _held(self, lists: Ints) -> int:
        """How many rows are in some lists."""
        return int((self.starts.take(lists + 1) - self.starts.take(lists)).sum())

    def _scanned(self, point: Floats, lists: Ints, sizes: Ints, ends: Ints) -> tuple[Floats, Ints]:
        """The inner products of all codes in some lists, and where these stand."""
        code, begins = coded(point[None]).codes, self.starts[lists]
        total = int(ends[-1]) if len(ends) else 0
        places = np.arange(total) + np.repeat(begins - ends + sizes, sizes)
        if total <= GATHERED:
            scores = products(self.codes.take(places, axis=0), code)
        else:
            parts = [
                products(self.codes[begin : begin + size], code)
                for begin, size in zip(begins.tolist(), sizes.tolist(), strict=True)
                if size
            ]
            scores = np.concatenate(parts)
        return scores.astype(np.float32) * self.scales.take(places), places


def _best(scores: Floats, count: int) -> Ints:
    """The places of the greatest scores, in no order."""
    if len(scores) <= count:
        return np.arange(len(scores))
    first = scores[: max(len(scores) // FIRST, count)]
    # Of nearly all it is enough to know that they are worse than what was found first.
    kept = np.flatnonzero(scores >= np.partition(first, len(first) - count)[len(first) - count])
    if len(kept) > count:
        kept = kept[np.argpartition(-scores[kept], count - 1)[:count]]
    return kept


def assigned(flat: Floats, centroids: Floats) -> NDArray[np.int32]:
    """The nearest centroid of each row."""
    found = [
        np.argmax(flat[start : start + TOGETHER] @ centroids.T, axis=1)
        for start in range(0, len(flat), TOGETHER)
    ]
    return np.concatenate(found).astype(np.int32) if found else np.zeros(0, np.int32)


def lists_for(rows: int) -> int:
    """How many lists so many rows are put into."""
    return min(MOST_LISTS, int(PER_ROOT * math.sqrt(rows)))


def centres(sample: Floats, rows: int, stopped: Callable[[], bool]) -> Floats:
    """Centroids for so many rows, of unit length: spherical k-means over a sample of them; seconds, for a thread.

    Raises:
        Stopped: half-way.
    """
    count = max(1, min(lists_for(rows), len(sample) // 4))
    random = np.random.default_rng(SEED)
    found = sample[random.choice(len(sample), count, replace=False)]
    for _ in range(ROUNDS):
        if stopped():
            raise Stopped
        found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
        labels = assigned(sample, found)
        sizes = np.bincount(labels, minlength=count)
        order = np.argsort(labels, kind="stable")
        starts = np.minimum(np.concatenate([[0], np.cumsum(sizes)[:-1]]), len(sample) - 1)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        spare = sample[random.choice(len(sample), count)]
        found = np.where(sizes[:, None] > 0, sums, spare)
    centroids: Floats = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    return np.ascontiguousarray(centroids, np.float32)
