"""Big owners are searched in a process of their own: with the same answers, and without it where it is not there."""

import asyncio
import fcntl
import gc
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from memdeck_common.clock import SystemClock
from memdeck_common.settings import Database as DatabaseSettings
from memdeck_common.settings import Memory as MemorySettings
from memdeck_daemon.infra.postgres.cluster import EmbeddedCluster
from memdeck_daemon.memory import filter_codec, filters
from memdeck_daemon.memory.embedding.local import DIMENSIONS
from memdeck_daemon.memory.model import Found, Identifier
from memdeck_daemon.memory.searcher import client
from memdeck_daemon.memory.searcher.client import MODULE, SearchProcess
from memdeck_daemon.memory.searcher.engine import Engine
from memdeck_daemon.memory.searcher.wire import Asking, Opening
from tests.integration.memory.driver import LIFE, OWNER, MakeMemories, Memories, caller, execute
from tests.support.waiting import eventually

MINE = {"user_id": OWNER}
BIG = Identifier("user", OWNER)
APART = ("writer", "lexical projection", "search process")
QUESTIONS = LIFE.batch(0, 10_000).texts[:12]


@pytest.fixture
def dsn(loaded_dsn: str) -> str:
    """A copy of the test's own; `make_memories` opens it."""
    return loaded_dsn


def asking_with(local: bytes) -> Asking:
    """A question about the big owner, of unknown generation: the process asks the database."""
    return Asking(
        kind="user", value=OWNER, space=1, query="q", terms=["q"], top_k=5, threshold=0.0, today=None, explain=False,
        generation=None, local=local, primary=b"", factor=1.0, offset=0.0, filter=None,
    )  # fmt: skip


@asynccontextmanager
async def lonely(folder: Path, primary: Callable[[], None] = lambda: None) -> AsyncIterator[SearchProcess]:
    """A process without a database, kept running."""
    opening = Opening(
        "postgresql://nobody@127.0.0.1:1/nothing", DatabaseSettings(), str(folder / "lexical"), str(folder / "vectors"),
        "nobody", 1, None, logging.WARNING,
    )  # fmt: skip
    process = SearchProcess(lambda: opening, primary, SystemClock())
    (folder / "vectors/index").mkdir(parents=True)
    running = asyncio.create_task(process.run(folder / "vectors"))
    try:
        yield process
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


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


async def test_a_filter_may_name_any_number(make_memories: MakeMemories, tmp_path: Path) -> None:
    """JSON has larger ones than the process is told others in."""
    memories = await apart(make_memories, tmp_path)
    (new,) = await memories.add("moss grows under ferns", user=OWNER, metadata={"spores": 2**70})
    found = await memories.search("ferns", {"AND": [MINE, {"metadata": {"spores": 2**70}}]})
    assert [new] == [hit.memory.id for hit in found.hits]
    assert used(found)


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


async def test_what_ends_a_whole_group_of_processes_leaves_it_to_its_daemon(
    make_memories: MakeMemories, tmp_path: Path
) -> None:
    """It answers to the end, and nobody starts another one while the daemon finishes its work."""
    memories = await apart(make_memories, tmp_path)
    process = process_of(memories)
    before = process.pid
    assert before is not None
    for stop in (signal.SIGTERM, signal.SIGINT):
        os.kill(before, stop)
    assert used(await memories.search(QUESTIONS[4], MINE))
    assert used(await memories.search(QUESTIONS[5], MINE))
    assert before == process.pid


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
    assert "none" == (await process.answer(asking_with(b"\0" * 12))).state
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


