"""The benchmark's own connection against servers that answer in all the ways of HTTP/1.1, or not at all."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from bench.line import Line, MalformedAnswer
from tests.support.waiting import eventually

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\nX: y\r\n\r\nwhole"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nin pi\r\nC;name=value\r\neces \r\n0\r\n\r\n\r\n0\r\n%b\r\n"
)
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast"
SILENCE = b""


@dataclass(slots=True)
class Script:
    """A server that gives these answers, one after the other, whatever it is asked."""

    answers: list[bytes | None]
    """None: it closes the connection instead; silence: it does nothing more on this one."""
    bytewise: bool = False
    close_idle: bool = False
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    return
                for piece in _pieces(answer) if self.bytewise else [answer]:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.close_idle:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def _pieces(answer: bytes) -> list[bytes]:
    return [answer[place : place + 1] for place in range(len(answer))]


@asynccontextmanager
async def scripted(
    *answers: bytes | None, bytewise: bool = False, close_idle: bool = False
) -> AsyncIterator[Script]:
    script = Script(list(answers), bytewise, close_idle)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    script.url = f"http://{host}:{port}"
    async with server:
        yield script


async def test_a_request_is_sent_as_it_was_given() -> None:
    """Below the path of the address, with the key."""
    async with scripted(WHOLE) as server, Line(f"{server.url}/below/", "secret") as line:
        await line.call("PUT", "/path?a=b", b'{"a": 1}')
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert b"PUT /below/path?a=b HTTP/1.1" == head.split(b"\r\n")[0]
    assert {b"X-API-Key: secret", b"Content-Length: 8", b"Content-Type: application/json"} < set(
        head.split(b"\r\n")
    )
    assert b'{"a": 1}' == body


async def test_without_a_key_none_is_sent() -> None:
    """An empty one would be refused where none is asked for."""
    async with scripted(WHOLE) as server, Line(server.url) as line:
        await line.call("GET", "/")
    assert b"key" not in server.requests[0].lower()


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (WHOLE, 200, b"whole"),
        (CHUNKED % b"", 200, b"in pieces \r\n0\r\n\r\n"),
        (CHUNKED % b"Trailer: 1\r\nOther: 2\r\n", 200, b"in pieces \r\n0\r\n\r\n"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, b""),
    ],
)
async def test_an_answer_ends_where_it_says(
    answer: bytes, status: int, said: bytes, *, bytewise: bool
) -> None:
    """However it comes: the next one begins behind it, on the same connection."""
    async with scripted(answer, WHOLE, bytewise=bytewise) as server, Line(server.url) as line:
        found, head, body = await line.call("GET", "/")
        assert (status, said) == (found, body)
        assert answer[: answer.index(b"\r\n\r\n") + 4] == head
        assert b"whole" == (await line.call("GET", "/"))[2]
    assert 1 == server.connections


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nuntil I close",
        b"HTTP/1.1 200 OK\r\nContent-Length: some\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n",
    ],
)
async def test_an_answer_that_nobody_understands_is_refused(answer: bytes) -> None:
    """At once, and the next request does not read on in it."""
    async with scripted(answer, WHOLE) as server, Line(server.url) as line:
        with pytest.raises(MalformedAnswer):
            await line.call("GET", "/")
        assert b"whole" == (await line.call("GET", "/"))[2]


async def test_a_server_may_close_the_connection_after_an_answer() -> None:
    """No request fails for it when it said so."""
    async with scripted(LAST, LAST, WHOLE) as server, Line(server.url) as line:
        assert [b"last", b"last", b"whole"] == [(await line.call("GET", "/"))[2] for _ in range(3)]
    assert 3 == server.connections


async def test_a_server_may_close_an_idle_connection() -> None:
    """No request fails for it."""
    async with scripted(WHOLE, WHOLE, close_idle=True) as server, Line(server.url) as line:
        await line.call("GET", "/")
        before = line._connection
        assert before is not None
        await eventually(before.transport.is_closing)
        assert b"whole" == (await line.call("GET", "/"))[2]
    assert 2 == server.connections


async def test_a_request_that_the_server_drops_fails_alone() -> None:
    """It is not sent again: the server may have done it."""
    async with scripted(WHOLE, None, WHOLE) as server, Line(server.url) as line:
        await line.call("GET", "/one")
        with pytest.raises(ConnectionResetError):
            await line.call("GET", "/two")
        assert b"whole" == (await line.call("GET", "/three"))[2]
    assert [b"/one", b"/two", b"/three"] == [request.split()[1] for request in server.requests]


async def test_an_answer_that_does_not_come_in_time_is_given_up() -> None:
    """Half of one is none, and what comes of it later is not taken for the next one."""
    async with scripted(WHOLE[:-1], WHOLE) as server, Line(server.url, limit=0.05) as line:
        async with asyncio.timeout(5):
            with pytest.raises(TimeoutError):
                await line.call("GET", "/")
        assert b"whole" == (await line.call("GET", "/"))[2]
    assert 2 == server.connections


async def test_whoever_is_cancelled_leaves_no_answer_behind() -> None:
    """The next request has a connection of its own."""
    async with scripted(SILENCE, WHOLE) as server, Line(server.url) as line:
        asking = asyncio.create_task(line.call("GET", "/"))
        await eventually(lambda: bool(server.requests))
        asking.cancel()
        await asyncio.wait([asking])
        assert b"whole" == (await line.call("GET", "/"))[2]
    assert 2 == server.connections


@pytest.mark.parametrize("bytewise", [True, False])
@pytest.mark.parametrize("answer", [WHOLE, CHUNKED % b""])
async def test_words_that_nobody_asked_for_are_no_answer(answer: bytes, *, bytewise: bool) -> None:
    """As a server says them that closes an idle connection with 408: the connection goes with them."""
    async with scripted(answer + WHOLE, LAST, bytewise=bytewise) as server, Line(server.url) as line:
        await line.call("GET", "/")
        before = line._connection
        assert before is not None
        await eventually(before.transport.is_closing)
        assert b"last" == (await line.call("GET", "/"))[2]
    assert 2 == server.connections


async def test_where_no_server_is_nobody_waits() -> None:
    """Neither for a connection nor for an answer."""
    async with scripted() as server:
        url = server.url
    line = Line(url)
    with pytest.raises(ConnectionRefusedError):
        await line.call("GET", "/")


async def test_an_address_of_https_is_not_spoken_to_in_clear() -> None:
    """The first that the server hears is a handshake, which this one does not understand."""
    heard = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await Line(f"https://127.0.0.1:{port}", "secret").call("GET", "/")
    assert [b"\x16"] == heard
