"""Big owners are searched in a process of their own: with the same answers, and without it where it is not there."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from memdeck_daemon.memory.model import Found, Identifier
from memdeck_daemon.memory.searcher import client
from memdeck_daemon.memory.searcher.client import MODULE, SearchProcess
from memdeck_daemon.memory.searcher.wire import Asking
from tests.integration.memory.driver import LIFE, OWNER, MakeMemories, Memories, caller
from tests.support.waiting import eventually

MINE = {"user_id": OWNER}
BIG = Identifier("user", OWNER)
APART = ("writer", "lexical projection", "search process")
QUESTIONS = LIFE.batch(0, 10_000).texts[:12]


@pytest.fixture
def dsn(loaded_dsn: str) -> str:
    """A copy of the test's own; `make_memories` opens it."""
    return loaded_dsn


def process_of(memories: Memories) -> SearchProcess:
    assert isinstance(memories.big, SearchProcess)
    return memories.big


def used(found: Found) -> bool:
    """Whether it was answered by the index, with both arms."""
    return found.degraded == () and "vector index" in {stage.name for stage in found.stages}


async def apart(make_memories: MakeMemories, tmp_path: Path, background: Sequence[str] = APART) -> Memories:
    """A wing whose big owner's index is ready in another process, keyword index included."""
    memories = await make_memories(folder=tmp_path / "lexical", background=background, apart=True)
    if "lexical projection" not in background:
        await memories.projection.rebuild(await memories.value("SELECT id::text FROM memory.lineage"))
    await answers(memories)
    return memories


async def answers(memories: Memories) -> None:
    async def ready() -> bool:
        return used(await memories.search(QUESTIONS[0], MINE))

    await eventually(ready, what="an answer of the search process", timeout=60)


def told(found: Found) -> list[Any]:
    """All that an answer says of its hits."""
    return [
        (
            hit.memory.id,
            hit.score,
            hit.cosine,
            hit.keyword,
            tuple((one.feature, one.part) for one in hit.parts),
        )
        for hit in found.hits
    ]


async def test_its_answers_are_those_of_a_search_in_this_process(
    make_memories: MakeMemories, tmp_path: Path
) -> None:
    """Ids, scores, parts; with a filter that the database applies as well."""
    other = await apart(make_memories, tmp_path, ("writer", "search process"))
    await other.add("moss grows under ferns", user=OWNER, metadata={"kind": "plant"})
    await other.catch_up()
    for name in ("lexical", "lexical-vectors"):
        await asyncio.to_thread(shutil.copytree, tmp_path / name, tmp_path / "here" / name)
    here = await make_memories(
        folder=tmp_path / "here/lexical", background=("vector indexes", "vector files")
    )

    async def ready() -> bool:
        return used(await here.search(QUESTIONS[0], MINE))

    await eventually(ready, what="an index in this process", timeout=60)
    plants = {"AND": [MINE, {"metadata": {"kind": "plant"}}]}

    async def same(question: str, where: dict[str, Any]) -> bool:
        mine, theirs = await here.search(question, where), await other.search(question, where)
        return used(theirs) and told(mine) == told(theirs) and bool(mine.hits)

    # It takes a moment until the process looks at what was committed to the keyword index last.
    await eventually(partial(same, "ferns", plants), what="the same answer")
    for question in QUESTIONS:
        for where in (MINE, plants):
            assert await same(question, where)


async def test_it_sees_every_write_that_was_answered(make_memories: MakeMemories, tmp_path: Path) -> None:
    memories = await apart(make_memories, tmp_path)
    for number in range(20):
        (new,) = await memories.add(f"walrus number{number} plays the tuba", user=OWNER)
        found = await memories.search(f"tuba walrus number{number}", MINE)
        assert new == found.hits[0].memory.id
        assert used(found)
        await memories.service.delete(new, caller("anybody"))
        assert new not in {hit.memory.id for hit in (await memories.search("tuba walrus", MINE)).hits}


async def test_without_it_searches_go_on_and_it_comes_back(
    make_memories: MakeMemories, tmp_path: Path
) -> None:
    """Killed while it is asked without a pause: every search is answered, and the index is used again."""
    memories = await apart(make_memories, tmp_path)
    process = process_of(memories)
    killed = process.pid
    assert killed is not None
    asking = [asyncio.create_task(memories.search(question, MINE)) for question in QUESTIONS]
    os.kill(killed, signal.SIGKILL)
    assert all(found.hits for found in await asyncio.gather(*asking))
    await answers(memories)
    assert process.pid not in {None, killed}


async def test_one_that_is_stuck_delays_nobody_for_long_and_is_replaced(
    make_memories: MakeMemories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by a signal, as one that waits for a dead disk."""
    memories = await apart(make_memories, tmp_path)
    process = process_of(memories)
    for name, seconds in (("DEADLINE", 0.2), ("SILENT", 0.5), ("GRACE", 0.2)):
        monkeypatch.setattr(client, name, seconds)
    stuck = process.pid
    assert stuck is not None
    os.kill(stuck, signal.SIGSTOP)
    async with asyncio.timeout(5):
        assert (await memories.search(QUESTIONS[1], MINE)).hits

    async def replaced() -> bool:
        assert (await memories.search(QUESTIONS[2], MINE)).hits
        return process.pid not in {None, stuck}

    await eventually(replaced, what="another process", timeout=30)
    monkeypatch.undo()
    await answers(memories)


async def test_a_question_that_fails_ends_nothing(make_memories: MakeMemories, tmp_path: Path) -> None:
    """A vector of the wrong length, as a fault of our own might send it."""
    memories = await apart(make_memories, tmp_path)
    process = process_of(memories)
    before = process.pid
    asking = Asking(
        kind="user", value=OWNER, space=1, query="q", top_k=5, threshold=0.0, today=None, explain=False,
        generation=None, local=b"\0" * 12, primary=b"", factor=1.0, offset=0.0, complete=True, filter=None,
    )  # fmt: skip
    assert "none" == (await process.answer(asking)).state
    assert used(await memories.search(QUESTIONS[3], MINE))
    assert before == process.pid


async def test_it_is_there_at_once_where_it_has_been(make_memories: MakeMemories, tmp_path: Path) -> None:
    """Nobody has to ask for it after a restart of the daemon; nobody starts it without need either."""
    folder = tmp_path / "lexical"
    first = await make_memories(folder=folder, background=APART, apart=True)
    assert process_of(first).pid is None
    assert [] == (await first.big.look()).parts
    await answers(first)
    second = await make_memories(folder=folder, name="lexical:next", background=APART, apart=True)
    await eventually(lambda: process_of(second).pid is not None, what="a process", timeout=20)
    # The first one still holds the folder: the second waits, says so, and serves without.
    assert ["search process: starting"] != [part.state for part in (await first.big.look()).parts]
    assert (await second.search(QUESTIONS[0], MINE)).hits


async def test_it_ends_with_its_daemon() -> None:
    """However that ends: the socket is closed, and nothing else is said."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", MODULE, stdin=theirs.fileno()
        )
    ours.close()
    assert 0 == await asyncio.wait_for(process.wait(), 20)


async def test_people_see_its_indexes(make_memories: MakeMemories, tmp_path: Path) -> None:
    memories = await apart(make_memories, tmp_path)
    look = await memories.big.look()
    assert [(str(BIG), "ready", 12_000)] == [(one.owner, one.state, one.memories) for one in look.parts]
    memories.big.rebuild_soon()

    async def rebuilt() -> bool:
        return (await memories.big.look()).rebuilds == 1

    await eventually(rebuilt, what="a new index", timeout=60)
