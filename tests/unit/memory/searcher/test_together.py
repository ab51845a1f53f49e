"""Searches in a remote space that come together are answered as if each had come alone."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.recall.big import BigOwners
from memdeck_daemon.memory.recall.block import Line, prepare
from memdeck_daemon.memory.searcher.engine import Engine
from memdeck_daemon.memory.searcher.process import Process
from memdeck_daemon.memory.searcher.wire import Answered, Asking
from memdeck_daemon.memory.vectors.coding import Projection, coded
from memdeck_daemon.memory.vectors.files import Manifest
from memdeck_daemon.memory.vectors.index import VectorIndex
from memdeck_daemon.memory.vectors.lists import Lists, assigned, centres
from memdeck_daemon.memory.vectors.rows import Rows

Halves = NDArray[np.float16]
WIDTH, SPACE, SEALED = 32, 2, 300
OWNER = Identifier("user", "alice")
AT = datetime(2026, 1, 1, tzinfo=UTC)


def unit(count: int, seed: int = 1) -> Halves:
    """Vectors in all directions."""
    wide = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    halves: Halves = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float16)
    return halves


def line(number: int, vector: Halves | None, run: str | None) -> Line:
    return Line(
        uuid.UUID(int=(number << 64) | 7), f"tea number{number}", np.ones(4, np.float32), AT, run=run,
        arrival=number if run else None, primary=vector,
    )  # fmt: skip


def index(vectors: Halves, run: str | None) -> VectorIndex:
    """All of them in files."""
    rows = Rows()
    rows.load(prepare([line(number, one, run) for number, one in enumerate(vectors, 1)]))
    rows["present"][:] = True
    rows.settle()
    rows.link()
    projection = Projection(np.eye(WIDTH, dtype=np.float32))
    flat = projection.flat(vectors)
    middles, small = centres(flat, len(flat), lambda: False), coded(flat)
    lists = Lists.of(middles, assigned(flat, middles), small.codes, small.scales, np.arange(len(flat)))
    manifest = Manifest(str(OWNER), SPACE, WIDTH, "here", 1, 1, len(flat), len(flat), 0, "", [])
    file: Any = SimpleNamespace(values=vectors, nbytes=0)
    made = VectorIndex.of(Path("nowhere"), OWNER, manifest, rows, file, projection, lists, now=0.0)
    made.generation = 1
    return made


def asking(vector: Halves, number: int = 0) -> Asking:
    return Asking(
        kind="user", value="alice", space=SPACE, query="tea", terms=["tea"], top_k=5, threshold=0.0, today=None,
        explain=False, generation=1, local=b"", primary=vector.tobytes(), factor=1.0, offset=0.0, filter=None,
        number=number,
    )  # fmt: skip


def engine(made: VectorIndex) -> Engine:
    """Without a keyword index, which says so in each answer."""
    nothing: Any = None
    words: Any = SimpleNamespace(position=None)
    vectors: Any = SimpleNamespace(of=lambda owner, _space: made if owner == OWNER else None)
    return Engine(vectors, BigOwners(nothing, words))


def ids(found: Answered | None) -> list[int]:
    """The numbers of the memories, best first."""
    assert found is not None
    assert "found" == found.state
    return [int.from_bytes(found.ids[start : start + 8], "big") for start in range(0, len(found.ids), 16)]


def changed(made: VectorIndex) -> None:
    """Some are gone from the lists, some are in memory alone, one waits for its vector."""
    for number in (5, 6, SEALED):
        made.rows.bury(uuid.UUID(int=(number << 64) | 7))
    nothing = np.zeros((0, WIDTH), np.float32)
    made.seal(made.view.lists.extended(nothing, np.zeros(0, np.int64), ~made.rows["dead"]))
    added = unit(20, seed=2)
    made.put(prepare([line(1_000 + n, one, "new" if n % 2 else None) for n, one in enumerate(added)]))


@pytest.fixture(params=["one run", "no runs"])
def made(request: pytest.FixtureRequest) -> VectorIndex:
    return index(unit(SEALED), "run" if request.param == "one run" else None)


def test_a_memory_is_found_by_its_own_vector(made: VectorIndex) -> None:
    """Also where no candidate has a neighbour: there is nothing to compare then."""
    assert 12 == ids(engine(made).at_once([asking(unit(SEALED)[11])])[0])[0]


def test_a_new_memory_is_found_where_only_new_ones_have_neighbours() -> None:
    made, added = index(unit(SEALED), None), unit(2, seed=2)
    made.put(prepare([line(1_000 + number, one, "new") for number, one in enumerate(added)]))
    assert 1_001 == ids(engine(made).at_once([asking(added[1])])[0])[0]


def test_codes_say_nearly_what_vectors_say(made: VectorIndex) -> None:
    """Of sealed rows, whose places in the lists changed, and of new ones."""
    changed(made)
    rows = np.flatnonzero(~made.rows["dead"])
    (aim,) = made.view.aims([unit(1, seed=3)[0]])
    assert np.abs(made.view.about(rows, aim) - made.cosines(rows, aim.whole)).max() < 0.01
    assert np.abs(made.view.lists.centroids @ aim.flat - aim.near).max() < 0.01
    assert 0 == len(made.view.about(rows[:0], aim))


def test_a_neighbour_that_died_unseen_fails_nobody(made: VectorIndex) -> None:
    """As after a save that a kill met half-way: its code is gone, a link to it is not."""
    made.rows["dead"][SEALED - 1] = True
    nothing = np.zeros((0, WIDTH), np.float32)
    made.seal(made.view.lists.extended(nothing, np.zeros(0, np.int64), ~made.rows["dead"]))
    assert SEALED - 1 == ids(engine(made).at_once([asking(unit(SEALED)[SEALED - 2])])[0])[0]


def test_answers_of_many_are_those_of_each(made: VectorIndex) -> None:
    """In the order of the questions, those without an index and those that need the database among them."""
    changed(made)
    questions = [asking(one, number) for number, one in enumerate(unit(9, seed=4))]
    questions[3] = msgspec.structs.replace(questions[3], value="nobody")
    questions[6] = msgspec.structs.replace(questions[6], generation=2)
    together = engine(made).at_once(questions)
    assert [6] == [number for number, one in enumerate(together) if one is None]
    assert ["none"] == [one.state for one in together if one is not None and one.state != "found"]
    for question, answer in zip(questions, together, strict=True):
        (alone,) = engine(made).at_once([question])
        if answer is not None and alone is not None:
            assert (question.number, alone.ids) == (answer.number, answer.ids)
            assert alone.totals == pytest.approx(answer.totals, abs=1e-5)


class Sent:
    """What the process answers, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[list[Any]] = []

    def send(self, *replies: Any) -> None:
        self.pieces.append(list(replies))

    def answers(self) -> Iterator[Answered]:
        """In the order in which they were sent."""
        return (one for piece in self.pieces for one in piece)


def process_with(made: VectorIndex) -> tuple[Process, Sent]:
    process, sent = Process(), Sent()
    unusual: Any = sent
    process._engine, process._channel = engine(made), unusual
    return process, sent


def test_what_is_read_in_one_piece_is_answered_in_few(made: VectorIndex) -> None:
    process, sent = process_with(made)
    for number, one in enumerate(unit(11, seed=4)):
        process._received(asking(one, number))
    assert not sent.pieces
    process._ask()
    assert [8, 3] == [len(piece) for piece in sent.pieces]
    assert list(range(11)) == [one.number for one in sent.answers()]
    assert {"found"} == {one.state for one in sent.answers()}


def test_a_question_that_fails_takes_no_other_with_it(
    made: VectorIndex, caplog: pytest.LogCaptureFixture
) -> None:
    """Its vector is of another length than those of the index."""
    process, sent = process_with(made)
    for number, one in enumerate(unit(3, seed=4)):
        process._received(asking(one[: WIDTH - number % 2], number))
    process._ask()
    assert [(0, "found"), (1, "none"), (2, "found")] == [(one.number, one.state) for one in sent.answers()]
    assert "one by one" in caplog.text
