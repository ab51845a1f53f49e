"""The derived index: it follows what is committed, skips nothing, and comes back after every kind of loss."""

import asyncio
import json
import os
import shutil
import signal
import sys
import uuid
from pathlib import Path

import asyncpg
import pytest

from memdeck_common.errors import ConfigurationError, StoreUnavailable
from memdeck_common.settings import Database as DatabaseSettings
from memdeck_daemon.memory.lexical.index import Changes, Entry, LexicalIndex
from memdeck_daemon.memory.lexical.reader import LexicalReader, Watermark
from memdeck_daemon.memory.lexical.tokens import terms
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.store import outbox
from tests.integration.memory.driver import MakeMemories, Memories, caller
from tests.support.waiting import eventually

WRITER_ONLY = ("writer",)
BY_AGENT = {"agent_id": "a"}
ANYBODY = caller("anybody")


async def lineage(memories: Memories) -> str:
    return str(await memories.value("SELECT id FROM memory.lineage"))


async def follows(memories: Memories, documents: int) -> None:
    """Come back when the index holds so many memories and says that it follows."""
    await eventually(
        lambda: memories.projection.state == "following" and memories.index.documents == documents,
        what=f"an index that follows with {documents} memories",
    )


async def degraded(memories: Memories) -> tuple[str, ...]:
    return (await memories.search("zebra", BY_AGENT)).degraded


async def test_a_search_by_agent_is_whole_once_the_index_follows(make_memories: MakeMemories) -> None:
    """And says that it is degraded until then."""
    memories = await make_memories(background=WRITER_ONLY)
    await memories.add("a zebra", user="u", agent="a")
    assert ("lexical",) == await degraded(memories)
    await memories.projection.rebuild(await lineage(memories))
    assert () == await degraded(memories)
    assert (1, "lexical") == (memories.index.documents, (await memories.projection.look()).name)


async def test_what_changes_is_followed(make_memories: MakeMemories) -> None:
    """Additions, updates, deletions and what is brought back; a memory is in the index once."""
    memories = await make_memories()
    ids = await memories.add(*[f"zebra {n}" for n in range(10)], user="u", agent="a")
    await follows(memories, 10)
    for memory_id in ids[:3]:
        await memories.change(memory_id, text="walrus")
        await memories.change(memory_id, text="walrus again")
    await memories.service.delete_many(ids[3:6], ANYBODY)
    await follows(memories, 7)
    assert 3 == len(await memories.texts("walrus", BY_AGENT, threshold=1.0))
    assert 4 == len(await memories.texts("zebra", BY_AGENT, threshold=1.0))
    await memories.service.undo(ids[3], ANYBODY)
    await follows(memories, 8)


async def test_a_late_commit_of_a_lower_transaction_is_not_skipped(
    make_memories: MakeMemories, dsn: str
) -> None:
    """Ids are handed out before the commit: what began first and commits last is read all the same."""
    memories = await make_memories(background=WRITER_ONLY)
    await memories.projection.rebuild(await lineage(memories))
    (early_id,) = await memories.add("zebra early", user="u", agent="a")
    await memories.rows("DELETE FROM memory.outbox")
    connection = await asyncpg.connect(dsn)
    slow = connection.transaction()
    await slow.start()
    await connection.execute(
        "INSERT INTO memory.outbox (owner, memory_id, change) VALUES ('user:u', $1, 'put')", early_id
    )
    await memories.add("zebra late", user="u", agent="a")
    await memories.catch_up()
    assert 0 == memories.index.documents
    assert ["zebra late"] == await memories.texts("late", BY_AGENT, threshold=0.99)
    await slow.commit()
    await connection.close()
    await memories.catch_up()
    assert 2 == memories.index.documents


