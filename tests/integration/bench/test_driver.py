"""The two loops of the benchmark against a server that stalls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from bench.driver import UNIQUE, Driver

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

    app = web.Application()
    app.router.add_post("/search", handler)
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
