"""What is on the disk: across processes, full, damaged."""

import asyncio
import resource
import signal
import uuid
from pathlib import Path

import pytest

from memdeck_common.errors import PartlyDone, SpoolFull, StoreReadOnly
from memdeck_common.settings import Memory as MemorySettings
from memdeck_daemon.memory import changes
from tests.integration.memory.driver import ADMIN, Memories
from tests.integration.memory.spool.waiting import Open, desk, empty, final, texts
from tests.support.cable import Cable


async def test_a_spool_survives_its_process(start: Open, cable: Cable) -> None:
    """Another daemon on the same home carries out what the first one acknowledged, the changes among it."""
    first = await start(tasks=("writer",))
    cable.cut()
    told = await first.receipt("one", user="alice")
    await first.delete_scope({"user_id": "bob", "AND": [{"created_at": {"lt": "2030-01-01"}}]})
    cable.mend()
    second = await start(tasks=("writer",))
    assert 2 == len(second.spool.journal)
    assert (await second.receipt("two", user="alice")).queued
    await second.replay.drain()
    assert "SUCCEEDED" == (await second.service.receipt(told.id, ADMIN)).status
    assert ["one", "two"] == await texts(second)


async def test_what_was_done_before_a_crash_is_passed_over(start: Open, cable: Cable, tmp_path: Path) -> None:
    """A file that is there again after its replay changes nothing."""
    memories = await start(tasks=("writer",))
    cable.cut()
    await memories.receipt("one", user="alice", run="r")
    (memory_id,) = [o.id for o in (await memories.receipt("two", user="alice", run="r")).outcomes if o.id]
    await memories.service.delete(memory_id, ADMIN)
    await memories.delete_scope({"user_id": "bob"})
    (file,) = (tmp_path / "spool").glob("*.spool")
    kept = file.read_bytes()
    cable.mend()
    await memories.replay.drain()
    assert not file.exists()
    (tmp_path / "spool" / "0000000099.spool").write_bytes(kept)
    later = await start(tasks=("writer",))
    await later.add("added since", user="bob")
    await later.replay.drain()
    assert [(1, "one")] == await later.arrivals("r")
    assert ["added since"] == await texts(later, {"user_id": "bob"})


async def test_a_deletion_that_was_undone_before_a_crash_stays_undone(
    start: Open, cable: Cable, tmp_path: Path
) -> None:
    """Its file is there again; only a deletion that was interrupted goes on."""
    memories = await start(tasks=("writer",))
    await memories.add("kept", "too", user="alice")
    (single,) = await memories.add("single", user="bob")
    cable.cut()
    everything = await memories.delete_scope({"user_id": "alice"})
    await memories.delete_scope({"user_id": "bob"})
    (file,) = (tmp_path / "spool").glob("*.spool")
    kept = file.read_bytes()
    cable.mend()
    await memories.replay.drain()
    await memories.service.undo_event(everything.id, ADMIN)
    await memories.service.undo(single, ADMIN)
    file.write_bytes(kept)
    later = await start(tasks=("writer",))
    await later.replay.drain()
    assert ["kept", "too"] == sorted(await texts(later))
    assert ["single"] == await texts(later, {"user_id": "bob"})


async def test_a_full_spool_refuses(start: Open, cable: Cable) -> None:
    """Nothing is half done, and what was taken before stays."""
    reports: list[bool] = []
    memories = await start(settings=MemorySettings(spool_bytes=2_000))
    memories.spool.report = reports.append
    cable.cut()
    taken = await memories.receipt("a" * 500, user="alice")
    with pytest.raises(SpoolFull) as caught:
        await memories.receipt("b" * 2_000, user="alice")
    assert caught.value.facts["retry_after"]
    assert [True] == reports
    cable.mend()
    await final(memories, taken)
    assert [True, False] == reports
    assert ["a" * 500] == await texts(memories)