async def test_an_index_that_cannot_follow_is_not_skipped_by_searches(
    make_memories: MakeMemories, dsn: str
) -> None:
    """While a long transaction holds the horizon, everything newer comes from the tail; too much of it is said."""
    memories = await make_memories(background=WRITER_ONLY)
    await memories.projection.rebuild(await lineage(memories))
    connection = await asyncpg.connect(dsn)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("CREATE TABLE horizon ()")
    for start in range(0, 1990, 398):
        await memories.add(*[f"filler {n}" for n in range(start, start + 398)], user="u", agent="a")
    await memories.add("the zebra", user="u", agent="a")
    await memories.catch_up()
    assert (["the zebra"], ()) == (
        await memories.texts("zebra", BY_AGENT, threshold=0.99),
        await degraded(memories),
    )
    await memories.add(*[f"more {n}" for n in range(20)], user="u", agent="a")
    assert ("lexical",) == await degraded(memories)
    await transaction.rollback()
    await connection.close()
    await memories.catch_up()
    assert (["the zebra"], ()) == (
        await memories.texts("zebra", BY_AGENT, threshold=0.99),
        await degraded(memories),
    )


async def test_a_new_lineage_is_rebuilt(make_memories: MakeMemories, tmp_path: Path) -> None:
    """After a restore, what the index knew of the old database is gone."""
    first = await make_memories(folder=tmp_path / "index", background=WRITER_ONLY)
    (gone,) = await first.add("zebra old", user="u", agent="a")
    await first.projection.rebuild(await lineage(first))
    first.index.close()
    await first.rows("DELETE FROM memory.memories WHERE id = $1", gone)
    await first.rows("DELETE FROM memory.outbox")
    await first.rows("UPDATE memory.lineage SET id = gen_random_uuid()")
    second = await make_memories(folder=tmp_path / "index")
    await follows(second, 0)
    assert await lineage(second) == (second.index.position.lineage if second.index.position else "")


async def test_a_new_lineage_is_noticed_while_it_follows(make_memories: MakeMemories, tmp_path: Path) -> None:
    """A pool opens lost connections again without a word: whoever rested meanwhile has seen no error."""
    memories = await make_memories(folder=tmp_path / "index")
    await memories.add("zebra old", user="u", agent="a")
    await follows(memories, 1)
    await memories.rows("UPDATE memory.lineage SET id = gen_random_uuid()")
    known = await lineage(memories)
    await memories.add("zebra new", user="u", agent="a")

    def noticed() -> bool:
        position = memories.index.position
        return position is not None and known == position.lineage

    await eventually(noticed, what="an index of the new lineage", timeout=20)
    await follows(memories, 2)


async def test_a_position_in_the_future_is_not_believed(make_memories: MakeMemories, tmp_path: Path) -> None:
    """A database that was replaced by an older one, past our own restore: what comes now would be taken for read."""
    first = await make_memories(folder=tmp_path / "index", background=WRITER_ONLY)
    known = await lineage(first)
    await first.projection.rebuild(known)
    await first.index.apply(Changes(), Watermark(known, 2**40, 7))
    first.index.close()
    await first.add("zebra", user="u", agent="a")
    second = await make_memories(folder=tmp_path / "index")
    await follows(second, 1)


async def test_a_reader_that_the_outbox_forgot_is_rebuilt(
    make_memories: MakeMemories, tmp_path: Path
) -> None:
    """What it missed may have been pruned."""
    first = await make_memories(folder=tmp_path / "index", background=WRITER_ONLY)
    await first.projection.rebuild(await lineage(first))
    first.index.close()
    await first.add("zebra", user="u", agent="a")
    await first.rows("DELETE FROM memory.projections")
    await first.rows("DELETE FROM memory.outbox")
    second = await make_memories(folder=tmp_path / "index")
    await follows(second, 1)


@pytest.mark.parametrize("damage", ["removed", "emptied", "scrambled", "another", "a file"])
async def test_a_damaged_index_is_rebuilt_at_the_start(
    make_memories: MakeMemories, tmp_path: Path, damage: str
) -> None:
    """Whatever lies in its place."""
    folder = tmp_path / "index"
    first = await make_memories(folder=folder, background=WRITER_ONLY)
    await first.add(*[f"zebra {n}" for n in range(50)], user="u", agent="a")
    await first.projection.rebuild(await lineage(first))
    first.index.close()
    spoil(folder, damage)
    second = await make_memories(folder=folder)
    await follows(second, 50)
    assert 50 == len(await second.texts("zebra", BY_AGENT, top_k=100, threshold=0.99))
    assert () == await degraded(second)


