"""The graph store's adapter against a server that speaks Bolt."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from neo4j.exceptions import ClientError

from memdeck_common.clock import SystemClock
from memdeck_common.errors import ConfigurationError
from memdeck_common.settings import Graph
from memdeck_daemon.infra.neo4j import GraphUnavailable, Neo4j
from tests.fakes.clock import ManualClock
from tests.fakes.silent_server import silent_server
from tests.support.bolt import PASSWORD, USER, BoltServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoltServer]:
    one = BoltServer(tmp_path_factory.mktemp("bolt")).start()
    yield one
    one.kill()


@asynccontextmanager
async def connected(url: str, *, password: str = PASSWORD, timeout: float = 5.0) -> AsyncIterator[Neo4j]:  # noqa: ASYNC109 - a setting
    settings = Graph(url=url, user=USER, password=password, timeout=timeout)
    neo4j = Neo4j(settings, SystemClock())
    try:
        yield neo4j
    finally:
        await neo4j.close()


async def test_what_is_written_is_read(server: BoltServer) -> None:
    """With parameters; rows are plain dictionaries."""
    async with connected(server.url) as neo4j:
        await neo4j.ping()
        await neo4j.write("CREATE (m:Memory {id: $id, text: $text})", id="m1", text="Alice likes cheese")
        found = await neo4j.read("MATCH (m:Memory {id: $id}) RETURN m.text AS text", id="m1")
        assert [{"text": "Alice likes cheese"}] == found


async def test_a_wrong_query_is_the_callers_mistake(server: BoltServer) -> None:
    """It does not count against the server."""
    async with connected(server.url) as neo4j:
        for _ in range(5):
            with pytest.raises(ClientError):
                await neo4j.read("MATCH nonsense")
        assert neo4j.guard.breaker.closed


async def test_a_refused_password_counts(server: BoltServer) -> None:
    """Asking on would be asking for a lock-out."""
    async with connected(server.url, password="wrong") as neo4j:
        for _ in range(4):
            with pytest.raises(GraphUnavailable):
                await neo4j.read("RETURN 1")
        assert (3, "open") == (neo4j.guard.breaker.counts.failed, neo4j.guard.breaker.state)


async def test_a_server_that_ends_is_left_alone_and_used_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """After three failures; the health look finds it again."""
    one = BoltServer(tmp_path_factory.mktemp("bolt"))
    await asyncio.to_thread(one.start)
    try:
        async with connected(one.url) as neo4j:
            await neo4j.read("RETURN 1")
            one.kill()
            for _ in range(4):
                with pytest.raises(GraphUnavailable):
                    await neo4j.read("RETURN 1")
            assert (3, 1) == (neo4j.guard.breaker.counts.failed, neo4j.guard.breaker.counts.refused)
            await asyncio.to_thread(one.start)
            await neo4j.ping()
            assert [{"1": 1}] == await neo4j.read("RETURN 1")
    finally:
        one.kill()


async def test_a_server_that_hangs_costs_no_more_than_the_timeout(server: BoltServer) -> None:
    """The driver alone would wait for ever for an answer, and half a minute for a connection."""
    loop = asyncio.get_running_loop()
    async with connected(server.url, timeout=0.2) as neo4j:
        await neo4j.ping()
        server.pause()
        try:
            for work in (neo4j.read("RETURN 1"), neo4j.ping()):
                begun = loop.time()
                with pytest.raises(GraphUnavailable):
                    await work
                assert loop.time() - begun < 1.5
        finally:
            server.go_on()
    async with silent_server() as address, connected(f"bolt://{address}") as neo4j:
        begun = loop.time()
        with pytest.raises(GraphUnavailable):
            await neo4j.read("RETURN 1")
        assert loop.time() - begun < 3


@pytest.mark.parametrize("url", ["localhost:7687", "http://localhost", "bolt://u:secret@h:x"])
def test_an_unusable_address_names_the_variable(url: str) -> None:
    """And nothing of it."""
    with pytest.raises(ConfigurationError, match="MEMORY_GRAPH_URL") as caught:
        Neo4j(Graph(url=url), ManualClock())
    assert "secret" not in str(caught.value)
