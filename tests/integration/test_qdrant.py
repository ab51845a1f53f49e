"""Qdrant's adapter over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from memdeck_common.clock import SystemClock
from memdeck_common.errors import BadRequest, ConfigurationError
from memdeck_common.settings import Qdrant as Settings
from memdeck_daemon.infra.qdrant import Qdrant, QdrantUnavailable
from tests.fakes.clock import ManualClock
from tests.fakes.qdrant_server import QdrantServer, Trouble, serving

SIZE = {"vectors": {"size": 4, "distance": "Cosine"}}


@asynccontextmanager
async def connected(server: QdrantServer, **settings: float) -> AsyncIterator[Qdrant]:
    qdrant = Qdrant(Settings(url=server.url, api_key=server.key or None, **settings), SystemClock())
    try:
        yield qdrant
    finally:
        await qdrant.close()


async def test_it_is_called_with_its_key() -> None:
    """And answers with results."""
    async with serving(QdrantServer(key="secret")) as server, connected(server) as qdrant:
        await qdrant.ping()
        assert True is await qdrant.call("PUT", "/collections/memories", SIZE)
        found = await qdrant.call("GET", "/collections/memories")
        assert SIZE == found["config"]["params"]
        server.key = "another"
        with pytest.raises(QdrantUnavailable):
            await qdrant.call("GET", "/collections/memories")


async def test_a_refused_call_is_the_callers_mistake() -> None:
    """It does not count against the server."""
    async with serving() as server, connected(server) as qdrant:
        for _ in range(5):
            with pytest.raises(BadRequest):
                await qdrant.call("GET", "/collections/nothing")
        assert qdrant.guard.breaker.closed


@pytest.mark.parametrize("trouble", ["error", "hang"])
async def test_a_failing_server_is_left_alone_and_found_again(trouble: Trouble) -> None:
    """After three failures, none of which took longer than the timeout."""
    async with serving() as server, connected(server, timeout=0.1) as qdrant:
        server.trouble = trouble
        begun = asyncio.get_running_loop().time()
        for _ in range(5):
            with pytest.raises(QdrantUnavailable):
                await qdrant.call("GET", "/collections/memories")
        assert asyncio.get_running_loop().time() - begun < 1
        assert (3, "open") == (server.requests, qdrant.guard.breaker.state)
        server.trouble = ""
        await qdrant.ping()
        assert qdrant.guard.breaker.closed


async def test_redirects_are_not_followed() -> None:
    """The key would travel on."""
    async with serving() as server, connected(server) as qdrant:
        server.trouble = "redirect"
        with pytest.raises(BadRequest, match="307"):
            await qdrant.call("GET", "/collections/memories")


@pytest.mark.parametrize("url", ["localhost:6333", "http://", "http://key:secret@h:6333"])
def test_an_unusable_address_names_the_variable(url: str) -> None:
    """And nothing of it."""
    with pytest.raises(ConfigurationError, match="MEMDECK_QDRANT_URL") as caught:
        Qdrant(Settings(url=url), ManualClock())
    assert "secret" not in str(caught.value)
