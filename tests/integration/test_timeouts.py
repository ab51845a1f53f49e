"""Clients against a server that takes connections and never answers: each ends in its own time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.faults.proxy import HANG, Proxy, proxy
from memdeck_common.errors import StoreLost, StoreUnavailable
from memdeck_common.settings import Database as DatabaseSettings
from memdeck_common.settings import Redis as Settings
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.infra.postgres.pool import open_pool
from memdeck_daemon.infra.redis import Redis, RedisAway
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.memory.embedding.endpoint import Endpoint
from memdeck_daemon.memory.embedding.failures import EmbedderFailed
from memdeck_daemon.memory.embedding.remote import RemoteEmbedder
from tests.fakes.clock import ManualClock
from tests.fakes.silent_server import silent_server
from tests.support.postgres import PostgresServer
from tests.support.waiting import eventually


@asynccontextmanager
async def at_most(seconds: float) -> AsyncIterator[None]:
    """What happens inside takes no longer."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    yield
    assert loop.time() - begun < seconds


async def test_redis() -> None:
    """redis-py would wait for a minute; the health look finds out as well."""
    async with silent_server() as address, at_most(1):
        redis = Redis(Settings(url=f"redis://{address}", timeout=0.05), ManualClock())
        assert None is await redis.get("key")
        with pytest.raises(RedisAway):
            await redis.ping()
        assert redis.away
        await redis.close()


@pytest.mark.parametrize("query", [True, False])
async def test_the_embedder(query: bool) -> None:
    """A query has no more time than its request, either."""
    async with silent_server() as address, at_most(1):
        timeout = 30.0 if query else 0.1
        embedder = RemoteEmbedder(Endpoint(f"http://{address}/v1", "m", None, timeout, 1), 8)
        embedder.open()
        with deadline.within(0.1), pytest.raises(EmbedderFailed, match="in time"):
            await embedder.embed(["tea"], query=query)
        await embedder.close()


async def test_a_connection_to_the_database() -> None:
    """One that cannot be opened."""
    async with silent_server() as address, at_most(2):
        with pytest.raises(TimeoutError):
            await open_pool(f"postgresql://u:p@{address}/d", DatabaseSettings(connect_timeout=0.1))


@asynccontextmanager
async def connected(server: PostgresServer) -> AsyncIterator[tuple[Proxy, Database]]:
    async with proxy("127.0.0.1", server.port) as way:
        settings = DatabaseSettings(pool_min=1, pool_max=1, command_timeout=0.2, acquire_timeout=0.2)
        pool = await open_pool(server.url(port=way.port), settings)
        try:
            yield way, Database(pool, acquire_timeout=settings.acquire_timeout)
        finally:
            pool.terminate()


async def test_a_statement() -> None:
    """The driver's timeout, and the few seconds in which it tries to cancel; or as soon as it is given up."""
    server = await asyncio.to_thread(lambda: PostgresServer().start())
    try:
        async with connected(server) as (way, database):
            await way.set(HANG)
            async with at_most(8):
                with pytest.raises(StoreUnavailable):
                    await database.fetch("SELECT 1")
        async with connected(server) as (way, database):
            await database.fetch("SELECT 1")
            await way.set(HANG)
            waiting = asyncio.create_task(database.fetch("SELECT 1"))
            await eventually(lambda: database._lent_now)
            async with at_most(1):
                database.abandon()
                with pytest.raises(StoreLost):
                    await waiting
    finally:
        await asyncio.to_thread(server.dispose)
