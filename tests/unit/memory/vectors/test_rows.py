"""A big owner's memories as columns: who is where, who is beside whom, and what a block of them says."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from memdeck_daemon.memory.lexical.reader import id_key
from memdeck_daemon.memory.lexical.tokens import key_of
from memdeck_daemon.memory.recall.block import STEPS, Block, Line, prepare
from memdeck_daemon.memory.vectors.coding import Projection
from memdeck_daemon.memory.vectors.files import VECTORS, Manifest, VectorFile, read, write
from memdeck_daemon.memory.vectors.lists import Lists
from memdeck_daemon.memory.vectors.rows import Rows, distinct

AT = datetime(2026, 3, 1, tzinfo=UTC)
IDS = [uuid.UUID(int=(n << 64) | (n * 7919)) for n in range(1, 9)]
TEXTS = ("red apple", "green pear tree", "blue plum", "red cherry", "a fig", "a date", "lime", "kiwi")


def lines(first: int, last: int) -> list[Line]:
    """Of two runs: the first four turns, then the others."""
    return [
        Line(
            IDS[n], TEXTS[n], np.zeros(256, np.float32), AT, actor="Ann" if n % 2 else None,
            run="one" if n < 4 else "two", arrival=n % 4 + 1,
        )
        for n in range(first, last)
    ]  # fmt: skip


def loaded_and_added() -> Rows:
    """Six rows as they come from the disk, two that were written after."""
    rows = Rows()
    rows.load(prepare(lines(0, 6)))
    rows.settle()
    rows.link()
    rows.append(prepare(lines(6, 8)))
    return rows


def test_a_memory_is_found_whether_it_was_loaded_or_added() -> None:
    rows = loaded_and_added()
    assert list(range(8)) == [rows.row_of(one) for one in IDS]
    assert rows.row_of(uuid.uuid4()) is None
    keys = np.array([id_key(one) for one in (IDS[7], uuid.uuid4(), IDS[2])], np.uint64)
    assert {2, 7} == set(rows.rows_of(keys).tolist())


def test_links_are_those_of_a_block() -> None:
    """As the hot set has them, which links one row after the other."""
    block = Block()
    block.extend(prepare(lines(0, 8)))
    assert np.array_equal(block.links.values, loaded_and_added()["links"])


def test_a_changed_memory_has_one_living_row() -> None:
    rows = loaded_and_added()
    rows.append(prepare(lines(1, 2)))
    assert (8, 8, True) == (rows.row_of(IDS[1]), rows.live, bool(rows["dead"][1]))
    assert [8, 0] == [rows["links"][0][2], rows["links"][8][1]]
    rows.bury(IDS[1])
    assert rows.row_of(IDS[1]) is None
    assert -1 == rows["links"][0][2]


def test_a_block_of_some_rows_says_what_they_say() -> None:
    rows = loaded_and_added()
    block, _ = rows.block(np.array([0, 1, 3, 6]), "user:u")
    whole = Block()
    whole.extend(prepare(lines(0, 8)))
    assert [IDS[0], IDS[1], IDS[3], IDS[6]] == list(block.ids)
    assert [1, -1] == [block.links.values[0][STEPS.index(1)], block.links.values[2][STEPS.index(-1)]]
    assert [key_of("red")] == [
        key for key, row in zip(block.token_key.values, block.token_row.values, strict=True) if row == 2
    ][1:2]
    assert block.terms.values.tolist() == whole.terms.values[[0, 1, 3, 6]].tolist()
    assert {"Ann": 1} == block.actors
    assert [0, 1, 1, 0] == block.actor.values.tolist()
    assert 2 == len(set(block.run.values.tolist()))


def test_rows_that_say_a_word_are_found_from_a_row_on() -> None:
    rows = loaded_and_added()
    assert [0, 3] == rows.saying(0, [key_of("red")]).tolist()
    assert [3] == rows.saying(1, [key_of("red")]).tolist()
    assert [] == rows.saying(8, [key_of("red")]).tolist()


def test_distinct_sorts() -> None:
    assert [1, 2, 5] == distinct(np.array([5, 1, 2, 5, 1])).tolist()
    assert [] == distinct(np.zeros(0, np.int64)).tolist()


def test_a_block_of_no_rows_is_empty() -> None:
    """A filter may let no candidate pass."""
    block, records = loaded_and_added().block(np.zeros(0, np.int64), "user:u")
    assert (0, 0, False, {}) == (len(block), len(records), block.linked, block.runs)
    assert [] == block.places([])


def test_a_block_without_runs_numbers_none() -> None:
    rows = Rows()
    rows.load(prepare([Line(IDS[n], TEXTS[n], np.zeros(256, np.float32), AT) for n in range(3)]))
    rows.settle()
    block, _ = rows.block(np.arange(3), "user:u")
    assert ([0, 0, 0], {}) == (block.run.values.tolist(), block.runs)
    assert [("user:u", IDS[2]), ("user:u", IDS[0])] == block.places([2, 0])


def test_a_link_to_a_memory_that_died_during_a_save_is_cut(tmp_path: Path) -> None:
    """Links are put down before the dead: one that died in between is linked by a neighbour in the file."""
    rows, nothing = loaded_and_added(), np.zeros((0, 4), np.float32)
    rows.settle()
    rows["dead"][1] = True
    file = VectorFile(tmp_path / VECTORS, 4)
    with file.appending():
        file.append(np.ones((8, 4), np.float16))
    lists = Lists.of(
        nothing, np.zeros(0, np.int32), nothing.astype(np.int8), nothing[:, 0], np.zeros(0, np.int64)
    )
    manifest = Manifest("user:u", 1, 4, "here", 1, 1, 8, 8, file.checksum, "", ["Ann"])
    write(tmp_path, manifest, rows, Projection(np.eye(4, dtype=np.float32)), lists)
    _, found, *_ = read(tmp_path, lambda: False)
    assert 1 in rows["links"][0]
    assert 1 not in found["links"]
    assert 2 in found["links"][0]
