"""A Neo4j (or Aura, or whatever speaks Bolt) that may be away: every call ends in time, and a failing one is left alone.

Owns the driver, its bounds and its guard. Refuses to know what is in the graph, and to retry: the driver would for half a
minute, so it is told not to.
"""

import asyncio
from typing import Any, Final, LiteralString

from neo4j import AsyncGraphDatabase, RoutingControl
from neo4j.exceptions import AuthError, DriverError, TransientError
from neo4j.exceptions import ConfigurationError as BadAddress

from memdeck_common.clock import Clock
from memdeck_common.errors import ConfigurationError, Unavailable
from memdeck_common.settings import Graph as Settings
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.infra.resilience.breaker import BreakerOpen
from memdeck_daemon.infra.resilience.bulkhead import Overloaded
from memdeck_daemon.infra.resilience.guard import Guard, Room
from memdeck_daemon.infra.resilience.policies import NEO4J

ACQUIRE: Final = 1.0
"""Seconds to open or to be lent a connection."""
RESTED: Final = 60.0
"""Seconds without use after which a connection is tested before it is lent."""
LOOK: Final = 0.9
"""Seconds that the health look may take; it comes once a second."""
SCHEMES: Final = ("bolt://", "bolt+", "neo4j://", "neo4j+")
QUEUE: Final = 100
FAULTS: Final = (DriverError, AuthError, TransientError, OSError)
"""A query that is wrong is the caller's mistake; a refused password is nobody's who asks."""


class GraphUnavailable(Unavailable):
    """The graph store does not answer; try again shortly."""

    code = "graph_unavailable"
    part = "neo4j"


class Neo4j:
    """One server. Nothing is connected before the first call."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Raises ConfigurationError when the address cannot be used; the message does not show it."""
        url = settings.url or ""
        try:
            if not url.startswith(SCHEMES):
                raise ValueError(url)  # noqa: TRY301 - as the driver would
            self._driver = AsyncGraphDatabase.driver(
                url,
                auth=(settings.user, settings.password or ""),
                max_connection_pool_size=settings.pool_max,
                connection_timeout=ACQUIRE,
                connection_acquisition_timeout=ACQUIRE,
                liveness_check_timeout=RESTED,
                max_transaction_retry_time=0,
                user_agent="memdeckd",
            )
        except (BadAddress, ValueError):
            raise ConfigurationError(
                "MEMORY_GRAPH_URL cannot be read: write bolt://HOST:7687, or neo4j+s://… as Aura shows it."
            ) from None
        self._timeout, self.capacity = settings.timeout, settings.pool_max
        # One connection is left for the health look.
        room = Room(calls=settings.pool_max - 1, queue=QUEUE, patience=ACQUIRE)
        self.guard = Guard("neo4j", NEO4J, FAULTS, clock, room)

    async def read(self, query: LiteralString, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query that changes nothing.

        Raises:
            GraphUnavailable: the server fails, is left alone, or has too much to do.
        """
        return await self._guarded(query, parameters, RoutingControl.READ)

    async def write(self, query: LiteralString, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query, in a transaction of its own; as `read`. It may have been done although this fails."""
        return await self._guarded(query, parameters, RoutingControl.WRITE)

    async def ping(self) -> None:
        """Raises GraphUnavailable when it does not answer; asks even one that is left alone, and ends that when it does."""
        try:
            with self.guard.breaker.probe():
                await self._rows("RETURN 1", {}, RoutingControl.READ, LOOK)
        except FAULTS:
            raise GraphUnavailable from None

    async def _guarded(
        self, query: LiteralString, parameters: dict[str, Any], routing: RoutingControl
    ) -> list[dict[str, Any]]:
        try:
            async with self.guard.call():
                return await self._rows(query, parameters, routing, deadline.left(self._timeout))
        except BreakerOpen as error:
            raise GraphUnavailable(retry_after=error.retry_after) from None
        except (Overloaded, *FAULTS):
            raise GraphUnavailable from None

    async def _rows(
        self, query: LiteralString, parameters: dict[str, Any], routing: RoutingControl, seconds: float
    ) -> list[dict[str, Any]]:
        async with asyncio.timeout(seconds):
            found = await self._driver.execute_query(query, parameters, routing_=routing)
        return [dict(record) for record in found.records]

    async def close(self) -> None:
        """Close all connections."""
        await self._driver.close()
