"""Scoring a block: parts that sum, an order that holds, and neighbours that are found however memories arrive."""

import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memdeck_daemon.memory.embedding.local import DIMENSIONS
from memdeck_daemon.memory.lexical.tokens import query_terms
from memdeck_daemon.memory.recall.block import Block, Line, prepare
from memdeck_daemon.memory.recall.fusion import Asked, best, score
from memdeck_daemon.memory.recall.questions import NamedDate

few = settings(max_examples=30)
"""Each example scores a dozen memories; all unit tests together have ten seconds."""
WORDS = ("sunrise", "lake", "paint", "Why?", "yesterday", "x " * 150, "日本語", "🎨", "")


def vector(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    made = np.random.default_rng(seed).standard_normal(DIMENSIONS).astype(np.float32)
    made /= np.linalg.norm(made)
    return made


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    """Memories of a few runs with arrivals in any order and with gaps, and some without a run."""
    found = []
    for n in range(draw(st.integers(1, 12))):
        run = draw(st.sampled_from([None, "r1", "r2"]))
        found.append(
            Line(
                id=uuid.UUID(int=n),
                text=" ".join(draw(st.lists(st.sampled_from(WORDS), max_size=3))),
                vector=vector(draw(st.integers(0, 5))),
                created_at=datetime(2026, 5, 1, tzinfo=UTC) + timedelta(days=draw(st.integers(0, 20))),
                actor=draw(st.sampled_from([None, "Alice", "Bob"])),
                run=run,
                arrival=n + draw(st.integers(0, 1)) * 100 if run else None,
                expiration_date=draw(st.sampled_from([None, date(2026, 5, 5), date(2027, 1, 1)])),
                owner="user:u",
            )
        )
    return draw(st.permutations(found))


asked = st.builds(
    Asked,
    terms=st.lists(
        st.sampled_from(["sunris", "lake", "paint", "x", "nothing", "日本"]), max_size=4, unique=True
    ),
    vector=st.integers(0, 6).map(vector),
    today=st.sampled_from([None, date(2026, 6, 1).toordinal()]),
    actor=st.integers(0, 2),
    date=st.sampled_from(
        [None, NamedDate(5), NamedDate(5, 7), NamedDate(2, 30, 2026), NamedDate(12, None, 2026)]
    ),
    wants_time=st.booleans(),
)


def block_of(parts: Sequence[Sequence[Line]]) -> Block:
    block = Block()
    for part in parts:
        block.extend(prepare(part))
    return block


@few
@given(lines(), asked)
def test_parts_sum_to_a_score_between_0_and_1(found: list[Line], question: Asked) -> None:
    """For every memory and whatever was asked."""
    scores = score(block_of([found]), question)
    for row in range(len(found)):
        parts = scores.parts(row)
        assert sum(part.part for part in parts) == pytest.approx(float(scores.total[row]), abs=1e-5)
        assert 0 <= scores.total[row] <= 1.0001


@few
@given(lines(), asked, st.integers(0, 12))
def test_a_block_is_the_same_however_it_grew(found: list[Line], question: Asked, cut: int) -> None:
    """In one piece, in two, or memory by memory: neighbours find each other whoever came first."""
    whole, halves, single = (
        block_of([found]), block_of([found[:cut], found[cut:]]), block_of([[line] for line in found])
    )  # fmt: skip
    for other in (halves, single):
        for name in ("vectors", "links", "mixed_norm", "run", "actor", "token_key", "token_row", "expires"):
            np.testing.assert_allclose(getattr(whole, name).values, getattr(other, name).values, atol=1e-6)
        np.testing.assert_allclose(score(whole, question).total, score(other, question).total, atol=1e-6)
    expected = {
        (one.id, step): next((o.id for o in found if one.run and o.run == one.run and o.arrival == (one.arrival or 0) + step), None)
        for one in found
        for step in (-2, -1, 1, 2)
    }  # fmt: skip
    for row, links in enumerate(whole.links.values):
        for step, link in zip((-2, -1, 1, 2), links, strict=True):
            assert expected[whole.ids[row], step] == (whole.ids[link] if link >= 0 else None)


@few
@given(lines(), asked, st.integers(0, 64).map(lambda n: n / 64), st.integers(0, 15), st.data())
def test_the_best_are_those_that_pass(
    found: list[Line], question: Asked, threshold: float, top_k: int, data: st.DataObject
) -> None:
    """Allowed, not expired, above the threshold or a keyword hit; in order, and none better is left out."""
    block = block_of([found])
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found))))
    scores = score(block, question)
    rows = best(block, scores, question, threshold, top_k, allowed)
    passing = [
        row
        for row in range(len(found))
        if allowed[row]
        and (scores.keyword[row] or max(float(scores.cosine[row]), 0) >= threshold)
        and not (question.today and 0 < block.expires.values[row] < question.today)
    ]
    expected = sorted(passing, key=lambda row: (-scores.total[row], -row))[:top_k]
    assert [float(scores.total[row]) for row in expected] == [float(scores.total[row]) for row in rows]
    assert set(rows) <= set(passing)
    assert len(set(rows)) == len(rows)


def test_nothing_is_scored_quietly() -> None:
    """An owner without memories, a question without words."""
    empty = Block()
    question = Asked((), np.zeros(DIMENSIONS, np.float32), None, date=NamedDate(5))
    assert [] == best(empty, score(empty, question), question, 0.0, 10, None)
    wordless = block_of([[Line(uuid.UUID(int=1), "🎨", vector(1), datetime(2026, 1, 1, tzinfo=UTC))]])
    assert [0] == best(wordless, score(wordless, question), question, 0.0, 10, None)


def test_a_keyword_is_a_word_of_the_own_text() -> None:
    """That of a neighbour lifts the score but exempts nobody from the threshold."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    turns = [
        Line(uuid.UUID(int=n), text, vector(n), at, run="r", arrival=n, owner="o")
        for n, text in enumerate(["the sunrise", "quiet", "nothing", "far away"])
    ]
    scores = score(block_of([turns]), Asked(query_terms("sunrise"), vector(99), None))
    assert [True, False, False, False] == list(scores.keyword)
    bm25 = [next(part.raw for part in scores.parts(row) if part.feature == "bm25") for row in range(4)]
    assert bm25[0] > bm25[1] > bm25[2] > bm25[3] == 0
