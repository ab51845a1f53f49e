"""When this process may rely on the counters that it knows."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest

from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory import generations
from memdeck_daemon.memory.generations import LEASE, LINEAGE_BITS, LINGER, Generations
from memdeck_daemon.memory.model import Identifier
from tests.fakes.clock import ManualClock
from tests.fakes.counter_server import CounterServer
from tests.support.waiting import eventually

ALICE = Identifier("user", "alice")
BOB = Identifier("user", "bob")
NAMES = (ALICE, BOB)


class Daemon:
    """Generations over a server, and the clock that both go by."""

    def __init__(self) -> None:
        self.server, self.clock = CounterServer(), ManualClock()
        database = cast("Database", self.server)
        self.generations = Generations(database, self.clock, cast("Any", self.server.connect))
        self.task = asyncio.create_task(self.generations.run())

    async def looked(self) -> None:
        """Come back after a whole look at the locks."""
        looks = self.server.looks
        self.wake()
        await eventually(lambda: self.server.looks > looks)
        await asyncio.sleep(0)

    def wake(self) -> None:
        self.generations._wake.set()

    async def alone(self) -> None:
        """Become the owner."""
        await eventually(lambda: self.generations.standing == "company")
        self.clock.advance(LINGER)
        await self.looked()
        assert "sole" == self.generations.standing

    async def write(self, *names: Identifier) -> None:
        async with self.generations.writing() as write:
            write.touched(write.connection.bump(*names))

    def stamp(self, *generations: int) -> tuple[int, ...]:
        return (self.server.lineage.int & ((1 << LINEAGE_BITS) - 1), *generations)


@pytest.fixture
async def daemon() -> AsyncIterator[Daemon]:
    one = Daemon()
    yield one
    one.task.cancel()
    await asyncio.gather(one.task, return_exceptions=True)


@pytest.fixture
async def owner(daemon: Daemon) -> Daemon:
    """A daemon that owns the counters."""
    await daemon.alone()
    return daemon


def once(wait: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[None]]:
    """A hook that is called the first time only."""
    left = [wait]

    async def hook() -> None:
        if left:
            await left.pop()()

    return hook


async def test_with_company_every_question_is_read(daemon: Daemon) -> None:
    """Nothing is known by heart, and writes hold the writers' lock."""
    daemon.server.company = True
    await eventually(lambda: daemon.generations.standing == "company")
    daemon.clock.advance(10 * LINGER)
    await daemon.looked()
    await daemon.write(ALICE)
    for _ in range(2):
        assert daemon.generations.current(NAMES) is None
        assert daemon.stamp(1, 0) == await daemon.generations.read(NAMES)
    assert (2, 1) == (daemon.server.reads, daemon.server.as_writer)


async def test_the_owner_reads_a_name_once(owner: Daemon) -> None:
    """After that its own commits tell, without the writers' lock."""
    assert owner.generations.current(NAMES) is None
    assert owner.stamp(0, 0) == await owner.generations.read(NAMES)
    await owner.write(BOB)
    await owner.write(ALICE, BOB)
    assert owner.stamp(1, 2) == owner.generations.current(NAMES)
    assert (1, 0) == (owner.server.reads, owner.server.as_writer)


async def test_a_newcomer_makes_the_owner_step_down_at_once(owner: Daemon) -> None:
    """By its call, before the locks show it; and by the locks where the call was missed."""
    await owner.generations.read(NAMES)
    owner.server.locks[0].notified(None, 2, "channel", "")
    await owner.looked()
    assert "company" == owner.generations.standing
    assert owner.generations.current(NAMES) is None
    assert not owner.server.locks[0].exclusive
    await owner.alone()
    owner.server.waiting = True
    await owner.looked()
    assert "company" == owner.generations.standing


async def test_its_own_call_is_not_company(owner: Daemon) -> None:
    """A connection hears itself."""
    owner.server.locks[0].notified(None, 1, "channel", "")
    await owner.looked()
    assert "sole" == owner.generations.standing


async def test_ownership_comes_back_after_a_while_of_solitude(owner: Daemon) -> None:
    """And what was known before is read anew."""
    await owner.generations.read(NAMES)
    owner.server.company = True
    await owner.looked()
    owner.server.generations[ALICE] = 7
    owner.server.company = False
    await owner.looked()
    assert "company" == owner.generations.standing
    await owner.alone()
    assert owner.generations.current(NAMES) is None
    assert owner.stamp(7, 0) == await owner.generations.read(NAMES)


async def test_an_unproven_lock_is_not_relied_on(owner: Daemon) -> None:
    """Commits of that time count as soon as it is proven again."""
    await owner.generations.read(NAMES)
    owner.clock.advance(LEASE)
    assert "company" == owner.generations.standing
    assert owner.generations.current(NAMES) is None
    await owner.write(ALICE)
    await owner.looked()
    assert owner.stamp(1, 0) == owner.generations.current(NAMES)


