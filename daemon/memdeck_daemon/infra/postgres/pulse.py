"""The database's pulse: one statement a second on a connection of its own.

Owns what is known of the database without asking it: whether it answers, how fast, since when it is up, and whether it
says that it takes no writes. The pulse closes
the breaker as soon as the database answers again, so that nobody waits for the end of the open period; and it opens it
when the database is silent, and gives up what was asked of it, which requests would find out one by one, each after its
own timeouts. It does not use the pool: one that is busy says nothing of the server.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import asyncpg

from memdeck_common.errors import StoreUnavailable
from memdeck_daemon.infra.resilience.breaker import Breaker
from memdeck_daemon.infra.resilience.modes import Modes

INTERVAL: Final = 1.0
ANSWER: Final = 4.0
"""Seconds that an answer may take. With longer round trips the pool serves less than one search in three seconds: that is
slower than any deadline. A database that was silent for a moment only is asked again a second later."""
CONNECT: Final = 8.0
"""Seconds that a connection may take: several round trips."""
SILENT: Final = 2
"""Beats in a row without any answer after which nobody waits for what was asked before, either."""
SLOW: Final = 0.5
"""Seconds for one round trip from which on the database is slow."""
APPLICATION: Final = "memdeckd pulse"
STATE: Final = (
    "SELECT extract(epoch FROM pg_postmaster_start_time()) AS since, "
    "current_setting('transaction_read_only') = 'on' AS read_only"
)


class Pulse:
    """Looks at the database; `run` for as long as the daemon serves."""

    def __init__(
        self,
        dsn: Callable[[], str],
        breaker: Breaker,
        modes: Modes,
        now: Callable[[], float],
        abandon: Callable[[], None] = lambda: None,
        *,
        answer: float = ANSWER,
        connect: float = CONNECT,
    ) -> None:
        """`dsn` may raise OSError: there is no database yet. `now`: monotonic seconds. `abandon` ends what is under way."""
        self._dsn, self._breaker, self._modes, self._now = dsn, breaker, modes, now
        self._abandon, self._answer, self._connect = abandon, answer, connect
        self._connection: Any = None
        self._silent = 0
        self.up_since: float | None = None
        """Epoch second at which the server started; None while it does not answer."""
        self.read_only = False
        """Whether it said at last that it takes no writes."""

    async def run(self) -> None:
        """Beat until cancelled."""
        try:
            while True:
                await self.beat()
                await asyncio.sleep(INTERVAL)
        finally:
            self._drop()

    async def beat(self) -> None:
        """Look once; what it finds goes to breaker and modes."""
        begun, slow = self._now(), False
        try:
            with self._breaker.probe():
                await self._ask()
            self._silent = 0
            slow = self._now() - begun > SLOW
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            self.up_since = None
            self._drop()
            if isinstance(error, TimeoutError):
                self._heard_nothing()
        self._modes.database("slow" if slow else "well" if self._breaker.closed else "away")

    def _heard_nothing(self) -> None:
        self._silent += 1
        if self._breaker.closed:
            self._breaker.open("no answer")
        if self._silent == SILENT:
            self._abandon()

    async def ping(self) -> float:
        """The epoch second since which the server is up, as the last beat found it.

        Raises:
            StoreUnavailable: it did not answer.
        """
        if self.up_since is None:
            raise StoreUnavailable
        return self.up_since

    async def _ask(self) -> None:
        if self._connection is None:
            self._connection = await asyncpg.connect(
                self._dsn(), timeout=self._connect, server_settings={"application_name": APPLICATION}
            )
        async with asyncio.timeout(self._answer):
            state = await self._connection.fetchrow(STATE)
        self.up_since = float(state["since"])
        self.read_only = bool(state["read_only"])
        self._modes.read_only(told=self.read_only)

    def _drop(self) -> None:
        """Give the connection up without a word to a server that may not answer."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
