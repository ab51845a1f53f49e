"""A write that was set aside and is to wait again: there is always one place that holds it."""

import uuid
from pathlib import Path

from memdeck_daemon.memory.intents import Delete
from memdeck_daemon.memory.model import Caller, Reach
from memdeck_daemon.memory.spool.journal import Journal
from memdeck_daemon.memory.spool.parked import Parked, ParkedWrite
from memdeck_daemon.memory.spool.replay import Replay
from memdeck_daemon.memory.spool.segments import Segments
from memdeck_daemon.memory.spool.service import Spool
from tests.fakes.clock import ManualClock

CLOCK = ManualClock()
WRITE = Delete(
    receipt_id=uuid.uuid4(), at=CLOCK.now(), caller=Caller("test", "k", Reach()), ids=(uuid.uuid4(),)
)
ASIDE = ParkedWrite(reason="refused", parked_at=CLOCK.now(), intent=WRITE)


def journal_in(folder: Path) -> Journal:
    return Journal(Segments(folder), Parked(folder / "parked"), 1 << 20)


async def test_a_write_that_is_just_being_set_aside_is_not_lost(tmp_path: Path) -> None:
    """Somebody asks for another try between the moment it is parked and the moment it waits no longer."""
    journal = journal_in(tmp_path)
    await journal.open()
    await journal.append(WRITE)
    journal.parked.keep(ASIDE)
    assert 0 == await Replay(Spool(journal, CLOCK), None, None, None).again()  # type: ignore[arg-type]  # no database here
    journal.done(WRITE)
    assert {WRITE.receipt_id} == journal.parked.names()
    await journal.close()


async def test_a_write_in_two_files_is_one_write(tmp_path: Path) -> None:
    """It waited, was parked and waits again when the process is killed: both files are done with it at once."""
    before = journal_in(tmp_path)
    await before.open()
    await before.append(WRITE)
    await before.first()
    before.done(WRITE)
    await before.append(WRITE)
    await before.close()

    journal = journal_in(tmp_path)
    await journal.open()
    assert 1 == len(journal)
    assert (1, [WRITE]) == await journal.first()
    journal.done(WRITE)
    assert not journal.holds(WRITE)
    await journal.drop(1)
    assert (2, []) == await journal.first()
    await journal.drop(2)
    assert await journal.first() is None
    await journal.close()