@pytest.mark.parametrize("room", [0, 1], ids=["off", "full"])
async def test_what_is_half_done_is_not_said_to_be_nothing(
    start: Open, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion in parts, and its undo, that the database refuses to go on with: how much was done, and what to do."""
    monkeypatch.setattr(changes, "PART", 2)
    memories = await start(settings=MemorySettings(spool_bytes=room))
    await memories.add("one", "two", "three", "four", "five", user="alice")
    await memories.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '25006'; END $$"
    )

    async def refuse(what: str) -> None:
        await memories.rows("DROP TRIGGER IF EXISTS refuse ON memory.receipts")
        if what:
            await memories.rows(
                f"CREATE TRIGGER refuse BEFORE {what} ON memory.receipts FOR EACH ROW EXECUTE FUNCTION refuse()"
            )

    await refuse("UPDATE")  # the first part makes the receipt, each later one counts in it
    with pytest.raises(PartlyDone, match="at least 2 memories were deleted") as deleting:
        await memories.delete_scope({"user_id": "alice"})
    assert 3 == len(await memories.page({"user_id": "alice"}))
    await refuse("INSERT")
    with pytest.raises((SpoolFull, StoreReadOnly), match="nothing was stored"):
        await memories.delete_scope({"user_id": "alice"})
    await refuse("")
    event = deleting.value.facts["receipt_id"]
    assert 2 == deleting.value.facts["count"]
    assert 2 == (await memories.service.undo_event(uuid.UUID(event), ADMIN)).count
    everything = await memories.delete_scope({"user_id": "alice"})
    await refuse("INSERT")  # the last part makes the receipt of an undo
    with pytest.raises(PartlyDone, match="at least 4 memories are back"):
        await memories.service.undo_event(everything.id, ADMIN)
    assert 4 == len(await memories.page({"user_id": "alice"}))
    await refuse("")
    await memories.service.undo_event(everything.id, ADMIN)
    assert 5 == len(await memories.page({"user_id": "alice"}))


async def test_what_is_half_done_is_finished_from_the_disk(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest waits like any write, and counts to the same receipt."""
    monkeypatch.setattr(changes, "PART", 2)
    memories = await start(tasks=("writer",))
    await memories.add("one", "two", "three", "four", "five", user="alice")
    await memories.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53100'; END $$"
    )
    await memories.rows(
        "CREATE TRIGGER refuse BEFORE UPDATE ON memory.receipts FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    told = await memories.delete_scope({"user_id": "alice"})
    assert (True, "read-only") == (told.queued, memories.desk.spaces.modes.current)
    await memories.rows("DROP TRIGGER refuse ON memory.receipts")
    await memories.replay.drain()
    assert [] == await texts(memories)
    assert 5 == (await memories.service.receipt(told.id, ADMIN)).count


async def test_many_writers_share_a_flush(memories: Memories, cable: Cable) -> None:
    """All of them are kept, and all are stored afterwards."""
    cable.cut()
    told = await asyncio.gather(
        *(memories.receipt(f"text {n}", user=f"u{n % 7}", run=f"r{n % 3}") for n in range(300))
    )
    assert all(receipt.queued for receipt in told)
    cable.mend()
    with memories.database.guard.breaker.probe():  # the pulse does this in a daemon
        pass
    await empty(memories)
    assert 300 == await memories.value("SELECT count(*) FROM memory.memories")
    assert 300 == await memories.value("SELECT count(*) FROM memory.receipts WHERE kind = 'add'")


async def test_a_damaged_spool_is_read_as_far_as_it_can_be(start: Open, cable: Cable, tmp_path: Path) -> None:
    """A torn tail is cut, a damaged middle is set aside and shown, and everything else is carried out."""
    memories = await start(tasks=("writer",))
    cable.cut()
    for text in ("one", "two", "three"):
        await memories.receipt(text, user="alice")
    (file,) = (tmp_path / "spool").glob("*.spool")
    data = bytearray(file.read_bytes())
    data[data.index(b'"two"') + 2] ^= 1
    file.write_bytes(bytes(data) + data[:50])
    cable.mend()
    later = await start(tasks=("writer",))
    assert (2, 1) == (len(later.spool.journal), later.spool.damaged)
    assert len(data) == file.stat().st_size
    await later.replay.drain()
    assert ["one", "three"] == await texts(later)
    status = await desk(later).status()
    (part,) = status.damaged
    assert b'"tvo"' in (tmp_path / "spool" / "parked" / part.name).read_bytes()


async def test_a_disk_that_is_full_refuses_and_recovers(start: Open, cable: Cable) -> None:
    """Nothing is half done: what was acknowledged before and after is there, what was refused is not."""
    memories = await start()
    cable.cut()
    taken = [await memories.receipt("before", user="alice")]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel ends a write at this size, in the middle of a frame, as a disk does that is full.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        with pytest.raises(SpoolFull):
            await memories.receipt("refused", user="alice")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert (await desk(memories).status()).state == "full"
    taken.append(await memories.receipt("after", user="alice"))
    assert (await desk(memories).status()).state == "waiting"
    cable.mend()
    for receipt in taken:
        assert "SUCCEEDED" == (await final(memories, receipt)).status
    assert ["before", "after"] == await texts(memories)
