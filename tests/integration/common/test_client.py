"""The client against a server that is not ours: it says what is wrong, and gives its key to nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from memdeck_common import errors
from memdeck_common.client import Address, Client

KEY = "mdk_secret"


class Peer:
    """A server that answers everything in one way and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer = web.json_response({"boot_id": "b"})
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.stalled = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path_qs, dict(request.headers)))
        if request.path == "/stall/health/live":
            await self.stalled.wait()
        if request.path == "/ops/feed":
            return await self._feed(request)
        return self.answer

    @staticmethod
    async def _feed(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(
            b'id: b:1\ndata: {"type": "tick", "seq": 1, "at": 1, "vitals": {}, "slot": {"at": 1}}\n\n'
        )
        return stream


@asynccontextmanager
async def serving(peer: Peer) -> AsyncIterator[str]:
    """The peer's address."""
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", peer.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        peer.stalled.set()
        await runner.cleanup()


@pytest.fixture
async def peer() -> Peer:
    return Peer()


@pytest.fixture
async def url(peer: Peer) -> AsyncIterator[str]:
    async with serving(peer) as address:
        yield address


async def test_the_key_travels_in_a_header(peer: Peer, url: str) -> None:
    """And in no address; names are quoted into paths."""
    peer.answer = web.json_response({"message": "done"})
    async with Client(Address(url, KEY)) as client:
        await client.delete("../../x y/ü?z=1")
    (path, headers), *_ = peer.asked
    assert (KEY, False) == (headers["X-API-Key"], KEY in path)
    assert path.startswith("/v1/memories/..%2F..%2Fx%20y%2F")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_takes_the_key_nowhere(peer: Peer, url: str, status: int) -> None:
    """It could point at anybody."""
    elsewhere = Peer()
    async with serving(elsewhere) as other, Client(Address(url, KEY)) as client:
        peer.answer = web.Response(status=status, headers={"Location": f"{other}/health/live"})
        with pytest.raises(errors.MemdeckError):
            await client.live()
    assert [] == elsewhere.asked


async def test_a_server_that_is_no_memdeck_is_named(peer: Peer, url: str) -> None:
    """With the address, and without the key."""
    async with Client(Address(url, KEY)) as client:
        for answer in (web.Response(text="<html>"), web.json_response({"x": 1}), web.json_response([])):
            peer.answer = answer
            with pytest.raises(errors.MemdeckError, match=url) as caught:
                await client.live()
            assert KEY not in str(caught.value)


async def test_no_answer_is_unreachable(url: str) -> None:
    """A port without a server, an answer that does not come."""
    async with Client(Address("http://127.0.0.1:1", KEY)) as client:
        with pytest.raises(errors.DaemonUnreachable, match="memdeck up"):
            await client.live()
    async with Client(Address(f"{url}/stall", KEY), timeout=0.2) as client:
        with pytest.raises(errors.DaemonUnreachable, match="no answer in time"):
            await client.live()


async def test_a_feed_that_ends_is_unreachable(url: str) -> None:
    """After what it told; who watches decides what then."""
    async with Client(Address(url, KEY)) as client:
        feed = client.feed("b:0")
        event_id, event = await anext(feed)
        assert ("b:1", 1) == (event_id, event.seq)
        with pytest.raises(errors.DaemonUnreachable, match="closed the feed"):
            await anext(feed)


async def test_a_503_of_health_is_read(peer: Peer, url: str) -> None:
    """It says what is missing."""
    peer.answer = web.json_response({"status": "not_ready", "missing": ["postgres: no answer"]}, status=503)
    async with Client(Address(url, KEY)) as client:
        assert ["postgres: no answer"] == (await client.ready()).missing