async def test_a_rebuild_that_is_asked_for_too_early_is_counted(
    make_memories: MakeMemories, tmp_path: Path
) -> None:
    """Whoever waits for its end would wait for ever."""
    (tmp_path / "lexical-vectors").mkdir()
    held = os.open(tmp_path / "lexical-vectors", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)  # as a process does that is about to end
    memories = await make_memories(folder=tmp_path / "lexical", background=APART, apart=True)
    await memories.search(QUESTIONS[0], MINE)

    async def listens() -> bool:
        return not (await memories.big.look()).parts

    await eventually(listens, what="a process that listens", timeout=20)
    memories.big.rebuild_soon()
    assert 0 == (await memories.big.look()).rebuilds
    os.close(held)

    async def counted() -> bool:
        return (await memories.big.look()).rebuilds == 1

    await eventually(counted, what="the rebuild", timeout=20)


async def test_it_uses_the_database_as_soon_as_it_is_back(
    make_memories: MakeMemories, tmp_path: Path, cluster: EmbeddedCluster
) -> None:
    """Nobody tells the process; it has to try for itself, and often."""
    memories = await apart(make_memories, tmp_path)
    process, name = process_of(memories), await memories.value("SELECT current_database()")
    asking = asking_with(np.full(DIMENSIONS, DIMENSIONS**-0.5, np.float32).tobytes())
    assert "found" == (await process.answer(asking)).state
    await execute(cluster.dsn, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608 - the test's own
    await execute(cluster.dsn, ended)
    assert {"none"} == {(await process.answer(asking)).state for _ in range(20)}
    await execute(cluster.dsn, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    async def found() -> bool:
        return (await process.answer(asking)).state == "found"

    await eventually(found, what="an answer that asked the database", timeout=10)


async def test_a_filter_that_takes_long_costs_nobody_the_index(
    make_memories: MakeMemories, tmp_path: Path
) -> None:
    """The process answers that it found nothing in time; without any answer it would be done without, and ended."""
    memories = await apart(make_memories, tmp_path)
    process, where = process_of(memories), {"AND": [MINE, {"metadata": {"kind": "plant"}}]}
    asking = asking_with(np.full(DIMENSIONS, DIMENSIONS**-0.5, np.float32).tobytes())
    filtered = msgspec.json.encode(filter_codec.plain(filters.parse(where)))
    async with memories.database.transaction() as connection:
        await connection.execute("LOCK TABLE memory.memories")
        assert "none" == (await process.answer(replace(asking, filter=filtered))).state

        async def found() -> bool:
            return (await process.answer(asking)).state == "found"

        await eventually(found, what="an answer to somebody else", timeout=5)


async def test_nobody_waits_for_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is as slow as can be."""
    (tmp_path / "never_listens.py").write_text("import signal\nsignal.pause()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name, value in (("MODULE", "never_listens"), ("DEADLINE", 60.0), ("GRACE", 0.1)):
        monkeypatch.setattr(client, name, value)
    async with lonely(tmp_path) as process:
        await eventually(lambda: process.pid is not None, what="a process", timeout=20)
        async with asyncio.timeout(5):
            assert "none" == (await process.answer(asking_with(b""))).state
            assert ["search process: starting"] == [part.state for part in (await process.look()).parts]


async def test_looking_after_it_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at twice a second, for months."""
    monkeypatch.setattr(client, "LOOKS", 0.001)
    looks, seen = count(), [0]

    def look() -> None:
        seen[0] = next(looks)

    # In a thread: among all that other tests have left, it takes a while.
    before = await asyncio.to_thread(_given_up)
    async with lonely(tmp_path, look):
        await eventually(lambda: seen[0] > 200, what="two hundred looks", timeout=20)
        assert await asyncio.to_thread(_given_up) - before < 50


def _given_up() -> int:
    """Futures that are kept although nobody waits for them any more."""
    gc.collect()
    return sum(type(one) is asyncio.Future and one.cancelled() for one in gc.get_objects())


async def test_there_is_none_without_room(make_memories: MakeMemories) -> None:
    """With MEMDECK_VECTOR_BYTES=0 it would have nothing to do."""
    settings = MemorySettings(index_interval=0.02, vector_bytes=0)
    memories = await make_memories(background=("writer",), settings=settings, apart=True)
    assert isinstance(memories.big, Engine)
    assert (await memories.search(QUESTIONS[0], MINE)).hits
