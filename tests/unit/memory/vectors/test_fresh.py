"""How long a search waits for its vector index to be brought up to date."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.projections import vectors
from memdeck_daemon.memory.projections.vectors import VectorIndexes
from tests.fakes.clock import ManualClock


class Hanging:
    """A database that does not answer until it is told to; then it fails."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()

    def connection(self) -> "Hanging":
        """As the database's; nobody gets one."""
        return self

    async def __aenter__(self) -> Any:
        """Waits, and fails."""
        self.asked += 1
        await self.go.wait()
        raise ConnectionError

    async def __aexit__(self, *_: object) -> None:
        """Never entered."""


async def test_an_index_that_is_not_up_to_date_in_time_is_done_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each search gives up by itself; all of them ask the database once, and what it says is not lost on the next one."""
    monkeypatch.setattr(vectors, "PATIENCE", 0.05)
    database = Hanging()
    indexes = VectorIndexes(cast("Any", database), lambda: None, cast("Any", None), "v", 0, ManualClock())
    index = cast("Any", SimpleNamespace(owner=Identifier("user", "alice"), space=1, generation=3))
    async with asyncio.timeout(1.0):
        assert [False] * 3 == list(await asyncio.gather(*(indexes.fresh(index, 4) for _ in range(3))))
    assert await indexes.fresh(index, 3)
    assert 1 == database.asked
    running = indexes._turns["user:alice", 1].running
    assert running is not None
    database.go.set()
    with pytest.raises(ConnectionError):
        await running
