"""The proxy of the fault harnesses: what each toxic does to a connection, measured from both of its ends."""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from bench.faults.proxy import HANG, HEALTHY, MUTE, REFUSE, RESET, Proxy, Toxics, proxy
from tests.support.waiting import eventually

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """An upstream that says what it heard, and notes how its connections ended."""

    def __init__(self) -> None:
        self.heard, self.ended, self.port = b"", 0, 0
        self.open: set[asyncio.Transport] = set()


class Line(asyncio.Protocol):
    """One connection to it."""

    def __init__(self, echo: Echo) -> None:
        self.echo = echo
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.echo.open.add(transport)

    def data_received(self, data: bytes) -> None:
        self.echo.heard += data
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.echo.ended += 1
        self.echo.open.discard(self.transport)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    server = await asyncio.get_running_loop().create_server(lambda: Line(echo), "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    yield echo
    server.close()
    for transport in echo.open:
        transport.abort()
    await eventually(lambda: not echo.open)


@pytest.fixture
async def between(echo: Echo) -> AsyncIterator[Proxy]:
    async with proxy("127.0.0.1", echo.port) as one:
        yield one


OPEN: list[asyncio.StreamWriter] = []


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """Nothing that a test opened stays open."""
    yield
    for writer in OPEN:
        writer.transport.abort()
    OPEN.clear()


async def _opened(between: Proxy) -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", between.port)
    OPEN.append(writer)
    return reader, writer


async def _said(between: Proxy, data: bytes = b"hello", *, wait: float = 5.0) -> tuple[bytes, float, Streams]:
    """What came back of what was sent over a new connection, and after how long."""
    loop = asyncio.get_running_loop()
    reader, writer = await _opened(between)
    begun = loop.time()
    writer.write(data)
    async with asyncio.timeout(wait):
        answer = await reader.readexactly(len(data))
    return answer, loop.time() - begun, (reader, writer)


async def _again(streams: Streams, *, wait: float = 5.0) -> bytes:
    reader, writer = streams
    writer.write(b"again")
    async with asyncio.timeout(wait):
        return await reader.readexactly(5)


async def test_without_toxics_all_passes(between: Proxy) -> None:
    data = bytes(range(256)) * 8000
    assert data == (await _said(between, data))[0]
    assert 1 == between.connections


async def test_down_refuses_and_cuts_and_comes_back_on_its_port(between: Proxy) -> None:
    port = between.port
    _, _, streams = await _said(between)
    await between.set(REFUSE)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await _again(streams)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await between.set(HEALTHY)
    assert (b"hello", port) == ((await _said(between))[0], between.port)


async def test_a_hang_delivers_what_it_held_when_it_ends(between: Proxy, echo: Echo) -> None:
    """Also on connections that were open before."""
    _, _, streams = await _said(between)
    await between.set(HANG)
    with pytest.raises(TimeoutError):
        await _again(streams, wait=0.1)
    assert b"hello" == echo.heard
    await between.set(HEALTHY)
    async with asyncio.timeout(5):
        assert b"again" == await streams[0].readexactly(5)


async def test_mute_lets_the_question_through_only(between: Proxy, echo: Echo) -> None:
    await between.set(MUTE)
    with pytest.raises(TimeoutError):
        await _said(between, wait=0.1)
    assert b"hello" == echo.heard


async def test_a_timeout_closes(between: Proxy) -> None:
    await between.set(Toxics(timeout=0.1))
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await _said(between)


async def test_a_reset_is_a_reset(between: Proxy) -> None:
    await between.set(RESET)
    with pytest.raises(ConnectionResetError):
        await _said(between)


async def test_latency_delays_both_ways_without_slowing_the_flow(between: Proxy) -> None:
    await between.set(Toxics(latency=0.1))
    _, seconds, _ = await _said(between, b"x" * 4_000_000)
    assert 0.2 <= seconds < 2.0


async def test_latency_concerns_the_direction_named(between: Proxy) -> None:
    await between.set(Toxics(latency=0.2, direction="down"))
    assert 0.2 <= (await _said(between))[1] < 0.4


async def test_bandwidth_limits_the_flow(between: Proxy) -> None:
    await between.set(Toxics(bandwidth=400_000, direction="up"))
    assert 0.2 <= (await _said(between, b"x" * 100_000))[1]


async def test_slices_arrive_whole(between: Proxy) -> None:
    data = bytes(range(256)) * 4
    await between.set(Toxics(slice=7))
    assert data == (await _said(between, data))[0]


async def test_a_limit_ends_the_connection_after_so_many_bytes(between: Proxy, echo: Echo) -> None:
    await between.set(Toxics(limit=3, direction="up"))
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await _said(between)
    assert b"hel" == echo.heard


async def test_a_slow_close_is_passed_on_late(between: Proxy, echo: Echo) -> None:
    _, _, (_, writer) = await _said(between)
    await between.set(Toxics(slow_close=0.2))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    writer.write_eof()
    await eventually(lambda: echo.ended)
    assert 0.2 <= loop.time() - begun < 1.0


async def test_the_proxy_leaves_nothing(echo: Echo) -> None:
    async with proxy("127.0.0.1", echo.port) as one:
        await one.set(Toxics(timeout=math.inf))
        (await _opened(one))[1].write(b"x")
    assert not [task for task in asyncio.all_tasks() if "Proxy." in repr(task)]
