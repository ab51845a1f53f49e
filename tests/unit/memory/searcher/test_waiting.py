"""How long a search waits for the search process."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.memory.searcher import client
from memdeck_daemon.memory.searcher.client import SearchProcess
from memdeck_daemon.memory.searcher.wire import Answered, Asking, Looked, VectorsLook
from tests.fakes.clock import ManualClock

ASKING = Asking(
    kind="user", value="alice", space=1, query="tea", terms=["tea"], top_k=5, threshold=0.0, today=None, explain=False,
    generation=None, local=b"", primary=b"", factor=1.0, offset=0.0, filter=None,
)  # fmt: skip
SOON = 1.0
"""Seconds within which nobody who does not wait comes back late."""


@dataclass
class Silent:
    """A channel that takes everything and says nothing."""

    sent: list[Any] = field(default_factory=list)

    def send(self, message: Any) -> bool:
        """Taken."""
        self.sent.append(message)
        return True


@pytest.fixture
def channel() -> Silent:
    return Silent()


@pytest.fixture
def process(channel: Silent) -> SearchProcess:
    one = SearchProcess(lambda: pytest.fail("not started here"), lambda: None, ManualClock())
    one._channel = channel  # type: ignore[assignment]
    return one


async def test_a_search_waits_no_longer_than_its_request(process: SearchProcess, channel: Silent) -> None:
    """Nor longer than the arms may take; an answer that comes too late is nobody's."""
    async with asyncio.timeout(SOON):
        with deadline.within(0.05):
            assert "none" == (await process.answer(ASKING)).state
    (asked,) = channel.sent
    process._received(Answered(asked.number))
    assert {} == process._waiting


async def test_a_request_without_a_deadline_waits_as_long_as_the_arms_may_take(
    process: SearchProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that comes in time is used."""
    monkeypatch.setattr(client, "DEADLINE", 0.05)
    async with asyncio.timeout(SOON):
        assert "none" == (await process.answer(ASKING)).state
    monkeypatch.setattr(client, "DEADLINE", 60.0)
    waiting = asyncio.create_task(process.answer(ASKING))
    await asyncio.wait({waiting}, timeout=0.1)
    assert not waiting.done()
    process._received(Answered(process._number, total=7))
    assert 7 == (await waiting).total


async def test_where_nobody_was_answered_for_long_nobody_waits(
    process: SearchProcess, channel: Silent
) -> None:
    """Until something is heard again."""
    with deadline.within(0.05):
        await process.answer(ASKING)
    assert isinstance(process.clock, ManualClock)
    process.clock.advance(client.DEADLINE + 0.1)
    async with asyncio.timeout(SOON):
        assert "none" == (await process.answer(ASKING)).state
    assert 1 == len(channel.sent)
    process._received(Answered(0))
    with deadline.within(0.05):
        await process.answer(ASKING)
    assert 2 == len(channel.sent)


async def test_answers_that_come_together_leave_nobody_waiting(
    process: SearchProcess, channel: Silent
) -> None:
    """However long nobody asks after them, the next search is asked, and the process is not taken for stuck."""
    asking = [asyncio.create_task(process.answer(ASKING)) for _ in range(3)]
    await asyncio.wait(asking, timeout=0.1)
    assert 3 == len(channel.sent)
    for asked in channel.sent:
        process._received(Answered(asked.number, total=7))
    assert [7, 7, 7] == [one.total for one in await asyncio.gather(*asking)]
    assert isinstance(process.clock, ManualClock)
    process.clock.advance(client.SILENT + 0.1)
    assert 0.0 == process._silent_for()
    with deadline.within(0.05):
        await process.answer(ASKING)
    assert 4 == len(channel.sent)


async def test_rebuilds_are_counted_over_the_lives_of_the_process(
    process: SearchProcess, channel: Silent
) -> None:
    """One that ends amid a rebuild counts too: whoever waits for its end would wait for ever."""
    process._wanted.set()
    for told in (0, 2):
        looking = asyncio.create_task(process.look())
        await asyncio.wait([looking], timeout=0.1)
        process._received(Looked(channel.sent[-1].number, VectorsLook([], settled=True, rebuilds=told)))
        assert told == (await looking).rebuilds
    process._lost()
    assert 2 == (await process.look()).rebuilds
    process._channel = channel  # type: ignore[assignment]
    process.rebuild_soon()
    assert 2 == process._rebuilds
    process._lost()
    assert 3 == (await process.look()).rebuilds
