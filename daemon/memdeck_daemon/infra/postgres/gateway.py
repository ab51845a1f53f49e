"""The way to the database: opened before the daemon serves if that can be, and in the background if it cannot.

Owns from settings to a pool: server (its own, or an external one that is checked), migrations, pool. What the settings get
wrong is told at once and ends the start; a database that is away is waited for while everything else serves. Until the pool
is open, to borrow a connection is an error like any other lost connection.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import asyncpg

from memdeck_common.clock import Clock
from memdeck_common.errors import ConfigurationError, DatabaseAway
from memdeck_common.log import action
from memdeck_common.settings import Settings
from memdeck_daemon.infra.postgres.cluster import EmbeddedCluster
from memdeck_daemon.infra.postgres.external import check_external
from memdeck_daemon.infra.postgres.migrations import migrate
from memdeck_daemon.infra.postgres.pool import CheckedPool, PoolUsage, open_pool
from memdeck_daemon.infra.tasks import Tasks

log = logging.getLogger(__name__)

FIRST_REST: Final = 0.5
LAST_REST: Final = 10.0
"""Seconds between two tries."""
DRIVER: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
CLOSE: Final = 5.0
"""Seconds for borrowed connections to come back at the end."""


class NotOpen(ConnectionError):
    """There is no connection to the database yet."""


class Gateway:
    """One daemon's database, once it is there. Fulfils `database.Pool`."""

    def __init__(self, settings: Settings, clock: Clock, progress: Callable[[str], None]) -> None:
        self._settings = settings
        self._pool: CheckedPool | None = None
        self._dsn: str | None = settings.database.url
        self._cluster = (
            None
            if settings.database.url
            else EmbeddedCluster(
                settings.home, settings.database, settings.instance, progress=progress, clock=clock
            )
        )
        self.opened = asyncio.Event()
        self.missing = "The database has not been opened yet."
        """Why there is none, in a sentence; empty as soon as it is open."""

    @property
    def dsn(self) -> str:
        """The address of a database that is open and of this version; NotOpen before."""
        if self._pool is None or self._dsn is None:
            raise NotOpen
        return self._dsn

    def acquire(self, *, timeout: float | None = None) -> Any:
        """A connection, as an async context manager; NotOpen before there is a pool."""
        if self._pool is None:
            raise NotOpen
        return self._pool.acquire(timeout=timeout)

    @property
    def usage(self) -> PoolUsage:
        """How much of the pool is in use."""
        if self._pool is None:
            return PoolUsage(0, 0, self._settings.database.pool_max)
        return PoolUsage.of(self._pool)

    async def open(self) -> None:
        """Try once.

        Raises:
            DatabaseAway: it does not answer; trying again is worth it.
            ConfigurationError: it cannot be used as it is, and what a person must do.
        """
        try:
            await self._open()
        except ConfigurationError as error:
            self.missing = str(error)
            raise

    async def _open(self) -> None:
        database = self._settings.database
        if self._cluster is not None:
            self._dsn = await self._cluster.start()
        elif database.url:
            await check_external(database.url, database)
        try:
            connection = await asyncpg.connect(self._dsn, timeout=database.connect_timeout * 5)
            try:
                for name in await migrate(connection):
                    log.info("migrated the database: %s", name, extra=action("migrated", migration=name))
            finally:
                await connection.close()
            self._pool = await open_pool(self._dsn or "", database)
        except (DatabaseAway, OSError, *DRIVER) as error:
            if self._cluster is not None:
                await self._cluster.stop()
            if isinstance(error, DatabaseAway):
                raise
            raise DatabaseAway(f"The database does not take connections: {type(error).__name__}.") from error
        self.missing = ""
        self.opened.set()

    async def run(self) -> None:
        """Open it, again and again until it is open, then look after the embedded server; until cancelled."""
        rest = FIRST_REST
        while not self.opened.is_set():
            await asyncio.sleep(rest)
            rest = min(2 * rest, LAST_REST)
            before = self.missing
            try:
                await self.open()
            except ConfigurationError as error:
                if str(error) != before:
                    log.warning("without a database: %s", error, extra=action("database_away"))
            else:
                log.info("the database is there", extra=action("database_opened"))
        if self._cluster is not None:
            await self._cluster.supervise()
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Close the pool, then stop the embedded server."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), CLOSE)
            except TimeoutError:
                pool.terminate()
        if self._cluster is not None:
            await self._cluster.stop()


@asynccontextmanager
async def opened(
    settings: Settings, clock: Clock, progress: Callable[[str], None], failed: asyncio.Event
) -> AsyncIterator[Gateway]:
    """A gateway that is open, or will be; `failed` is set when its task ends by itself.

    Raises:
        ConfigurationError: the database cannot be used as it is, and what a person must do.
    """
    gateway = Gateway(settings, clock, progress)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(gateway.close)
        try:
            await gateway.open()
        except DatabaseAway as error:
            log.warning(
                "starting without a database: %s It is tried again and again.", error,
                extra=action("database_away"),
            )  # fmt: skip
        tasks = await stack.enter_async_context(Tasks(failed))
        tasks.start("database", gateway.run())
        yield gateway
