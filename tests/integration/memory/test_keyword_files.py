"""The files of the keyword index, and who writes them."""

import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from memdeck_daemon.memory.lexical import index as lexical
from memdeck_daemon.memory.lexical.index import Changes, Entry, LexicalIndex
from memdeck_daemon.memory.lexical.reader import META, Watermark
from memdeck_daemon.memory.model import Identifier

OWNER = Identifier("user", "alice")


class Loaded:
    """A writer to which much was given that it has not written down."""

    def __init__(self, *, broken: bool) -> None:
        self.broken, self.given_up = broken, False

    def rollback(self) -> None:
        """Forget it."""
        self.given_up = True
        if self.broken:
            raise ValueError


@pytest.mark.parametrize("broken", [False, True])
async def test_what_was_loaded_is_forgotten_and_not_written_down_first(tmp_path: Path, broken: bool) -> None:
    """A writer that is just let go of writes, and holds Python's lock meanwhile: up to a second for a large load."""
    index, writer = LexicalIndex(tmp_path / "index"), Loaded(broken=broken)
    unusual: Any = writer
    index._writer = unusual
    await index.clear()
    assert writer.given_up
    assert index._writer is None
    assert 0 == index.held
    index.close()


def committed(index: LexicalIndex) -> list[object]:
    """The segments of the last commit, as they stand on the disk."""
    found: list[object] = msgspec.json.decode((index.path / META).read_bytes())["segments"]
    return found


@pytest.mark.parametrize("expected", [799, 800, 803])
async def test_a_large_load_ends_as_one_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: int
) -> None:
    """A search looks into each of them. It may be some memories more or fewer than were expected."""
    monkeypatch.setattr(lexical, "WORTH_PARTS", 500)
    index = LexicalIndex(tmp_path / "index")
    await index.clear(expected)
    before = len(committed(index))
    entries = [Entry(uuid.UUID(int=(number << 64) | 7), (OWNER,), ("tea",)) for number in range(801)]
    for first in range(0, len(entries), 30):
        await index.load(entries[first : first + 30])
        assert index.position is None
    # What they leave are segments whose names only `meta.json` tells; with the last one tantivy merges all eight.
    assert lexical.PARTS - 1 == len(committed(index)) - before
    await index.apply(Changes(), Watermark("here", 1, 1))
    assert 1 == index._searcher.num_segments
    assert len(entries) == index.documents == index.held
    # The ids differ in their upper halves alone, as those of version 1 do that one machine made.
    found = index.search(OWNER, index.weights(OWNER, ["tea"], len(entries)), len(entries))
    assert {entry.id for entry in entries} == found.keys()
    assert len(entries) == len(set(index.keys(OWNER, index.weights(OWNER, ["tea"], 801), 801).tolist()))
    index.close()
