"""One database as the rest of the daemon sees it: connections with a deadline, and errors that say what to do.

Owns the translation of driver errors into the exceptions that callers understand. One asyncpg exception passes this
border, the unique violation, by which a store learns that somebody was first; no connection string does, and no row:
Postgres quotes rows in the details of its errors, so of an unexpected one only its code and place are logged.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Protocol

import asyncpg

from memdeck_common.errors import BadRequest, DiskFull, MemdeckError, StoreUnavailable
from memdeck_common.log import action

log = logging.getLogger(__name__)

GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.InternalClientError,  # the driver lost its place, see below
    asyncpg.InvalidCatalogNameError,  # the database is being swapped for a restored one
    asyncpg.ObjectNotInPrerequisiteStateError,  # it takes no connections meanwhile
    ConnectionError,
    OSError,
)
GAVE_WAY = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)
"""Deadlocks and the like: the transaction was rolled back for the sake of another one."""
FULL = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError)
UNSTORABLE = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError, asyncpg.DataError)


class Pool(Protocol):
    """What is used of asyncpg's pool."""

    def acquire(self, *, timeout: float | None = None) -> Any:
        """A connection, as an async context manager."""


class Database:
    """Connections to the one database of this daemon."""

    def __init__(
        self, pool: Pool, *, acquire_timeout: float, observe: Callable[[float], None] = lambda _: None
    ) -> None:
        """`observe` is told for how many seconds each connection was held."""
        self._pool = pool
        self._acquire_timeout = acquire_timeout
        self._observe = observe

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection outside a transaction.

        Raises:
            StoreUnavailable: none is free in time, or the database does not answer.
            DiskFull: the database has no room left.
            BadRequest: a value cannot be stored.
            MemdeckError: the database refused a statement for a reason that nobody expected; the log has its code.
        """
        try:
            async with self._pool.acquire(timeout=self._acquire_timeout) as connection:
                begun = monotonic()
                try:
                    yield connection
                except asyncpg.InternalClientError:
                    # The server went while a statement was under way: this connection must not be lent again.
                    connection.terminate()
                    raise
                self._observe(monotonic() - begun)
        except FULL as error:
            raise DiskFull from error
        except (*GONE, TimeoutError) as error:
            raise StoreUnavailable from error
        except GAVE_WAY as error:
            raise StoreUnavailable("Another write was in the way; nothing was stored. Try again.") from error
        except UNSTORABLE as error:
            raise BadRequest(f"A value cannot be stored: {error.args[0] if error.args else error}") from error
        except asyncpg.UniqueViolationError:
            raise
        except asyncpg.PostgresError as error:
            log.error(  # noqa: TRY400 - the traceback would end with the row
                "the database refused a statement: %s %s",
                type(error).__name__,
                error.sqlstate,
                extra=action("statement_refused", table=error.table_name, constraint=error.constraint_name),
            )
            raise MemdeckError from None

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
