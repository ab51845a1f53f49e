"""Windows of sessions in a real Redis."""

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memdeck_common.clock import SystemClock
from memdeck_common.settings import Redis as Settings
from memdeck_daemon.infra.redis import Redis
from memdeck_daemon.memory.sessions.model import Said
from memdeck_daemon.memory.sessions.windows import KEEP_SECONDS, KeptWindows, OwnShelf, key_of
from tests.support.redis import RedisServer

SCOPE = ("user:ada", "run:chat")
WINDOW = [
    Said(uuid.UUID(int=1), "The violin is called Bruno", "user", "Ada", datetime(2026, 11, 20, tzinfo=UTC))
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    started = RedisServer(tmp_path).start()
    yield started
    started.kill()


@asynccontextmanager
async def connected(server: RedisServer) -> AsyncIterator[Redis]:
    client = Redis(Settings(url=server.url), SystemClock())
    try:
        yield client
    finally:
        await client.close()


async def test_a_window_outlives_the_daemon_that_kept_it(server: RedisServer) -> None:
    """For 24 hours, for another daemon of the instance and for no other instance."""
    async with connected(server) as redis:
        await KeptWindows("default", [redis]).keep(SCOPE, WINDOW)
    async with connected(server) as redis:
        assert WINDOW == await KeptWindows("default", [redis]).find(SCOPE)
        assert await KeptWindows("other", [redis]).find(SCOPE) is None
        left = await redis.attempt(lambda client: client.ttl(key_of("default", SCOPE)))
    assert KEEP_SECONDS - 60 < left <= KEEP_SECONDS


async def test_without_redis_the_own_shelf_tells_it(server: RedisServer) -> None:
    """A Redis that went away does not take the window with it."""
    async with connected(server) as redis:
        kept = KeptWindows("default", [redis, OwnShelf(SystemClock())])
        await kept.keep(SCOPE, WINDOW)
        server.kill()
        assert WINDOW == await kept.find(SCOPE)
