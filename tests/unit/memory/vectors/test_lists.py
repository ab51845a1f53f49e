"""Codes keep the order of what they stand for, and lists find near ones without looking at all."""

import numpy as np
import pytest

from memdeck_daemon.memory.vectors.coding import Floats, coded, learnt
from memdeck_daemon.memory.vectors.lists import Lists, Stopped, assigned, centres


def unit(rows: int, width: int, seed: int = 1) -> Floats:
    """Vectors around a few centres."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((20, width)).astype(np.float32)
    found: Floats = middles[rng.integers(0, 20, rows)] + 0.6 * rng.standard_normal((rows, width)).astype(
        np.float32
    )
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def lists_of(flat: Floats) -> Lists:
    small, middles = coded(flat), centres(flat, len(flat), lambda: False)
    return Lists.of(middles, assigned(flat, middles), small.codes, small.scales, np.arange(len(flat)))


def test_a_code_stands_for_its_vector() -> None:
    """To a half of the smallest step."""
    flat = unit(50, 32)
    small = coded(flat)
    steps = small.scales[:, None]
    assert np.all(np.abs(small.codes * steps - flat) <= steps / 2 + 1e-6)
    assert np.all(coded(np.zeros((2, 8), np.float32)).codes == 0)


def test_few_directions_are_learnt_where_few_matter() -> None:
    rng = np.random.default_rng(2)
    low = unit(1_000, 40)
    basis = rng.standard_normal((40, 300)).astype(np.float32)
    wide = low @ basis
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    projection = learnt(wide)
    assert 128 == projection.width
    assert np.allclose(
        wide[0] @ wide[1], projection.flat(wide[:1])[0] @ projection.flat(wide[1:2])[0], atol=1e-3
    )


def test_vectors_of_few_dimensions_stay_as_they_are() -> None:
    flat = unit(200, 64)
    assert np.array_equal(flat, learnt(flat).flat(flat))


def test_the_nearest_are_proposed() -> None:
    flat = unit(9_000, 32)
    lists = lists_of(flat)
    for query in unit(10, 32, seed=5):
        wanted = set(np.argsort(-(flat @ query))[:10].tolist())
        assert len(wanted & set(lists.nearest(query, 60).tolist())) >= 9


def test_an_extension_holds_new_rows_and_not_the_dead() -> None:
    flat = unit(600, 32)
    lists = lists_of(flat)
    kept = np.ones(602, np.bool_)
    kept[[0, 5]] = False
    more = lists.extended(flat[:2], np.array([600, 601]), kept)
    assert {*range(602)} - {0, 5} == set(more.rows.tolist())
    assert 601 in more.nearest(flat[1], 10)


def test_it_can_be_stopped() -> None:
    with pytest.raises(Stopped):
        centres(unit(100, 8), 100, lambda: True)
