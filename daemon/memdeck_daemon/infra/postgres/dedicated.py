"""A connection outside the pool, for what has to be held as long as the daemon lives.

Owns its session settings. It is idle nearly always: a lock that it holds ends with its holder, kill -9 included, because
the server sees the closed socket at once; while it waits for a lock, the server looks every second.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final

import asyncpg

from memdeck_common.settings import Database

APPLICATION: Final = "memdeckd presence"
CLOSE_TIMEOUT: Final = 1.0
SESSION: Final = (
    "set client_connection_check_interval = '1s'",
    # Where the server is another machine: a peer that has vanished without a word is given up after 20 s.
    "set tcp_keepalives_idle = 10",
    "set tcp_keepalives_interval = 5",
    "set tcp_keepalives_count = 2",
)

Connect = Callable[[], AbstractAsyncContextManager[Any]]


def connecting(dsn: Callable[[], str], settings: Database) -> Connect:
    """What opens such connections; each is closed when its block is left. `dsn` may raise OSError: there is none yet."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        connection = await asyncpg.connect(
            dsn(), timeout=settings.connect_timeout * 5, server_settings={"application_name": APPLICATION}
        )
        try:
            for statement in SESSION:
                with suppress(asyncpg.PostgresError):  # not on every platform
                    await connection.execute(statement)
            yield connection
        finally:
            with suppress(
                asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError
            ):
                await connection.close(timeout=CLOSE_TIMEOUT)

    return connect