def spoil(folder: Path, damage: str) -> None:
    """Ruin the files of an index."""
    if damage in {"removed", "a file"}:
        shutil.rmtree(folder)
    if damage == "a file":
        folder.write_text("not a folder")
    for file in folder.glob("*") if folder.is_dir() else ():
        if damage == "emptied":
            file.write_bytes(b"")
        elif damage == "scrambled" and file.suffix == ".term":
            file.write_bytes(bytes(255 - byte for byte in file.read_bytes()))
        elif damage == "another" and file.name == "meta.json":
            meta = json.loads(file.read_text())
            meta["schema"] = []
            file.write_text(json.dumps(meta))


async def test_an_index_that_vanishes_under_a_running_daemon_is_rebuilt(make_memories: MakeMemories) -> None:
    """The daemon lives on; searches say that they are degraded until it is back."""
    memories = await make_memories()
    await memories.add("zebra one", user="u", agent="a")
    await follows(memories, 1)
    shutil.rmtree(memories.folder)
    await memories.add("zebra two", user="u", agent="a")

    def rebuilt() -> bool:
        memories.projection.wake()
        return memories.index.documents == 2

    await eventually(rebuilt, timeout=20, what="a new index with both memories")
    assert 2 == len(await memories.texts("zebra", BY_AGENT, threshold=0.99))
    await eventually(lambda: degraded_is(memories, ()), what="an answer that is whole")


async def degraded_is(memories: Memories, expected: tuple[str, ...]) -> bool:
    return await degraded(memories) == expected


async def test_an_index_that_cannot_be_made_stops_the_start(
    make_memories: MakeMemories, tmp_path: Path
) -> None:
    """With a sentence that names its place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file/index"):
        await make_memories(folder=tmp_path / "file" / "index")


async def test_a_pool_of_one_connection_is_enough(make_memories: MakeMemories) -> None:
    """A rebuild needs one, not two at once."""
    pool = DatabaseSettings(pool_min=1, pool_max=1, acquire_timeout=2)
    memories = await make_memories(pool=pool)
    await memories.add("zebra", user="u", agent="a")
    await follows(memories, 1)
    assert ["zebra"] == await memories.texts("zebra", BY_AGENT)
    assert ["zebra"] == await memories.texts("zebra", {"user_id": "u"})


async def test_entries_are_kept_for_the_slowest_reader(make_memories: MakeMemories) -> None:
    """What all have read goes; a reader that has not been seen for a week is waited for no longer."""
    memories = await make_memories(background=WRITER_ONLY)
    known = await lineage(memories)

    async def entries() -> int:
        return int(await memories.value("SELECT count(*) FROM memory.outbox"))

    async def acknowledged(name: str) -> None:
        async with memories.database.connection() as connection:
            await outbox.acknowledge(connection, name, await outbox.horizon(connection), known)

    await acknowledged("slow")
    await memories.add("one", "two", user="u")
    await acknowledged("fast")
    assert 2 == await entries()
    await memories.rows(
        "UPDATE memory.projections SET seen_at = now() - interval '8 days' WHERE name = 'slow'"
    )
    await acknowledged("fast")
    assert 0 == await entries()
    await memories.add("three", user="u")
    await acknowledged("slow")
    assert 1 == await entries()
    await acknowledged("fast")
    assert 0 == await entries()


async def test_a_lost_database_is_waited_for(make_memories: MakeMemories, dsn: str) -> None:
    """Connections that break end no task; afterwards everything goes on."""
    memories = await make_memories()
    await memories.add("zebra one", user="u", agent="a")
    await follows(memories, 1)
    admin = await asyncpg.connect(dsn)
    for _ in range(3):
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
        told = await asyncio.gather(
            *(memories.add("zebra", user="u", agent="a") for _ in range(4)), return_exceptions=True
        )
        assert {list, StoreUnavailable} >= {type(one) for one in told}
    await admin.close()

    async def caught_up() -> bool:
        # Writes may have gone to the spool, and come later.
        stored = await memories.value("SELECT count(*) FROM memory.memories")
        return not len(memories.spool.journal) and memories.index.documents == stored

    await eventually(caught_up, timeout=20, what="an index that goes on")


CRASHING = """
import sys, uuid
from pathlib import Path
from memdeck_daemon.memory.lexical.index import Changes, Entry, LexicalIndex
from memdeck_daemon.memory.lexical.reader import LexicalReader, Watermark
from memdeck_daemon.memory.model import Identifier

