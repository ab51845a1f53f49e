"""The stores beside Postgres, as far as they are configured. All of them can be done without.

Owns that their clients are imported only then: each costs memory and start-up time that most daemons never use.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memdeck_common.clock import Clock
from memdeck_common.settings import Settings
from memdeck_daemon.infra.resilience.breaker import Breaker

if TYPE_CHECKING:
    from memdeck_daemon.infra.neo4j import Neo4j
    from memdeck_daemon.infra.qdrant import Qdrant
    from memdeck_daemon.infra.redis import Redis


@dataclass(slots=True)
class Stores:
    """Those of one daemon."""

    redis: "Redis | None" = None
    neo4j: "Neo4j | None" = None
    qdrant: "Qdrant | None" = None
    named: "dict[str, Redis | Neo4j | Qdrant]" = field(default_factory=dict)
    """Those that are there, in the order in which they are shown."""

    def breakers(self) -> list[Breaker]:
        """Of all of them."""
        return [store.guard.breaker for store in self.named.values()]


@asynccontextmanager
async def opened(settings: Settings, clock: Clock) -> AsyncIterator[Stores]:
    """The configured ones; nothing is connected before it is asked.

    Raises:
        ConfigurationError: an address cannot be used.
    """
    async with AsyncExitStack() as stack:
        stores = Stores()
        if settings.redis.url:
            from memdeck_daemon.infra.redis import Redis

            stores.redis = stores.named["redis"] = Redis(settings.redis, clock)
        if settings.graph.url:
            from memdeck_daemon.infra.neo4j import Neo4j

            stores.neo4j = stores.named["neo4j"] = Neo4j(settings.graph, clock)
        if settings.qdrant.url:
            from memdeck_daemon.infra.qdrant import Qdrant

            stores.qdrant = stores.named["qdrant"] = Qdrant(settings.qdrant, clock)
        for store in stores.named.values():
            stack.push_async_callback(store.close)
        yield stores
