"""The vectors of a big owner in memory: as near as exact search, never behind it, and back after every kind of loss."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from bench.synthetic import Batch
from memdeck_common.errors import NotFound
from memdeck_common.settings import Memory as MemorySettings
from memdeck_daemon.memory.lexical.index import Changes
from memdeck_daemon.memory.lexical.reader import Watermark
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.projections.desk import ProjectionsDesk, VectorProjection
from memdeck_daemon.memory.store import outbox
from memdeck_daemon.memory.vectors.index import VectorIndex
from tests.integration.memory.driver import LIFE, OTHER, OWNER, MakeMemories, Memories, caller
from tests.support.waiting import eventually

BIG = Identifier("user", OWNER)
TASKS = ("writer", "vector indexes", "vector files")
MINE = {"user_id": OWNER}


@pytest.fixture
def dsn(loaded_dsn: str) -> str:
    """A copy of the test's own; `make_memories` opens it."""
    return loaded_dsn


Make = Callable[..., Awaitable[Memories]]


@pytest_asyncio.fixture(loop_scope="session")
async def big(make_memories: MakeMemories, tmp_path: Path) -> Make:
    """Wings whose big owner's index is ready; called with the options of `opened`.

    The keyword index begins now: it knows what is written from here on, which is quicker than reading all.
    """

    async def make(**options: Any) -> Memories:
        memories = await make_memories(folder=tmp_path / "lexical", background=TASKS, **options)
        await ready(memories)
        async with memories.database.connection() as connection:
            place, lineage = await outbox.horizon(connection), await outbox.lineage(connection)
        await memories.index.apply(Changes(), Watermark(lineage, place.xid, place.id))
        return memories

    return make


async def ready(memories: Memories, owner: Identifier = BIG) -> VectorIndex:
    """The owner's index, once there is one."""
    await eventually(lambda: memories.vectors.of(owner, 1) is not None, what="a vector index", timeout=60)
    index = memories.vectors.of(owner, 1)
    assert index is not None
    return index


def stages(found: Any) -> set[str]:
    return {stage.name for stage in found.stages}


