"""The two loops of the benchmark against a server that stalls, fails or goes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from bench.driver import ADD, GIVE_UP, UNIQUE, Driver

ANSWER = b'{"results": [{"id": "1", "memory": "text", "score": 0.5}]}'
RATE = 200.0
STALLED = 10


@asynccontextmanager
async def stalling(count: int) -> AsyncIterator[str]:
    """The address of a server that answers nobody before `count` requests have come."""
    arrived, enough = 0, asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        nonlocal arrived
        await request.read()
        arrived += 1
        if arrived >= count:
            enough.set()
        await enough.wait()
        return web.Response(body=ANSWER, headers={"Memdeck-Cache": "hit"})

    async with answering(handler) as url:
        yield url


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """The address of a server whose every path this handler answers."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def test_the_open_loop_goes_on_while_a_server_stalls() -> None:
    """And charges it for every request from the moment at which that was due."""
    async with stalling(STALLED) as url, Driver(url, "") as driver:
        found = await driver.paced(UNIQUE, [b"{}"] * 2 * STALLED, rate=RATE, limit=30)
    assert (2 * STALLED, 0, 2 * STALLED) == (len(found.latencies), found.failed, found.hits)
    assert max(found.latencies) >= (STALLED - 1) / RATE * 1e3
    assert found.seconds >= (2 * STALLED - 1) / RATE


async def test_the_closed_loop_waits_for_its_answers() -> None:
    """With as many clients as the server waits for, all are answered."""
    async with stalling(STALLED) as url, Driver(url, "") as driver:
        found = await driver.run(UNIQUE, [b"{}"] * STALLED, clients=STALLED, limit=30)
    assert (STALLED, 0) == (len(found.latencies), found.failed)


async def test_a_time_limit_leaves_requests_over() -> None:
    """They are counted, not forgotten."""
    async with stalling(1) as url, Driver(url, "") as driver:
        found = await driver.paced(UNIQUE, [b"{}"] * 1000, rate=RATE, limit=0.05)
    assert found.unsent > 0
    assert 1000 == found.unsent + len(found.latencies)


async def test_no_more_connections_are_used_than_there_may_be() -> None:
    """What finds none free waits for one, and is answered."""
    used, arrived, enough = set[object](), 0, asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        nonlocal arrived
        await request.read()
        used.add(request.transport)
        arrived += 1
        if arrived == 2:
            enough.set()
        await enough.wait()
        return web.Response(body=ANSWER)

    async with answering(handler) as url, Driver(url, "") as driver:
        found = await driver.paced(UNIQUE, [b"{}"] * STALLED, rate=10_000, connections=2)
    assert (2, STALLED, 0) == (len(used), len(found.latencies), found.failed)


async def test_requests_that_fail_are_counted_by_reason() -> None:
    """A wrong status, a connection that is dropped and a wrong answer; the next ones go on."""
    number = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal number
        number += 1
        await request.read()
        if number == 2:
            return web.json_response({"detail": "not now", "request_id": "1"}, status=503)
        if number == 3 and request.transport:
            request.transport.abort()
        return web.Response(body=b'{"results": []}' if number == 4 else ANSWER)

    async with answering(handler) as url, Driver(url, "") as driver:
        found = await driver.run(UNIQUE, [b"{}"] * 6, clients=1)
    assert {"HTTP 503: not now": 1, "ConnectionResetError": 1, "found nothing": 1} == found.errors
    assert (3, 0) == (len(found.latencies), found.unsent)


async def test_an_answer_says_how_it_was_made() -> None:
    """Hits and what was missing are counted, however the names are written."""
    heads = iter([{"memdeck-cache": "hit", "Memdeck-Degraded": ""}, {"MEMDECK-DEGRADED": "redis"}, {}])

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=ANSWER, headers=next(heads))

    async with answering(handler) as url, Driver(url, "") as driver:
        found = await driver.run(UNIQUE, [b"{}"] * 3, clients=1)
    assert (1, Counter(redis=1), 3) == (found.hits, found.degraded, len(found.latencies))


async def test_a_server_that_is_gone_ends_a_phase() -> None:
    """Not every request is tried."""
    async with answering(_refused) as url:
        pass
    async with Driver(url, "") as driver:
        closed = await driver.run(ADD, [b"{}"] * 3 * GIVE_UP, clients=1)
        opened = await driver.paced(ADD, [b"{}"] * 3 * GIVE_UP, rate=10 * RATE)
        queued = await driver.paced(ADD, [b"{}"] * 3 * GIVE_UP, rate=1e6, connections=4)
    assert ({"ConnectionRefusedError": GIVE_UP}, 2 * GIVE_UP) == (closed.errors, closed.unsent)
    assert {"ConnectionRefusedError"} == set(opened.errors)
    assert GIVE_UP <= queued.failed < GIVE_UP + 4
    assert GIVE_UP <= opened.failed == 3 * GIVE_UP - opened.unsent < 3 * GIVE_UP


async def test_memories_are_waited_for_and_forgotten() -> None:
    """By user, whatever its name holds; what goes wrong is said."""
    gone = list[str]()

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/ops/spaces":
            return web.json_response({"spaces": [{"waiting": 2}, {"waiting": 1}]})
        gone.append(f"{request.method} {request.path} {request.query['user_id']}")
        return web.Response(status=200 if len(gone) < 3 else 403)

    async with answering(handler) as url, Driver(url, "") as driver:
        assert 3 == await driver.waiting()
        assert "" == await driver.forget(["a", "b&c d"])
        assert "HTTP 403 on deleting the memories of e" == await driver.forget(["e"])
    assert ["DELETE /memories a", "DELETE /memories b&c d", "DELETE /memories e"] == gone


async def _refused(_: web.Request) -> web.Response:
    raise web.HTTPForbidden
