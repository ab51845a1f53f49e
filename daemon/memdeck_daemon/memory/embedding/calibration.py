"""Makes cosines of different spaces compare.

Owns the mapping and its estimate. Models differ most in how near they hold memories that have nothing to do with each
other: a mean cosine of 0.05 in one space and of 0.7 in another. The mapping is the straight line through two points that
mean the same everywhere: equal texts (1 to 1), and unrelated ones (the mean of the space to the mean of the local space).
Weights and thresholds were found in the local space, so that is the scale. Both means are taken over the same memories.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.embedding.local import SPACE_ID as LOCAL

Floats = NDArray[np.float32]
LEAST: Final = 32
"""Memories from which an estimate says something."""
HIGHEST: Final = 0.95
"""A mean above this says that the sample was no mixture."""


def background(vectors: Floats) -> float | None:
    """The mean cosine of all pairs of unit vectors, shape (n, dimensions); None when there are too few."""
    count = len(vectors)
    if count < LEAST:
        return None
    total = vectors.sum(axis=0, dtype=np.float64)
    mean = (float(total @ total) - count) / (count * (count - 1))
    return min(max(mean, 0.0), HIGHEST)


def scale(backgrounds: dict[int, float | None], space_id: int) -> tuple[float, float]:
    """Factor and offset that turn a cosine of the space into one of the local space; 1 and 0 while that is not known."""
    own, local = backgrounds.get(space_id), backgrounds.get(LOCAL)
    if own is None or local is None:
        return 1.0, 0.0
    factor = (1.0 - local) / (1.0 - own)
    return factor, 1.0 - factor
