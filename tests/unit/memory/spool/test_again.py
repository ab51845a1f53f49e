"""A write that was set aside and is to wait again: there is always one place that holds it."""

import asyncio
import uuid
from pathlib import Path

import asyncpg
import pytest

from memdeck_common.errors import BadRequest, Conflict, SpoolFull
from memdeck_daemon.infra.postgres.database import StatementRefused
from memdeck_daemon.memory.intents import Delete
from memdeck_daemon.memory.model import Caller, Reach
from memdeck_daemon.memory.spool.desk import SpoolDesk
from memdeck_daemon.memory.spool.journal import Journal
from memdeck_daemon.memory.spool.parked import Parked, ParkedWrite
from memdeck_daemon.memory.spool.replay import Replay, _reason
from memdeck_daemon.memory.spool.segments import Segments
from memdeck_daemon.memory.spool.service import Spool
from tests.fakes.clock import ManualClock

CLOCK = ManualClock()
WRITE = Delete(
    receipt_id=uuid.uuid4(), at=CLOCK.now(), caller=Caller("test", "k", Reach()), ids=(uuid.uuid4(),)
)
ASIDE = ParkedWrite(reason="refused", parked_at=CLOCK.now(), intent=WRITE)


def journal_in(folder: Path, limit: int = 1 << 20) -> Journal:
    return Journal(Segments(folder), Parked(folder / "parked"), limit)


def replay_of(journal: Journal) -> Replay:
    return Replay(Spool(journal, CLOCK), None, None, None)  # type: ignore[arg-type]  # no database here


class Unasked(Replay):
    """It is certain that the database takes other writes."""

    async def _check_database(self) -> None:
        """Not asked."""


async def test_a_write_that_is_just_being_set_aside_is_not_lost(tmp_path: Path) -> None:
    """Somebody asks for another try between the moment it is parked and the moment it waits no longer."""
    journal = journal_in(tmp_path)
    await journal.open()
    await journal.append(WRITE)
    journal.parked.keep(ASIDE)
    assert 0 == await replay_of(journal).again()
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


async def test_parked_writes_take_room_and_can_always_come_back(tmp_path: Path) -> None:
    """They count in the bound of the spool; to wait again they need no room but their own, and a file removed makes some."""
    journal = journal_in(tmp_path, limit=1_000)
    replay = replay_of(journal)
    reports: list[bool] = []
    await replay.spool.open()
    replay.spool.report = reports.append
    journal.parked.keep(ASIDE)
    journal.parked.keep_damaged(1, 0, bytes(900))
    await replay.spool.recount()
    assert sum(path.stat().st_size for path in (tmp_path / "parked").iterdir()) == journal.nbytes > 1_000
    other = Delete(receipt_id=uuid.uuid4(), at=CLOCK.now(), caller=WRITE.caller, ids=WRITE.ids)
    with pytest.raises(SpoolFull):
        await replay.spool.put(other)
    assert 1 == await replay.again()
    assert (1, set()) == (len(journal), journal.parked.names())
    desk = SpoolDesk(replay, CLOCK)
    await desk.look()
    assert [True] == reports
    (tmp_path / "parked" / "0000000001-0.damaged").unlink()
    await desk.look()
    assert [True, False] == reports
    await replay.spool.put(other)
    await journal.close()


async def test_two_who_ask_for_another_try_move_a_write_once(tmp_path: Path) -> None:
    """At the same time, as two operators may."""
    journal = journal_in(tmp_path)
    await journal.open()
    journal.parked.keep(ASIDE)
    replay = replay_of(journal)
    assert [1, 0] == list(await asyncio.gather(replay.again(), replay.again()))
    assert (1, [WRITE]) == await journal.first()
    assert 1 == journal._pending[1]
    await journal.close()


async def test_a_write_that_is_refused_again_at_once_is_not_removed(tmp_path: Path) -> None:
    """It goes aside once those who brought it back are done with its first file."""
    journal = journal_in(tmp_path)
    await journal.open()
    replay = Unasked(Spool(journal, CLOCK), None, None, None)  # type: ignore[arg-type]  # no database here
    async with replay._moving:
        parking = asyncio.create_task(replay._park(WRITE, StatementRefused("no")))
        await asyncio.wait({parking}, timeout=0.05)
        assert set() == await journal.run(journal.parked.names)
    await parking
    assert {WRITE.receipt_id} == journal.parked.names()
    await journal.close()


SECRET = "s3cret"


def quoting(kind: type[asyncpg.PostgresError]) -> asyncpg.PostgresError:
    """As the driver makes it of what the server says."""
    fields = {
        "S": "ERROR",
        "C": kind.sqlstate,
        "M": f"refused {SECRET}",
        "D": f"Key (id)=({SECRET})",
        "n": "pk",
    }
    error = asyncpg.PostgresError.new(fields)
    assert isinstance(error, kind)
    return error


def unstorable() -> BadRequest:
    error = BadRequest(f"A value cannot be stored: {SECRET}")
    error.__cause__ = quoting(asyncpg.DataError)
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StatementRefused("CheckViolationError 23514"), "CheckViolationError 23514"),
        (quoting(asyncpg.UniqueViolationError), "UniqueViolationError 23505 pk"),
        (unstorable(), "DataError 22000 pk"),
        (Conflict("It is immutable."), "Conflict: It is immutable."),
        (KeyError(SECRET), "KeyError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_reason_quotes_no_row(error: Exception, reason: str) -> None:
    """Postgres quotes rows in details, drivers values: they are somebody's text."""
    assert SECRET in f"{error} {error.__cause__}" or isinstance(error, StatementRefused | Conflict)
    assert reason == _reason(error)