async def nearest(memories: Memories, index: VectorIndex, query: Any) -> list[uuid.UUID]:
    """The ten nearest by exact search in Postgres."""
    rows = await memories.rows(
        "SELECT id FROM memory.vectors_1 WHERE owner = $1 ORDER BY (embedding <#> $2::halfvec) + 0 LIMIT 10",
        str(index.owner), query,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def test_it_finds_what_exact_search_finds(big: Make, first_batch: Batch) -> None:
    """At least 95 of 100 of the ten nearest, of an owner with 12,000 memories."""
    memories = await big()
    index = await ready(memories)
    _, queries = LIFE.questions(first_batch, 60, 1)
    kept = []
    for query in queries:
        exact = await nearest(memories, index, query)
        found = index.rows.ids(index.nearest(query, 10)[0])
        kept.append(len(set(exact) & set(found)) / 10)
    assert np.mean(kept) >= 0.95


async def test_a_search_reads_candidates_from_memory_and_answers_from_the_database(
    big: Make, first_batch: Batch
) -> None:
    memories = await big()
    await memories.projection.rebuild(await memories.value("SELECT id::text FROM memory.lineage"))
    found = await memories.search(first_batch.texts[17], MINE)
    assert first_batch.ids[17] == found.hits[0].memory.id
    assert ("vector index", 12_000, ()) == (
        "vector index" if "vector index" in stages(found) else "",
        found.total,
        found.degraded,
    )
    assert "session" in {part.feature for part in found.hits[0].parts if part.part > 0}


async def test_what_is_written_is_found_at_once_and_what_is_gone_is_not(big: Make) -> None:
    """An add, an update, a deletion and its undoing, each followed by a search."""
    memories = await big()
    (new,) = await memories.add("the walrus plays the tuba", user=OWNER, run="r")
    assert new == (await memories.search("tuba walrus", MINE)).hits[0].memory.id
    await memories.change(new, text="the ocelot sings")
    assert ["the ocelot sings"] == (await memories.texts("ocelot", MINE))[:1]
    assert "the walrus plays the tuba" not in await memories.texts("tuba walrus", MINE)
    await memories.service.delete(new, caller("anybody"))
    assert new not in {hit.memory.id for hit in (await memories.search("ocelot", MINE)).hits}
    await memories.service.undo(new, caller("anybody"))
    assert ["the ocelot sings"] == (await memories.texts("ocelot", MINE))[:1]


async def test_what_the_keyword_index_has_seen_is_not_remembered_without_a_search_either(big: Make) -> None:
    """An owner may be written for days and never be asked about."""
    memories = await big()
    index = await ready(memories)
    await memories.add(*[f"number {n} of the series about glaciers" for n in range(30)], user=OWNER)
    await eventually(lambda: len(index.tail) == 30, what="the tail")
    place = index.tail[19]
    await memories.index.apply(Changes(), Watermark(index.lineage, *place[:2]))
    await eventually(lambda: len(index.tail) == 10, what="the end of the tail alone")


async def test_what_was_written_is_found_by_meaning_before_it_is_saved(big: Make) -> None:
    """The dense arm sees the rows that are in memory alone."""
    memories = await big()
    index = await ready(memories)
    ids = await memories.add(*[f"number {n} of the series about glaciers" for n in range(30)], user=OWNER)
    await memories.vectors.fresh(index)
    row = index.rows.row_of(ids[7])
    assert row is not None
    assert row in set(index.nearest(index.view.take(np.array([row]))[0], 40)[0].tolist())


async def test_another_owners_memories_are_never_in_an_answer(big: Make, second_batch: Batch) -> None:
    memories = await big()
    await ready(memories, Identifier("user", OTHER))
    theirs = second_batch.texts[5_000]
    found = await memories.search(theirs, MINE, top_k=100)
    assert found.hits
    assert {OWNER} == {hit.memory.identifiers.user for hit in found.hits}
    others = await memories.search(theirs, {"user_id": OTHER}, top_k=100)
    assert {OTHER} == {hit.memory.identifiers.user for hit in others.hits}


async def test_neighbours_are_those_of_the_run(big: Make, first_batch: Batch) -> None:
    """Loaded memories and new ones alike."""
    memories = await big()
    index = await ready(memories)
    rows = [index.rows.row_of(first_batch.ids[place]) for place in (14, 15, 16, 19, 20)]
    links = index.rows["links"]
    assert rows[1] == links[rows[0]][2] == links[rows[2]][1]
    assert -1 == links[rows[3]][2], "the run ends"
    added = await memories.add("first turn", "second turn", user=OWNER, run="talk")
    await memories.vectors.fresh(index)
    first, second = (index.rows.row_of(one) for one in added)
    assert second == index.rows["links"][first][2]


async def test_a_filter_that_few_match_is_exact(big: Make) -> None:
    """None of the proposals passes, so those that match are compared one by one."""
    memories = await big()
    ids = await memories.add(
        "a note about ferns", "a note about moss", user=OWNER, metadata={"kind": "plant"}
    )
    found = await memories.search("zeppelin", {"AND": [MINE, {"metadata": {"kind": "plant"}}]})
    assert set(ids) == {hit.memory.id for hit in found.hits}


async def test_it_is_opened_again_after_a_restart(make_memories: MakeMemories, tmp_path: Path) -> None:
    """With what was written since it was saved."""
    folder = tmp_path / "lexical"
    first = await make_memories(folder=folder, background=TASKS)
    made = (await ready(first)).path
    (new,) = await first.add("the walrus plays the tuba", user=OWNER)
    second = await make_memories(folder=tmp_path / "other", background=())
    opened = await reopened(second, first)
    assert made == opened.path
    assert opened.rows.row_of(new) is not None
    assert 12_001 == opened.rows.live


async def reopened(memories: Memories, other: Memories) -> VectorIndex:
    """The index that the other wing has on the disk, opened by this one."""
    vectors = memories.vectors
    vectors.maker.folder, vectors.name = other.vectors.maker.folder, other.vectors.name
    vectors.of(BIG, 1)
    work = asyncio.create_task(vectors.work())
    try:
        return await ready(memories)
    finally:
        work.cancel()


async def test_damage_is_found_and_made_good(big: Make, make_memories: MakeMemories, tmp_path: Path) -> None:
    """In each of the files, and whatever kind it is; the answer is exact meanwhile."""
    memories = await big()
    index = await ready(memories)
    for name in ("vectors.f16", "columns-1.npz", "manifest.json"):
        path = index.path / name
        raw = bytearray(await asyncio.to_thread(path.read_bytes))
        raw[len(raw) // 2] ^= 0xFF
        await asyncio.to_thread(path.write_bytes, raw)
        other = await make_memories(folder=tmp_path / f"beside-{name}", background=())
        index = await reopened(other, memories)
        assert path.parent != index.path, name
        assert 12_000 == index.rows.live


async def test_a_cut_file_is_made_again(big: Make, make_memories: MakeMemories, tmp_path: Path) -> None:
    memories = await big()
    path = (await ready(memories)).path / "vectors.f16"
    os.truncate(path, path.stat().st_size // 2)
    other = await make_memories(folder=tmp_path / "beside", background=())
    assert path.parent != (await reopened(other, memories)).path


async def test_another_lineage_makes_it_anew(big: Make) -> None:
    """As after a restore, while the daemon runs."""
    memories = await big()
    index = await ready(memories)
    await memories.rows("UPDATE memory.lineage SET id = gen_random_uuid()")
    await memories.rows("DELETE FROM memory.memories WHERE owner = $1 AND run_id = 'run-3'", str(BIG))

    async def anew() -> bool:
        found = memories.vectors.of(BIG, 1)
        return found is not None and found is not index and found.rows.live == 11_990

    await eventually(anew, what="an index of the new lineage", timeout=60)


async def test_a_vector_of_an_earlier_text_is_not_taken(big: Make) -> None:
    """It was read while the memory was changed: the memory waits in another row by then, for another vector."""
    memories = await big()
    index = await ready(memories)
    (new,) = await memories.add("moss grows", user=OWNER)
    assert await memories.vectors.fresh(index)
    row, vector = len(index.rows) - 1, np.zeros(index.dimensions, np.float16)
    index.waiting[new] = row
    index.fill([(new, vector)], {new: row - 1})
    assert {new: row} == index.waiting
    index.fill([(new, vector)], {new: row})
    assert {} == index.waiting


async def test_what_was_read_before_a_change_does_not_take_its_place(big: Make) -> None:
    """A memory that waits for long is read again to be saved; one that is changed meanwhile is newer in the index."""
    memories = await big()
    index = await ready(memories)
    (new,) = await memories.add("moss grows", user=OWNER)
    assert await memories.vectors.fresh(index)
    before = len(index.rows)
    index.waiting[new] = before - 1

    @asynccontextmanager
    async def connection() -> AsyncIterator[Any]:
        async with memories.database.connection() as one:
            yield one
        await memories.change(new, text="ferns grow")
        assert await memories.vectors.fresh(index)

    slow: Any = SimpleNamespace(connection=connection)
    memories.vectors.maker.database = slow
    await memories.vectors.maker._put(index, [new])
    assert before + 1 == len(index.rows)


async def test_without_room_there_is_none_and_the_reason_is_told(
    make_memories: MakeMemories, first_batch: Batch
) -> None:
    """Searches are answered nevertheless."""
    memories = await make_memories(
        background=TASKS, settings=MemorySettings(index_interval=0.02, vector_bytes=1_000_000)
    )
    assert memories.vectors.of(BIG, 1) is None
    await eventually(
        lambda: any("MEMDECK_VECTOR_BYTES" in one.state for one in memories.vectors.status()),
        what="the reason",
    )
    assert (await memories.search(first_batch.texts[3], MINE)).hits


async def test_the_one_used_longest_ago_is_let_go(make_memories: MakeMemories) -> None:
    """And opened from its files when it is asked for again."""
    memories = await make_memories(
        background=TASKS, settings=MemorySettings(index_interval=0.02, vector_bytes=20_000_000)
    )
    made = (await ready(memories)).path
    await ready(memories, Identifier("user", OTHER))
    assert {OWNER: "on disk", OTHER: "ready"} == {
        one.owner.partition(":")[2]: one.state for one in memories.vectors.status()
    }
    assert made == (await ready(memories)).path


async def test_a_rebuild_that_is_asked_for_goes_on_beside_searches(big: Make) -> None:
    """It is counted when it is done, as people see it among the projections."""
    memories = await big()
    before = await ready(memories)
    desk = ProjectionsDesk([memories.projection, VectorProjection(memories.vectors)])
    assert 0 == (await desk.rebuild("vectors")).rebuilds
    assert memories.vectors.of(BIG, 1) is before
    await eventually(lambda: memories.vectors.of(BIG, 1) is not before, what="a new index", timeout=60)
    assert 12_000 == (await ready(memories)).rows.live

    async def done() -> bool:
        _, vectors = (await desk.listed()).projections
        return vectors.complete and (vectors.rebuilds, vectors.holds) == (1, 12_000)

    await eventually(done, what="a rebuild that is counted")
    with pytest.raises(NotFound):
        await desk.rebuild("others")


KILLED = """
import os, signal, sys, threading
from pathlib import Path
import numpy as np
from memdeck_daemon.memory.lexical.index import Changes
from memdeck_daemon.memory.lexical.reader import Watermark
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.store import outbox
from memdeck_daemon.memory.vectors import files
from memdeck_daemon.memory.vectors.index import VectorIndex
folder, moment = Path(sys.argv[1]), float(sys.argv[2])
found = files.read(folder, lambda: False)
manifest, rows, file, projection, lists = found
threading.Timer(moment, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
while True:
    with file.appending():
        file.append(np.zeros((500, manifest.dimensions), np.float16))
        more = {name: np.zeros((500, *width), kind) for name, (kind, width) in files.COLUMNS.items()}
        columns = {name: np.concatenate([rows[name], more[name]]) for name in more}
        rows.adopt(columns, rows.token_keys.values)
        told = files.msgspec.structs.replace(manifest, rows=file.rows, vectors_checksum=file.checksum)
        files.write(folder, told, rows, projection, lists)
"""


async def test_a_kill_while_it_is_saved_leaves_it_whole(big: Make) -> None:
    """At some moments of a save that goes on and on; afterwards the files are read and checked."""
    memories = await big()
    path = (await ready(memories)).path
    for moment in (0.05, 0.11, 0.19, 0.3):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(path), str(moment))
        assert -signal.SIGKILL == await asyncio.wait_for(process.wait(), 60)
        manifest, rows, file, _, _ = await asyncio.to_thread(files_read, path)
        assert manifest.rows == len(rows) == file.rows


def files_read(path: Path) -> Any:
    from memdeck_daemon.memory.vectors import files

    return files.read(path, lambda: False)


async def test_what_is_saved_is_what_was_in_memory(
    big: Make, make_memories: MakeMemories, tmp_path: Path
) -> None:
    """Rows that were added and removed, before and after a save."""
    memories = await big()
    index = await ready(memories)
    ids = await memories.add(*[f"page {n} of the diary" for n in range(40)], user=OWNER, run="diary")
    await memories.service.delete_many(ids[:5], caller("anybody"))
    await memories.vectors.fresh(index)
    await memories.vectors.maker.save(index)
    assert 0 == index.unsealed
    await memories.service.delete_many(ids[5:8], caller("anybody"))
    (late,) = await memories.add("the last page", user=OWNER, run="diary")
    other = await make_memories(folder=tmp_path / "beside", background=())
    opened = await reopened(other, memories)
    assert index.path == opened.path
    assert 12_000 + 32 + 1 == opened.rows.live
    rows = [opened.rows.row_of(one) for one in (*ids[8:], late)]
    assert None not in rows
    assert opened.rows["links"][rows[-1]][1] == rows[-2]
