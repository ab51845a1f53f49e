"""What the keyword index says counts for the database that it was made of."""

from collections import deque
from functools import partial
from types import SimpleNamespace
from typing import Any

from memdeck_daemon.memory.lexical.reader import Watermark
from memdeck_daemon.memory.recall.big import Spoken, _tail
from memdeck_daemon.memory.vectors.index import VectorIndex

HERE, BEFORE = "the lineage of the database", "the one that was there before a restore"


def index() -> Any:
    """As much of a vector index as is looked at: two rows are behind what is saved."""
    rows = SimpleNamespace(saying=lambda first, _terms: ("rows from", first))
    found: Any = SimpleNamespace(
        lineage=HERE, tail_after=(5, 0), tail=deque([(6, 1, 100), (7, 2, 101)]), rows=rows
    )
    found.forget_tail = partial(VectorIndex.forget_tail, found)
    return found


def test_it_is_whole_where_it_has_read_as_far_as_the_tail_reaches() -> None:
    assert Spoken(position=Watermark(HERE, 5, 0)).whole(index())
    assert not Spoken(position=Watermark(HERE, 4, 9)).whole(index())
    assert not Spoken().whole(index())


def test_a_position_of_another_lineage_says_nothing() -> None:
    """Its numbers are those of other transactions: the tail would be forgotten, and the answer taken for whole."""
    vectors = index()
    assert not Spoken(position=Watermark(BEFORE, 9, 9)).whole(vectors)
    _tail(vectors, Watermark(BEFORE, 9, 9), ["word"])
    assert ("rows from", 101) == _tail(vectors, Watermark(HERE, 6, 1), ["word"])
