"""Scoring in the primary space, beside the local one."""

import uuid
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from memdeck_daemon.memory.embedding.local import DIMENSIONS
from memdeck_daemon.memory.embedding.queries import RemoteQuery
from memdeck_daemon.memory.recall.block import Block, Line, prepare
from memdeck_daemon.memory.recall.fusion import Asked, score
from memdeck_daemon.memory.recall.primary import NEIGHBOUR_SHARE, PrimaryVectors

WIDTH = 24
RANDOM = np.random.default_rng(3)


def unit(width: int) -> NDArray[np.float32]:
    vector = RANDOM.standard_normal(width)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def line(number: int, *, primary: bool = True, run: str | None = "r") -> Line:
    return Line(
        id=uuid.UUID(int=number),
        text=f"text {number}",
        vector=unit(DIMENSIONS),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        run=run,
        arrival=number if run else None,
        owner="user:u",
        primary=unit(WIDTH).astype(np.float16) if primary else None,
    )


def block_of(*lines: Line) -> Block:
    block = Block(PrimaryVectors(2, WIDTH))
    block.extend(prepare(lines))
    return block


def asked(
    query: NDArray[np.float32] | None, factor: float = 1.0, offset: float = 0.0, space: int = 2
) -> Asked:
    remote = (
        None if query is None else RemoteQuery(space, query.astype(np.float16), factor, offset, complete=True)
    )
    return Asked(terms=[], vector=unit(DIMENSIONS), today=None, primary=remote)


def test_cosines_are_those_of_the_primary_space() -> None:
    """Of each row, and of its vector mixed with its neighbours'."""
    lines = [line(number) for number in range(6)]
    query = unit(WIDTH)
    scores = score(block_of(*lines), asked(query))
    vectors = np.stack([one.primary for one in lines if one.primary is not None]).astype(np.float32)
    mixed = vectors.copy()
    mixed[1:] += NEIGHBOUR_SHARE * vectors[:-1]
    mixed[:-1] += NEIGHBOUR_SHARE * vectors[1:]
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    assert np.allclose(vectors @ query, scores.cosine, atol=2e-3)
    assert np.allclose(mixed @ query, scores.raw["neighbour_cosine"], atol=2e-3)


def test_calibration_is_applied() -> None:
    """So that scores compare with those of the local space."""
    lines, query = [line(number, run=None) for number in range(4)], unit(WIDTH)
    plain = score(block_of(*lines), asked(query)).cosine
    assert np.allclose(0.5 * plain + 0.5, score(block_of(*lines), asked(query, 0.5, 0.5)).cosine)


def test_rows_without_a_vector_are_scored_in_the_local_space() -> None:
    """Their neighbours' mixture as well; rows further away are not touched."""
    lines = [line(0), line(1), line(2, primary=False), line(3), line(4)]
    question = asked(unit(WIDTH))
    mixed = score(block_of(*lines), question)
    local = score(block_of(*lines), Asked(terms=[], vector=question.vector, today=None))
    same = np.isclose(mixed.cosine, local.cosine)
    around = np.isclose(mixed.raw["neighbour_cosine"], local.raw["neighbour_cosine"])
    assert [False, False, True, False, False] == same.tolist()
    assert [False, True, True, True, False] == around.tolist()


def test_late_vectors_make_the_block_as_if_they_had_been_there() -> None:
    """Whatever order they come in."""
    lines, query = [line(number) for number in range(5)], unit(WIDTH)
    late = block_of(
        *(Line(**{f: getattr(one, f) for f in Line.__slots__} | {"primary": None}) for one in lines)
    )
    assert late.primary is not None
    for one in reversed(lines):
        assert one.primary is not None
        late.primary.fill([(one.id, one.primary)], late.links.values)
    assert not late.primary.missing
    question = asked(query)
    assert np.allclose(score(block_of(*lines), question).total, score(late, question).total, atol=1e-3)


@pytest.mark.parametrize("question", [asked(None), asked(unit(WIDTH), space=3)])
def test_without_a_query_of_the_same_space_the_local_one_answers(question: Asked) -> None:
    """A switch between the embedding of the query and the scoring does no harm."""
    block = block_of(*(line(number) for number in range(3)))
    assert np.allclose(block.vectors.values @ question.vector, score(block, question).cosine)


def test_bytes_of_the_vectors_are_counted() -> None:
    """The hot set's bound holds for them as well."""
    bare, whole = Block(), block_of(line(1))
    bare.extend(prepare([line(1)]))
    assert whole.nbytes - bare.nbytes >= 2 * WIDTH