index = LexicalIndex(Path(sys.argv[1]))
number = index.position.id if index.position else 0
while True:
    number += 1
    puts = [Entry(uuid.uuid4(), (Identifier("user", "u"),), ("zebra", f"batch{number}")) for _ in range(20)]
    index._apply(Changes(puts), Watermark("lineage", 0, number))
    print(number, flush=True)
"""


async def test_an_index_that_is_killed_is_as_its_watermark_says(tmp_path: Path) -> None:
    """Documents and watermark are one commit: whenever the process dies, both are there or neither."""
    told = 0
    for _ in range(4):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CRASHING, str(tmp_path / "index"), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(5):
            told = int(await process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        await process.communicate()
        index = LexicalIndex(tmp_path / "index")
        position = index.position
        assert position is not None
        assert position.id >= told
        assert 20 * position.id == index.documents
        index.close()


async def test_what_is_loaded_is_found_when_it_is_committed(tmp_path: Path) -> None:
    """And counts as held before, so that people see a rebuild go on. A loader's heap does not stay."""
    index = LexicalIndex(tmp_path / "index")
    owner = Identifier("user", "u")
    await index.clear()
    for number in range(3):
        await index.load([Entry(uuid.uuid4(), (owner,), ("zebra", f"page{number}")) for _ in range(5)])
    assert (0, 15, None) == (index.documents, index.held, index.position)
    mark = Watermark("lineage", 7, 9)
    await index.apply(Changes(), mark)
    assert (15, 15, mark) == (index.documents, index.held, index.position)
    assert 5 == len(index.search(owner, index.weights(owner, ["page1"], 15), 10))
    await index.apply(Changes([Entry(uuid.uuid4(), (owner,), ("zebra",))]), Watermark("lineage", 7, 10))
    assert 16 == index.held
    index.close()
    again = LexicalReader(tmp_path / "index")
    again.refresh()
    assert (16, Watermark("lineage", 7, 10)) == (again.documents, again.position)


async def test_a_text_that_cannot_be_taken_apart_holds_up_nobody(make_memories: MakeMemories) -> None:
    """It is set aside with the reason and shown; those around it are indexed, and it is too when it can be."""

    def analyse(text: str) -> list[str]:
        if "poison" in text:
            raise RecursionError
        return list(terms(text))

    memories = await make_memories(background=("writer",))
    memories.projection.analyse = analyse
    await memories.projection.rebuild(await lineage(memories))
    _, poison, _ = await memories.add("first zebra", "poison zebra", "last zebra", user="u")
    before = await memories.add("another zebra", user="u")
    await memories.catch_up()
    assert (3, 1) == (memories.index.documents, memories.projection.parked)
    assert "1 parked" in (await memories.projection.look()).note
    rows = await memories.rows("SELECT name, owner, memory_id, reason FROM memory.projection_parked")
    assert [(memories.projection.name, "user:u", poison, "RecursionError")] == [tuple(row) for row in rows]
    await memories.change(poison, text="harmless zebra")
    await memories.catch_up()
    assert (4, 0) == (memories.index.documents, memories.projection.parked)
    await memories.change(before[0], text="poison again")
    await memories.catch_up()
    assert (3, 1) == (memories.index.documents, memories.projection.parked)
    memories.projection.analyse = terms
    await memories.projection.rebuild(await lineage(memories))
    assert (4, 0) == (memories.index.documents, memories.projection.parked)
