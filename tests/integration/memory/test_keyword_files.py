"""The files of the keyword index, and who writes them."""

from pathlib import Path
from typing import Any

import pytest

from memdeck_daemon.memory.lexical.index import LexicalIndex


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
