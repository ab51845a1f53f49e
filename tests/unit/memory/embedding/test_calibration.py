"""Cosines of two spaces compare."""

import numpy as np
import pytest
from numpy.typing import NDArray

from memdeck_daemon.memory.embedding.calibration import LEAST, background, scale


def cluster(mean: float, count: int = 400, width: int = 512) -> NDArray[np.float32]:
    """Unit vectors whose mutual cosines are `mean` on average."""
    noise = np.random.default_rng(1).standard_normal((count, width))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    common = np.zeros(width)
    common[0] = 1.0
    vectors = np.sqrt(mean) * common + np.sqrt(1 - mean) * noise
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.mark.parametrize("mean", [0.05, 0.3, 0.7])
def test_background_is_the_mean_cosine_of_pairs(mean: float) -> None:
    """As counting all pairs would find it."""
    vectors = cluster(mean)
    pairs = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    assert pytest.approx(float(pairs.mean()), abs=1e-4) == background(vectors)


def test_background_of_few_is_not_known() -> None:
    """A handful of memories is about one thing."""
    assert background(cluster(0.3, LEAST - 1)) is None


def test_unrelated_and_equal_texts_mean_the_same_in_every_space() -> None:
    """A space that holds everything near maps to the same scale."""
    factor, offset = scale({1: 0.1, 2: 0.7}, 2)
    assert pytest.approx([0.1, 1.0]) == [factor * cosine + offset for cosine in (0.7, 1.0)]


@pytest.mark.parametrize("known", [{}, {1: 0.1}, {2: 0.7}, {1: None, 2: 0.7}])
def test_without_estimates_cosines_stay_as_they_are(known: dict[int, float | None]) -> None:
    """Of a new space nothing is known."""
    assert (1.0, 0.0) == scale(known, 2)
