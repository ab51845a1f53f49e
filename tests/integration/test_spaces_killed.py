"""A daemon with a remote embedder, ended by kill −9 in the middle of its work, and how it is seen from outside."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from memdeck_common.client import Address, Client
from memdeck_common.errors import Conflict
from memdeck_common.wire.spaces import NewSpace, Space
from tests.fakes.embedding_server import EmbeddingServer, serving
from tests.support.daemon import DaemonFactory, DaemonFailedError, RunningDaemon
from tests.support.waiting import eventually

MEMORIES = 400
PATIENT = {"MEMDECK_EMBEDDING_QUERY_BUDGET": "5"}


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with serving(EmbeddingServer(dimensions=32, widths={"wide": 48})) as one:
        yield one


@pytest.fixture
async def daemon_of(make_daemon: DaemonFactory, server: EmbeddingServer) -> Callable[[], RunningDaemon]:
    """Makes a daemon with this embedder, not started."""
    where = {
        "MEMDECK_EMBEDDING_URL": server.url,
        "MEMDECK_EMBEDDING_MODEL": "m",
        "MEMDECK_EMBEDDING_BATCH": "4",
    }
    return lambda: make_daemon(environment=where | PATIENT, start=False)


def client_of(daemon: RunningDaemon) -> Client:
    return Client(Address(daemon.url, daemon.key))


async def store(client: Client) -> None:
    for start in range(0, MEMORIES, 50):
        said = [{"role": "user", "content": f"fact number {n}"} for n in range(start, start + 50)]
        await client.add(said, user_id="u")


async def space(client: Client, role: str) -> Space:
    found = [one for one in (await client.spaces()).spaces if one.role == role]
    assert found
    return found[0]


async def filled(client: Client, role: str) -> Space:
    async def looked() -> Space:
        found = await space(client, role)
        assert found.filled_at
        assert (MEMORIES, 0) == (found.embedded, found.waiting)
        return found

    return await eventually(looked, timeout=60.0, what=f"the {role} space is filled")


async def test_backfill_goes_on_after_kill_9(
    daemon_of: Callable[[], RunningDaemon], server: EmbeddingServer
) -> None:
    """Nothing is lost and hardly anything asked for twice; an early switch stays refused, a switch survives."""
    daemon = await asyncio.to_thread(daemon_of().start)
    async with client_of(daemon) as client:
        await store(client)
        await filled(client, "primary")
        candidate = await client.add_space(NewSpace(model="wide"))
        asked = len(server.requests)
        await eventually(lambda: len(server.requests) > asked + 5)
        server.stall()
    daemon.kill()
    server.heal()
    server.stall()
    await asyncio.to_thread(daemon.start)
    async with client_of(daemon) as client:
        with pytest.raises(Conflict):
            await client.switch_space(candidate.id)
        server.heal()
        await filled(client, "candidate")
        assert "primary" == (await client.switch_space(candidate.id)).role
    daemon.kill()
    await asyncio.to_thread(daemon.start)
    async with client_of(daemon) as client:
        assert (candidate.id, "m") == (
            (await space(client, "primary")).id,
            (await space(client, "retired")).model,
        )
        answer = await client.search("fact number 7", {"user_id": "u"}, top_k=3)
        assert ("fact number 7", []) == (answer.results[0].memory, answer.degraded)
        assert 1.0 == (await _dropped(client)).percent / 100.0


async def _dropped(client: Client) -> Space:
    await client.drop_space((await space(client, "retired")).id)
    assert ["local", "primary"] == [one.role for one in (await client.spaces()).spaces]
    return await space(client, "primary")


async def test_a_switch_that_is_killed_happened_or_did_not(
    daemon_of: Callable[[], RunningDaemon], server: EmbeddingServer
) -> None:
    """There is one primary space afterwards, whichever, and it answers."""
    daemon = await asyncio.to_thread(daemon_of().start)
    async with client_of(daemon) as client:
        await store(client)
        await filled(client, "primary")
        candidate = await client.add_space(NewSpace(model="wide"))
        switching = asyncio.create_task(client.switch_space(candidate.id, force=True))
        await eventually(lambda: "wide" in {body["model"] for body in server.bodies})
        daemon.kill()
        await asyncio.gather(switching, return_exceptions=True)
    await asyncio.to_thread(daemon.start)
    async with client_of(daemon) as client:
        found = await filled(client, "primary")
        others = [one for one in (await client.spaces()).spaces if one.role in {"candidate", "retired"}]
        assert (1, {"m", "wide"}) == (len(others), {found.model, others[0].model})
        answer = await client.search("fact number 7", {"user_id": "u"}, top_k=3)
        assert ("fact number 7", []) == (answer.results[0].memory, answer.degraded)


async def test_the_embedder_is_shown_as_a_service(
    daemon_of: Callable[[], RunningDaemon], server: EmbeddingServer
) -> None:
    """With its queue while it is away, and what is wrong in a few words; the daemon stays ready."""
    server.key = "sk-right"
    daemon = daemon_of()
    daemon.environment["MEMDECK_EMBEDDING_DIMS"] = "32"
    daemon.environment["MEMDECK_EMBEDDING_API_KEY"] = "sk-wrong"
    await asyncio.to_thread(daemon.start)
    async with client_of(daemon) as client:
        await store(client)

        async def shown() -> bool:
            health = await client.health()
            row = next(service for service in health.services if service.name == "embedder")
            return ("warn", f"key refused · queue {MEMORIES}") == (row.state, row.note)

        await eventually(shown)
        assert "ready" == (await client.ready()).status
    assert "sk-wrong" not in await asyncio.to_thread(daemon.log)
    assert "look at MEMDECK_EMBEDDING_API_KEY" in await asyncio.to_thread(daemon.log)


async def test_wrong_dimensions_end_the_start_with_one_sentence(
    daemon_of: Callable[[], RunningDaemon],
) -> None:
    """Before anything was made for them."""
    daemon = daemon_of()
    daemon.environment["MEMDECK_EMBEDDING_DIMS"] = "1536"
    with pytest.raises(DaemonFailedError, match="exit code 78"):
        await asyncio.to_thread(daemon.start)
    told = [line for line in daemon.log().splitlines() if line.startswith("memdeckd: ")]
    assert [
        (
            "memdeckd: The embedder answers with 32 dimensions for m, not 1536: set MEMDECK_EMBEDDING_DIMS=32, "
            "or MEMDECK_EMBEDDING_MODEL to the model that was meant."
        )
    ] == told
