"""Without a spool and without the database: reads as far as they can be had, no writes."""

import asyncio

import aiohttp

from bench.faults.proxy import HEALTHY, REFUSE, proxy
from tests.support.daemon import DaemonFactory
from tests.support.postgres import PostgresServer
from tests.support.waiting import eventually

QUERY = {"query": "What does Alice drink?", "filters": {"user_id": "alice"}, "threshold": 0}
SAID = {
    "messages": [{"role": "user", "content": "Alice drinks tea."}],
    "user_id": "alice",
    "infer": False,
}


async def test_nothing_is_written_and_nothing_is_pretended(make_daemon: DaemonFactory) -> None:
    """503, when to come back, and the mode; afterwards everything goes on by itself."""
    server = await asyncio.to_thread(lambda: PostgresServer().start())
    try:
        async with proxy("127.0.0.1", server.port) as way:
            settings = {"MEMDECK_DATABASE_URL": server.url(port=way.port), "MEMDECK_SPOOL_BYTES": "0"}
            daemon = await asyncio.to_thread(lambda: make_daemon(environment=settings))
            async with aiohttp.ClientSession(daemon.url, headers={"X-API-Key": daemon.key}) as session:

                async def post(path: str, body: object) -> aiohttp.ClientResponse:
                    async with session.post(path, json=body) as answer:
                        await answer.read()
                        return answer

                for path, body in (("/memories", SAID), ("/search", QUERY)):
                    assert 200 == (await post(path, body)).status
                await way.set(REFUSE)

                async def refused() -> bool:
                    answer = await post("/memories", SAID)
                    assert 503 == answer.status
                    assert {"Retry-After", "Memdeck-Degraded"} <= set(answer.headers)
                    return bool("read-only" == answer.headers["Memdeck-Mode"])

                await eventually(refused, what="mode read-only")
                answer = await post("/search", QUERY)
                assert (200, "unverified") == (answer.status, answer.headers["Memdeck-Cache"])
                await way.set(HEALTHY)

                async def stored() -> bool:
                    answer = await post("/memories", SAID)
                    return bool((answer.status, answer.headers["Memdeck-Mode"]) == (200, "normal"))

                await eventually(stored, what="writes that are stored again")
            await asyncio.to_thread(daemon.stop)
    finally:
        await asyncio.to_thread(server.dispose)
