"""One database as the rest of the daemon sees it: connections with a deadline, and errors that say what to do.

Owns the guard of the database: who would ask one that is away is refused at once. Owns the translation of driver errors
into the exceptions that callers understand. One asyncpg exception passes this border, the unique violation, by which a
store learns that somebody was first; no connection string does, and no row: Postgres quotes rows in the details of its
errors, so of an unexpected one only its code and place are logged.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final, Protocol

import asyncpg

from memdeck_common.clock import Clock, SystemClock
from memdeck_common.errors import (
    BadRequest,
    DiskFull,
    MemdeckError,
    StoreBusy,
    StoreLost,
    StoreReadOnly,
    StoreUnavailable,
)
from memdeck_common.log import action
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.infra.resilience.breaker import Breaker, BreakerOpen, Policy
from memdeck_daemon.infra.resilience.bulkhead import Overloaded
from memdeck_daemon.infra.resilience.guard import Guard, Room
from memdeck_daemon.infra.resilience.policies import POSTGRESQL

log = logging.getLogger(__name__)

GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,  # the driver lost its place, see below
    asyncpg.InvalidCatalogNameError,  # the database is being swapped for a restored one
    asyncpg.ObjectNotInPrerequisiteStateError,  # it takes no connections meanwhile
    OSError,
)
SILENT = (asyncpg.QueryCanceledError, TimeoutError)
"""It took longer than the statement or the connection may."""
GAVE_WAY = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)
"""Deadlocks and the like: the transaction was rolled back for the sake of another one."""
IN_THE_WAY: Final = "Another write was in the way; nothing was stored. Try again."
FULL = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError)
SHUT = (asyncpg.ReadOnlySQLTransactionError, asyncpg.PostgresSystemError)
"""It takes no writes for now, as a standby does and a managed server whose disk is nearly full, or its machine fails it."""
UNSTORABLE = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError, asyncpg.DataError)
EXPECTED = (*FULL, *SILENT, *GONE, *GAVE_WAY, *SHUT, *UNSTORABLE)
"""Errors that may be shown as the cause of ours; any other one quotes a row."""


class StatementRefused(MemdeckError):
    """Something went wrong inside memdeck; the log has the details under this request id."""

    def __init__(self, reason: str) -> None:
        """`reason`: the error's class and code, for operators; callers are not told."""
        super().__init__()
        self.reason = reason


class Pool(Protocol):
    """What is used of asyncpg's pool."""

    def acquire(self, *, timeout: float | None = None) -> Any:
        """A connection, as an async context manager."""


QUEUE: Final = 500
"""Requests that may wait for a connection; more are told at once."""
COME_BACK: Final = 2
"""Seconds after which those who were refused should try again: the health look closes the breaker long before its time."""


def guard_of(
    clock: Clock,
    connections: int,
    patience: float,
    tell: Callable[[Breaker], None] = lambda _: None,
    policy: Policy = POSTGRESQL,
) -> Guard:
    """The guard of a database that takes so many connections; a request waits `patience` seconds for one."""
    room = Room(calls=connections, queue=QUEUE, patience=patience)
    return Guard("postgresql", policy, (*GONE, *SILENT), clock, room, tell=tell)


class Database:
    """Connections to the one database of this daemon."""

    def __init__(
        self,
        pool: Pool,
        *,
        acquire_timeout: float,
        observe: Callable[[float], None] = lambda _: None,
        guard: Guard | None = None,
    ) -> None:
        """`observe` is told for how many seconds each connection was held."""
        self._pool = pool
        self._acquire_timeout = acquire_timeout
        self._observe = observe
        self.guard = guard or guard_of(SystemClock(), QUEUE, acquire_timeout)
        self._lent_now: set[Any] = set()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection outside a transaction.

        Raises:
            StoreLost: the connection was lost, or another transaction was in the way; it may work at once.
            StoreBusy: too many others wait for one.
            StoreUnavailable: the database does not answer; with `retry_after` when it is left alone for now.
            DiskFull: the database has no room left.
            BadRequest: a value cannot be stored.
            MemdeckError: the database refused a statement for a reason that nobody expected; the log has its code.
        """
        try:
            async with self.guard.call(), self._lent() as connection:
                begun = monotonic()
                yield connection
                self._observe(monotonic() - begun)
        except asyncpg.UniqueViolationError:
            raise
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            raise _translated(error) from (error if isinstance(error, EXPECTED) else None)
        except BreakerOpen as error:
            raise StoreUnavailable(retry_after=min(COME_BACK, error.retry_after)) from None
        except Overloaded:
            raise StoreBusy(retry_after=COME_BACK) from None

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        """A connection of the pool. The bulkhead has room for it: what it waits for is the server, not its neighbours."""
        if not (wait := deadline.left(self._acquire_timeout)):
            raise StoreUnavailable("There was no time left for the database.")
        async with self._pool.acquire(timeout=wait) as connection:
            left = deadline.left(math.inf)
            self._lent_now.add(connection)
            try:
                async with asyncio.timeout(None if left == math.inf else left):
                    yield connection
            except BaseException as error:
                # The server went while a statement was under way: this connection must not be lent again. Or the
                # time of the request is up: giving the connection back would wait for the server once more.
                if isinstance(error, asyncpg.InternalClientError) or not deadline.left(1.0):
                    connection.terminate()
                raise
            finally:
                self._lent_now.discard(connection)

    def abandon(self) -> None:
        """End every connection that is lent right now: whoever waits for an answer on one is told that it was lost."""
        for connection in list(self._lent_now):
            connection.terminate()

    async def ping(self) -> float:
        """The epoch second since which the server is up; errors as `connection`."""
        async with self.connection() as connection:
            return float(await connection.fetchval("SELECT extract(epoch FROM pg_postmaster_start_time())"))

    async def fetch(self, query: str, /, *args: Any) -> Sequence[Any]:
        """Rows of one statement; errors as `connection`."""
        async with self.connection() as connection:
            rows: Sequence[Any] = await connection.fetch(query, *args)
            return rows

    async def execute(self, query: str, /, *args: Any) -> None:
        """One statement without rows; errors as `connection`."""
        async with self.connection() as connection:
            await connection.execute(query, *args)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection inside a transaction; errors as `connection`."""
        async with self.connection() as connection, connection.transaction():
            yield connection


def _translated(error: Exception) -> MemdeckError:
    """What a caller is told of a driver's error."""
    if isinstance(error, FULL):
        return DiskFull()
    if isinstance(error, SHUT):
        return StoreReadOnly()
    if isinstance(error, SILENT):
        return StoreUnavailable()
    if isinstance(error, (*GONE, *GAVE_WAY)):
        return StoreLost(IN_THE_WAY if isinstance(error, GAVE_WAY) else "")
    if isinstance(error, UNSTORABLE):
        return BadRequest(f"A value cannot be stored: {error.args[0] if error.args else error}")
    log.error(
        "the database refused a statement: %s %s",
        type(error).__name__,
        getattr(error, "sqlstate", ""),
        extra=action(
            "statement_refused",
            table=getattr(error, "table_name", None),
            constraint=getattr(error, "constraint_name", None),
        ),
    )
    return StatementRefused(f"{type(error).__name__} {getattr(error, 'sqlstate', '')}".strip())
