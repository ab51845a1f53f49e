"""The pool of connections: opened before the daemon is ready, checked after a rest, never reset by a round trip.

Owns session settings. Borrowers leave a connection as they found it (SET LOCAL only, no session locks): the driver's
usual reset after each use costs a round trip, and an open transaction is rolled back without it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

import asyncpg
import asyncpg.pool

from memdeck_common.settings import Database
from memdeck_daemon.infra.postgres import codecs

APPLICATION = "memdeckd"
RESTED = 30.0
"""Seconds without use after which a connection is asked `SELECT 1` before it is lent."""
CHECK_TIMEOUT = 1.0
GRACE = 1.0
"""Seconds by which the server's statement timeout comes before the driver's, which needs a connection to cancel."""
STATEMENTS = 512
"""Prepared statements kept per connection."""
QUERIES = 5_000_000
"""Queries after which a connection is replaced: its server process keeps what it has ever looked at."""
IDLE_IN_TRANSACTION = "30s"


class ConnectionStale(Exception):
    """A connection that rested no longer answers; the pool replaces it."""


class CheckedPool(asyncpg.pool.Pool):  # type: ignore[misc]  # the driver has no types
    """asyncpg's pool, which would hand the error of a failed check to the borrower; this one takes the next connection."""

    async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109 - the driver's signature
        while True:  # each round closes one stale connection, so it ends
            with suppress(ConnectionStale):
                return await super()._acquire(timeout)


class RestCheck:
    """Remembers since when each connection rests, by the pid of its server process."""

    def __init__(self, now: Callable[[], float] = monotonic, rested: float = RESTED) -> None:
        self._now = now
        self._rested = rested
        self._since: dict[int, float] = {}

    async def before(self, connection: Any) -> None:
        """Check a connection that is about to be lent.

        Raises:
            ConnectionStale: it does not answer; it is closed.
        """
        since = self._since.pop(connection.get_server_pid(), None)
        if since is None or self._now() - since < self._rested:
            return
        try:
            await connection.execute("select 1", timeout=CHECK_TIMEOUT)
        # InternalClientError: the server ended the connection while the driver was about to write.
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            connection.terminate()
            raise ConnectionStale from None

    async def after(self, connection: Any) -> None:
        """Note that a connection was given back."""
        self._since[connection.get_server_pid()] = self._now()

    def forget(self, pid: int) -> None:
        """The connection to this server process was closed."""
        self._since.pop(pid, None)


async def open_pool(dsn: str, settings: Database, *, check: RestCheck | None = None) -> CheckedPool:
    """A pool with `pool_min` open connections.

    Connections know `jsonb`, `vector` and `halfvec`, plan each execution for its own values, and end statements that
    exceed `command_timeout` on the server too.

    Raises:
        OSError, asyncpg.PostgresError: the first connections cannot be opened.
    """
    rest = check or RestCheck()
    pool = CheckedPool(
        dsn,
        min_size=min(settings.pool_min, settings.pool_max),
        max_size=settings.pool_max,
        max_queries=QUERIES,
        max_inactive_connection_lifetime=settings.idle_timeout,
        init=_initialiser(settings, rest),
        setup=rest.before,
        reset=rest.after,
        loop=asyncio.get_running_loop(),
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        timeout=settings.connect_timeout,
        command_timeout=settings.command_timeout + GRACE,
        statement_cache_size=STATEMENTS,
        max_cached_statement_lifetime=0,
        server_settings={"application_name": APPLICATION},
    )
    await pool
    return pool


def _initialiser(settings: Database, rest: RestCheck) -> Callable[[Any], Awaitable[None]]:
    # A plain SET: proxies before managed servers refuse unknown parameters at the start of a session.
    session = (
        # A generic plan ignores how selective an owner is: 238 ms instead of 1.1 for a vector search.
        "set plan_cache_mode = force_custom_plan;"
        f"set statement_timeout = {int(settings.command_timeout * 1000)};"
        f"set idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION}';"
        "set jit = off"
    )

    async def initialise(connection: Any) -> None:
        await connection.execute(session)
        with suppress(asyncpg.PostgresError):  # not on every platform
            await connection.execute("set client_connection_check_interval = '5s'")
        await codecs.register(connection)
        pid = connection.get_server_pid()  # a closed connection no longer tells
        connection.add_termination_listener(lambda _: rest.forget(pid))
        await rest.after(connection)

    return initialise


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """How much of a pool is in use, in connections."""

    in_use: int
    size: int
    maximum: int

    @classmethod
    def of(cls, pool: asyncpg.pool.Pool) -> "PoolUsage":
        """The usage right now."""
        size = pool.get_size()
        return cls(in_use=size - pool.get_idle_size(), size=size, maximum=pool.get_max_size())