async def test_a_lost_connection_ends_it_at_once(owner: Daemon) -> None:
    """And a new one is opened."""
    await owner.generations.read(NAMES)
    owner.server.locks[0].ended(None)
    assert "apart" == owner.generations.standing
    assert owner.generations.current(NAMES) is None
    await eventually(lambda: len(owner.server.locks) == 2)
    await owner.alone()


async def test_while_a_commit_is_under_way_its_names_have_no_stamp(owner: Daemon) -> None:
    """The server may have committed already; other names are not concerned."""
    await owner.generations.read(NAMES)
    seen: list[object] = []

    async def look() -> None:
        seen.extend([owner.generations.current(NAMES), await owner.generations.read(NAMES)])
        seen.append(owner.generations.current((BOB,)))

    owner.server.before_commit = look
    await owner.write(ALICE)
    assert [None, None, owner.stamp(0)] == seen
    assert owner.stamp(1, 0) == owner.generations.current(NAMES)


async def test_a_read_that_a_commit_overtakes_does_not_bring_the_old_value_back(owner: Daemon) -> None:
    """Generations only grow."""
    owner.server.after_read = once(lambda: owner.write(ALICE))
    assert owner.stamp(1, 0) == await owner.generations.read(NAMES)
    assert owner.stamp(1, 0) == owner.generations.current(NAMES)


async def test_an_unknown_outcome_makes_its_names_uncacheable_until_they_are_read_again(
    owner: Daemon,
) -> None:
    """Also for a read that began before: what it saw may be from before the commit."""
    await owner.write(ALICE)

    async def interrupted() -> None:
        raise ConnectionResetError

    async def write() -> None:
        owner.server.before_commit = interrupted
        with pytest.raises(ConnectionResetError):
            await owner.write(ALICE)
        owner.server.before_commit = None

    owner.server.after_read = once(write)
    assert await owner.generations.read(NAMES) is None
    assert owner.generations.current(NAMES) is None
    assert owner.stamp(2, 0) == await owner.generations.read(NAMES)
    assert owner.stamp(2, 0) == owner.generations.current(NAMES)


async def test_a_cancelled_commit_is_an_unknown_outcome(owner: Daemon) -> None:
    """A name that was never committed before cannot be waited for: the next commit clears it."""
    committing = asyncio.Event()

    async def hang() -> None:
        owner.server.generations.clear()  # not visible yet
        committing.set()
        await asyncio.Event().wait()

    owner.server.before_commit = hang
    write = asyncio.create_task(owner.write(ALICE))
    await committing.wait()
    write.cancel()
    await asyncio.gather(write, return_exceptions=True)
    owner.server.before_commit = None
    assert await owner.generations.read((ALICE,)) is None
    owner.server.generations[ALICE] = 1
    await owner.write(ALICE)
    assert owner.stamp(2) == owner.generations.current((ALICE,))


async def test_a_write_that_fails_before_its_commit_changes_nothing(owner: Daemon) -> None:
    """Its outcome is known: there is none."""
    await owner.generations.read(NAMES)

    async def fail() -> None:
        async with owner.generations.writing() as write:
            write.touched(write.connection.bump(ALICE))
            raise ValueError

    with pytest.raises(ValueError):
        await fail()
    assert owner.stamp(0, 0) == owner.generations.current(NAMES)


async def test_a_new_lineage_is_another_stamp(daemon: Daemon) -> None:
    """A restored database counts from where it was."""
    before = await daemon.generations.read(NAMES)
    daemon.server.lineage = uuid.uuid4()
    assert before != await daemon.generations.read(NAMES)


async def test_what_is_known_is_bounded(owner: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that were asked for last stay."""
    monkeypatch.setattr("memdeck_daemon.memory.generations.NAMES", 10)
    for number in range(20):
        await owner.generations.read((Identifier("user", str(number)),))
    assert owner.generations.current((Identifier("user", "9"),)) is None
    assert owner.stamp(0) == owner.generations.current((Identifier("user", "19"),))


async def test_without_a_check_every_stamp_is_the_same() -> None:
    """The control run of the search for stale answers."""
    generations = Generations(cast("Database", CounterServer()), ManualClock(), checked=False)
    assert generations.current((ALICE,)) == generations.current((BOB,)) is not None


async def test_a_lock_that_is_never_given_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A standby takes connections and gives no lock, for hours."""
    monkeypatch.setattr(generations, "RETRY", 0.0)
    tries: list[None] = []

    @asynccontextmanager
    async def standby() -> AsyncIterator[Any]:
        tries.append(None)
        yield None

    class Unheld(Generations):
        async def _hold(self, connection: Any) -> None:
            raise asyncpg.ReadOnlySQLTransactionError(connection)

    task = asyncio.create_task(Unheld(cast("Database", None), ManualClock(), cast("Any", standby)).run())
    await eventually(lambda: len(tries) > 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert 1 == sum("is not held" in record.message for record in caplog.records)
