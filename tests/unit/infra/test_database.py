"""Driver errors as sentences: what passes the border of the database, and what does not."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from memdeck_common.errors import (
    BadRequest,
    DiskFull,
    MemdeckError,
    StoreBusy,
    StoreLost,
    StoreReadOnly,
    StoreUnavailable,
)
from memdeck_daemon.infra.postgres.database import COME_BACK, Database, StatementRefused
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.infra.resilience.guard import Guard, Room
from memdeck_daemon.infra.resilience.policies import POSTGRESQL
from tests.fakes.clock import ManualClock

SECRET = "the text of a memory"


class FakeConnection:
    """Opens transactions that do nothing."""

    terminated = False

    def terminate(self) -> None:
        self.terminated = True

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield


class FakePool:
    """Lends a connection."""

    def __init__(self) -> None:
        self.connection = FakeConnection()

    @asynccontextmanager
    async def acquire(self, *, timeout: float | None = None) -> AsyncIterator[Any]:  # noqa: ASYNC109 - as the driver
        assert timeout in {5, 0.01}
        yield self.connection


@pytest.fixture
def database() -> Database:
    return Database(FakePool(), acquire_timeout=5)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (asyncpg.ConnectionDoesNotExistError(SECRET), StoreLost),
        (asyncpg.InterfaceError(SECRET), StoreLost),
        (asyncpg.CannotConnectNowError(SECRET), StoreLost),
        (asyncpg.AdminShutdownError(SECRET), StoreLost),
        (asyncpg.TooManyConnectionsError(SECRET), StoreLost),
        (asyncpg.QueryCanceledError(SECRET), StoreUnavailable),
        (asyncpg.DeadlockDetectedError(SECRET), StoreLost),
        (asyncpg.SerializationError(SECRET), StoreLost),
        (asyncpg.LockNotAvailableError(SECRET), StoreLost),
        (asyncpg.InternalClientError(SECRET), StoreLost),
        (ConnectionResetError(SECRET), StoreLost),
        (TimeoutError(SECRET), StoreUnavailable),
        (asyncpg.DiskFullError(SECRET), DiskFull),
        (asyncpg.ReadOnlySQLTransactionError(SECRET), StoreReadOnly),
        (asyncpg.PostgresIOError(SECRET), StoreReadOnly),
        (asyncpg.CheckViolationError(SECRET), StatementRefused),
        (asyncpg.UndefinedTableError(SECRET), StatementRefused),
        (asyncpg.ProgramLimitExceededError(SECRET), StatementRefused),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
async def test_errors_of_the_driver_become_ours(
    database: Database, raised: Exception, expected: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """Without what Postgres quotes in them: neither the message nor the log holds a row."""
    for opened in (database.connection, database.transaction):
        with pytest.raises(MemdeckError) as caught:
            async with opened():
                raise raised
        assert expected is type(caught.value)
        assert SECRET not in str(caught.value)
    formatted = logging.Formatter()
    assert SECRET not in "".join(formatted.format(record) for record in caplog.records)


@pytest.mark.parametrize("raised", [asyncpg.CharacterNotInRepertoireError("x"), asyncpg.DataError("y")])
async def test_a_value_that_cannot_be_stored_is_the_callers_mistake(
    database: Database, raised: Exception
) -> None:
    """400, not 500."""
    with pytest.raises(BadRequest):
        async with database.connection():
            raise raised


async def test_a_connection_that_lost_its_place_is_not_lent_again() -> None:
    """The driver's state after a server that died within a statement; any other error leaves it in use."""
    for raised, expected in (
        (asyncpg.InternalClientError("x"), True),
        (asyncpg.DeadlockDetectedError("x"), False),
    ):
        pool = FakePool()
        with pytest.raises(StoreUnavailable):
            async with Database(pool, acquire_timeout=5).transaction():
                raise raised
        assert expected is pool.connection.terminated


async def test_a_request_whose_time_is_up_does_not_wait_for_the_server_any_more() -> None:
    """It is told that the database does not answer, and the connection is closed instead of given back."""
    pool = FakePool()
    database = Database(pool, acquire_timeout=0.01)
    with deadline.within(0.02), pytest.raises(StoreUnavailable):
        async with database.connection():
            await asyncio.Event().wait()
    assert pool.connection.terminated


async def test_the_connection_of_a_request_that_is_cancelled_in_time_is_given_back() -> None:
    pool, entered = FakePool(), asyncio.Event()
    database = Database(pool, acquire_timeout=5)

    async def work() -> None:
        async with database.connection():
            entered.set()
            await asyncio.Event().wait()

    with deadline.within(1000.0):
        task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not pool.connection.terminated


async def test_a_unique_violation_passes(database: Database) -> None:
    """By it a store learns that somebody was first."""
    with pytest.raises(asyncpg.UniqueViolationError):
        async with database.transaction():
            raise asyncpg.UniqueViolationError("k")


async def test_what_is_not_the_drivers_passes(database: Database) -> None:
    """A mistake of ours is not the database's."""
    with pytest.raises(KeyError):
        async with database.connection():
            raise KeyError("k")


async def test_the_time_that_a_connection_was_held_is_told() -> None:
    """Also to the metrics."""
    held: list[float] = []
    async with Database(FakePool(), acquire_timeout=5, observe=held.append).connection():
        pass
    assert 1 == len(held)


async def fail(database: Database, error: Exception) -> None:
    with pytest.raises(MemdeckError):
        async with database.connection():
            raise error


async def test_a_database_that_is_away_refuses_at_once(database: Database) -> None:
    """After five failures in a row; callers' mistakes and full disks are none."""
    for _ in range(20):
        await fail(database, asyncpg.DataError("x"))
        await fail(database, asyncpg.DiskFullError("x"))
        await fail(database, asyncpg.DeadlockDetectedError("x"))
    for _ in range(5):
        await fail(database, ConnectionRefusedError())
    with pytest.raises(StoreUnavailable) as caught:
        async with database.connection():
            pytest.fail("a connection was lent")
    assert COME_BACK == caught.value.facts["retry_after"]
    assert "open" == database.guard.breaker.state


async def test_who_finds_the_queue_full_is_told() -> None:
    """And does not count against the database."""
    clock = ManualClock()
    guard = Guard("postgresql", POSTGRESQL, (OSError,), clock, Room(calls=1, queue=0, patience=1))
    database = Database(FakePool(), acquire_timeout=5, guard=guard)
    async with database.connection():
        with pytest.raises(StoreBusy):
            async with database.connection():
                pytest.fail("a second connection was lent")
    assert (1, 0) == (guard.bulkhead.shed, guard.breaker.failures_in_a_row)
