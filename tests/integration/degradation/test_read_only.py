"""A database that takes no writes, or does not answer without a spool: reads as far as they can be had."""

import asyncio
from typing import Any

import aiohttp
import asyncpg

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


async def statements(url: str, *said: str) -> None:
    """Of the database's owner, who may write whatever the default is."""
    connection = await asyncpg.connect(url)
    try:
        for statement in ("SET default_transaction_read_only = off", *said):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_database_that_takes_no_writes_is_read(make_daemon: DaemonFactory) -> None:
    """Also by a daemon that starts on it; the mode tells it, writes wait, and both end by themselves."""
    server = await asyncio.to_thread(lambda: PostgresServer().start())
    reload = "SELECT pg_reload_conf()"
    try:
        daemon = await asyncio.to_thread(
            lambda: make_daemon(environment={"MEMDECK_DATABASE_URL": server.url()})
        )
        async with aiohttp.ClientSession(headers={"X-API-Key": daemon.key}) as session:

            async def call(method: str, path: str, body: object = None) -> tuple[int, str, Any]:
                async with session.request(method, daemon.url + path, json=body) as answer:
                    return answer.status, answer.headers["Memdeck-Mode"], await answer.json()

            async def in_mode(mode: str, without: set[str]) -> None:
                async def looked() -> bool:
                    health = (await call("GET", "/health"))[2]
                    return bool(mode == health["mode"] and without == set(health["degraded"]))

                await eventually(looked, what=f"mode {mode}")

            assert (200, "normal") == (await call("POST", "/memories", SAID))[:2]
            await statements(server.url(), "ALTER SYSTEM SET default_transaction_read_only = on", reload)
            await in_mode("read-only", {"postgres", "writes"})
            assert 202 == (await call("POST", "/memories", SAID))[0]
            await asyncio.to_thread(daemon.stop)
            await asyncio.to_thread(lambda: daemon.start(ready=False))
            await in_mode("read-only", {"postgres", "writes", "spool"})
            for method, path, body in (("POST", "/search", QUERY), ("GET", "/memories?user_id=alice", None)):
                status, _, found = await call(method, path, body)
                assert (200, 1, ["spool"]) == (status, len(found["results"]), found["degraded"])
            assert 202 == (await call("POST", "/memories", SAID))[0]
            await statements(server.url(), "ALTER SYSTEM RESET default_transaction_read_only", reload)
            await in_mode("normal", set())

            async def stored() -> bool:
                return len((await call("GET", "/memories?user_id=alice"))[2]["results"]) == 3

            await eventually(stored, what="what had waited")
    finally:
        await asyncio.to_thread(server.dispose)


async def test_a_daemon_starts_on_a_standby_of_its_database(make_daemon: DaemonFactory) -> None:
    """After a failover, say: it reads, and writes again as soon as the standby is promoted."""
    server = await asyncio.to_thread(lambda: PostgresServer().start())
    try:
        daemon = await asyncio.to_thread(
            lambda: make_daemon(environment={"MEMDECK_DATABASE_URL": server.url()})
        )
        async with aiohttp.ClientSession(headers={"X-API-Key": daemon.key}) as session:

            async def post(path: str, body: object) -> tuple[int, str, Any]:
                async with session.post(daemon.url + path, json=body) as answer:
                    return answer.status, answer.headers["Memdeck-Mode"], await answer.json()

            assert 200 == (await post("/memories", SAID))[0]
            await asyncio.to_thread(daemon.stop)
            await asyncio.to_thread(server.demote)
            await asyncio.to_thread(daemon.start)
            status, mode, found = await post("/search", QUERY)
            assert (200, "read-only", 1) == (status, mode, len(found["results"]))
            assert 202 == (await post("/memories", SAID))[0]
            await statements(server.url(), "SELECT pg_promote()")

            async def stored() -> bool:
                status, mode, found = await post("/search", QUERY)
                return (status, mode, len(found["results"])) == (200, "normal", 2)

            await eventually(stored, what="what had waited")
            await asyncio.to_thread(daemon.stop)
    finally:
        await asyncio.to_thread(server.dispose)
