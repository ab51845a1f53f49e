"""Answers in one piece: what a client sees does not depend on how they are sent."""

from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import HttpVersion11

from memdeck_common.clock import SystemClock
from memdeck_daemon.api.http.whole import LARGEST, Tails, Whole, takes
from tests.api.raw import connection, exchange, head
from tests.api.serving import Api
from tests.fakes.clock import ManualClock

SEARCH = b'{"query": "x", "filters": {"user_id": "a"}}'


def post(api: Api, *more: str, version: str = "1.1") -> bytes:
    """A search as bytes."""
    asked = head(api, "/search", f"Content-Length: {len(SEARCH)}", *more) + SEARCH
    return asked.replace(b"HTTP/1.1", b"HTTP/" + version.encode(), 1)


async def test_the_short_way_says_what_the_long_way_says(api: Api) -> None:
    """All headers, in whatever order, but for those of the connection; the long way is that of connections that end."""
    status, short, body = await exchange(api, post(api))
    same, long, same_body = await exchange(api, post(api, "Connection: close"))
    assert (200, 200, body) == (status, same, same_body)
    assert "close" == long.pop("connection")
    assert short.keys() == long.keys()
    passing = {"x-request-id", "date", "memdeck-cache"}
    assert {k: v for k, v in long.items() if k not in passing} == {
        k: v for k, v in short.items() if k not in passing
    }


async def test_the_connection_goes_on(api: Api) -> None:
    """Two requests that are sent at once are answered one after the other; each with its length."""
    async with connection(api.url) as (reader, writer):
        writer.write(post(api) + post(api, "Connection: close"))
        told = await reader.read(-1)
    assert 2 == told.count(b"HTTP/1.1 200 OK\r\n")
    assert told.endswith(b"}")


async def test_http_1_0_is_answered_in_its_words(api: Api) -> None:
    """A connection that is to stay open is told so, or such a client waits for its end."""
    async with connection(api.url) as (reader, writer):
        writer.write(post(api, "Connection: keep-alive", version="1.0"))
        told = await reader.readuntil(b"\r\n\r\n")
    assert told.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"connection: keep-alive" in told.lower()


def test_a_large_answer_is_not_copied() -> None:
    """It goes the long way."""
    request: Any = SimpleNamespace(method="GET", version=HttpVersion11, keep_alive=True)
    assert takes(request, 200, bytes(LARGEST))
    assert not takes(request, 200, bytes(LARGEST + 1))


async def test_a_large_answer_is_whole(api: Api) -> None:
    """Whichever way it goes."""
    text = "x" * (LARGEST - 100)
    message = {"role": "user", "content": text}
    added = await api.call("POST", "/memories", {"messages": [message], "user_id": "a", "infer": False})
    found = await api.call("GET", f"/memories/{added.body['results'][0]['id']}")
    assert text == found.body["memory"]


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_a_header_cannot_hold_another(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        Whole(200, {"Memdeck-Degraded": value}, "\r\n", b"{}")


def test_the_date_is_that_of_the_moment() -> None:
    """To the second, also when the clock is asked but twice a second."""
    clock = ManualClock()
    tails = Tails(clock)
    for _ in range(8):
        line = tails.at(clock.monotonic()).split("\r\n")[0]
        told = parsedate_to_datetime(line.removeprefix("Date: "))
        assert abs((clock.now() - told).total_seconds()) < 1.5
        clock.advance(0.4)
    assert tails.at(clock.monotonic()).endswith("\r\n\r\n")
    assert "GMT" in Tails(SystemClock()).at(0.0)
