"""What the daemon takes of its callers: hosts, origins, connections, time to send, time to read, and how many at once."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from memdeck_common.clock import SystemClock, SystemIdentity
from memdeck_daemon.api.http.admission import QUEUE
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import Caller, Memory
from tests.api.raw import answer, connection, ended, exchange, head
from tests.api.serving import Api, served
from tests.fakes.memory_service import FakeMemoryService
from tests.support.waiting import eventually

LIST = "/memories?user_id=a"


class Slow(FakeMemoryService):
    """Memory whose list waits until the test lets it go on."""

    def __init__(self) -> None:
        clock = SystemClock()
        super().__init__(clock, SystemIdentity(clock))
        self.asked, self.most, self.left = 0, 0, 0.0
        self.go_on = asyncio.Event()

    async def page(self, where: Filter, caller: Caller, **options: Any) -> tuple[int, list[Memory]]:
        """Wait, then nothing is there."""
        del where, caller, options
        self.left = deadline.left(1000.0)
        self.asked += 1
        self.most = max(self.most, self.asked)
        await self.go_on.wait()
        self.asked -= 1
        return 0, []


# --- hosts and origins ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8888",
        "localhost.",
        "127.0.0.1:1",
        "[::1]:8888",
        "192.168.7.7",
        "a.localhost:80",
    ],
)
async def test_loopback_names_and_addresses_are_ours(api: Api, host: str) -> None:
    assert 200 == (await api.call("GET", LIST, headers={"Host": host})).status


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8888",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::1",
        "",
        "@",
    ],
)
@pytest.mark.parametrize("path", [LIST, "/health", "/nowhere", "/docs"])
async def test_a_name_that_is_not_ours_is_421(api: Api, host: str, path: str) -> None:
    """What a page that rebinds its own name to this machine sends."""
    status, _, refusal = await exchange(api, head(api, path, method="GET", host=host))
    assert (421, "unknown_host", True) == (
        status,
        refusal["code"],
        "MEMDECK_ALLOWED_HOSTS" in refusal["detail"],
    )


async def test_the_metrics_have_the_same_names(api: Api) -> None:
    async with api.session.get(api.metrics_url, headers={"Host": "evil.example"}) as refused:
        assert 421 == refused.status


async def test_names_can_be_added(tmp_path: Path) -> None:
    async with served(tmp_path, allowed_hosts="memory.example, deck.lan") as api:
        for host in ("memory.example", "Deck.Lan:8888", "localhost"):
            assert 200 == (await api.call("GET", LIST, headers={"Host": host})).status
        assert 421 == (await api.call("GET", LIST, headers={"Host": "evil.example"})).status


async def test_the_check_can_be_switched_off(tmp_path: Path) -> None:
    async with served(tmp_path, allowed_hosts="*") as api:
        headers = {"Host": "any.example", "Origin": "https://other.example"}
        assert 200 == (await api.call("GET", LIST, headers=headers)).status


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:1", "file://", "localhost"],
)
async def test_pages_of_other_origins_are_refused(api: Api, origin: str) -> None:
    """Also such of this machine: another port is another program."""
    refused = await api.call("GET", LIST, headers={"Origin": origin})
    assert (403, "foreign_origin") == (refused.status, refused.code)


async def test_the_own_pages_may_ask(tmp_path: Path) -> None:
    async with served(tmp_path, allowed_hosts="memory.example") as api:
        for origin in (api.url, "https://memory.example"):
            assert 200 == (await api.call("GET", LIST, headers={"Origin": origin})).status


async def test_a_request_names_its_host(api: Api) -> None:
    """Probes that speak HTTP/1.0 need not."""
    status, _, refusal = await exchange(api, b"GET /health/live HTTP/1.1\r\n\r\n")
    assert (400, "no_http") == (status, refusal["code"])
    assert 200 == (await exchange(api, b"GET /health/live HTTP/1.0\r\n\r\n"))[0]


# --- connections ------------------------------------------------------------------------------------------------------


async def test_connections_beyond_the_cap_read_503(tmp_path: Path) -> None:
    """Those that are there go on, and a place that comes free is given away."""
    async with served(tmp_path, max_connections=3) as api, contextlib.AsyncExitStack() as stack:
        inside = [await stack.enter_async_context(connection(api.url)) for _ in range(3)]
        for reader, writer in inside:
            writer.write(head(api, LIST, method="GET"))
            assert 200 == (await answer(reader))[0]
        status, headers, refusal = await exchange(api, head(api, LIST, method="GET"))
        assert (503, "too_many_connections") == (status, refusal["code"])
        assert ("1", "close", refusal["request_id"]) == (
            headers["retry-after"], headers["connection"], headers["x-request-id"]
        )  # fmt: skip
        reader, writer = inside[0]
        writer.write(head(api, LIST, method="GET"))
        assert 200 == (await answer(reader))[0]
        inside[1][1].close()

        async def let_in() -> bool:
            return 200 == (await exchange(api, head(api, LIST, method="GET")))[0]

        await eventually(let_in)


async def test_a_crowd_beyond_the_cap_is_cut(tmp_path: Path) -> None:
    """Nothing is kept for it for long."""
    async with served(tmp_path, max_connections=1) as api, contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(connection(api.url)) for _ in range(100)]
        for reader, _ in crowd[1:]:
            assert await ended(reader)
        crowd[0][1].write(head(api, LIST, method="GET"))
        assert 200 == (await answer(crowd[0][0]))[0]


# --- slow clients -----------------------------------------------------------------------------------------------------


async def test_a_body_that_drips_is_408_and_the_connection_ends(tmp_path: Path) -> None:
    async with served(tmp_path, receive_timeout=0.3) as api, connection(api.url) as (reader, writer):
        writer.write(head(api, "/search", "Content-Length: 1000"))

        async def drip() -> None:
            while True:
                writer.write(b" ")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), 0.05)

        dripping = asyncio.create_task(drip())
        status, _, refusal = await answer(reader)
        assert (408, "body_timeout") == (status, refusal["code"])
        assert await ended(reader)
        dripping.cancel()


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\nHost: local"])
async def test_a_head_that_does_not_come_is_408(tmp_path: Path, sent: bytes) -> None:
    async with served(tmp_path, receive_timeout=0.2) as api, connection(api.url) as (reader, writer):
        # The connection has been used before: what counts is the head, not the age of the connection.
        writer.write(head(api, LIST, method="GET"))
        assert 200 == (await answer(reader))[0]
        writer.write(sent)
        status, _, refusal = await answer(reader)
        assert (408, "head_timeout") == (status, refusal["code"])
        assert await ended(reader)


async def test_a_connection_that_is_quiet_may_stay(tmp_path: Path) -> None:
    """The time for a head begins with its first byte; whole requests do not add up."""
    async with served(tmp_path, receive_timeout=0.2) as api, connection(api.url) as (reader, writer):
        for _ in range(3):
            writer.write(head(api, LIST, method="GET"))
            assert 200 == (await answer(reader))[0]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.15)


async def test_an_answer_that_nobody_reads_is_given_up(tmp_path: Path) -> None:
    """More of them than the system's buffers take, asked for at once and never read."""
    async with served(tmp_path, request_timeout=0.3) as api, connection(api.url) as (_, writer):

        async def ask_on() -> None:
            while True:
                writer.write(head(api, "/openapi.json", method="GET") * 20)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_on(), 20)


async def test_stalled_bodies_hold_no_place(tmp_path: Path) -> None:
    """However many there are, others are answered as ever."""
    async with served(tmp_path, max_concurrent=1) as api, contextlib.AsyncExitStack() as stack:
        for _ in range(50):
            _, writer = await stack.enter_async_context(connection(api.url))
            writer.write(head(api, "/search", "Content-Length: 1000") + b"{")
        await eventually(lambda: api.telemetry.in_flight == 50)
        assert 200 == (await api.call("GET", LIST)).status


# --- too much at once -------------------------------------------------------------------------------------------------


async def test_no_more_run_at_once_than_allowed(tmp_path: Path) -> None:
    """The others wait in line, and all are answered."""
    slow = Slow()
    async with served(tmp_path, slow, max_concurrent=2) as api:
        calls = [asyncio.create_task(api.call("GET", LIST)) for _ in range(8)]
        await eventually(lambda: api.telemetry.in_flight == 8)
        slow.go_on.set()
        assert [200] * 8 == [(await call).status for call in calls]
    assert 2 == slow.most


async def test_more_than_can_wait_are_turned_away_at_once(tmp_path: Path) -> None:
    """While what people look at in such a moment is answered."""
    slow = Slow()
    async with served(tmp_path, slow, max_concurrent=2) as api:
        room = 2 + 2 * QUEUE
        calls = [asyncio.create_task(api.call("GET", LIST)) for _ in range(room)]
        await eventually(lambda: api.telemetry.in_flight == room)
        refused = await api.call("GET", LIST)
        assert (503, "overloaded", "1") == (refused.status, refused.code, refused.headers["Retry-After"])
        assert 200 == (await api.call("GET", "/health")).status
        assert 200 == (await api.call("GET", "/ops/keys")).status
        slow.go_on.set()
        assert [200] * room == [(await call).status for call in calls]


async def test_nobody_waits_in_line_for_ever(tmp_path: Path) -> None:
    slow = Slow()
    async with served(tmp_path, slow, max_concurrent=1) as api:
        first = asyncio.create_task(api.call("GET", LIST))
        await eventually(lambda: slow.asked)
        refused = await api.call("GET", LIST)
        assert (503, "overloaded") == (refused.status, refused.code)
        slow.go_on.set()
        assert 200 == (await first).status
        assert 200 == (await api.call("GET", LIST)).status


async def test_the_deadline_counts_from_the_head_on(tmp_path: Path) -> None:
    """A body that came late leaves its handler what is left, and the calls of the handler know."""
    slow = Slow()
    async with served(tmp_path, slow, request_timeout=0.4) as api, connection(api.url) as (reader, writer):
        loop = asyncio.get_running_loop()
        begun = loop.time()
        writer.write(head(api, "/v3/memories/", "Content-Length: 30"))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.25)
        writer.write(b'{"filters": {"user_id": "a"} }')
        status, _, refusal = await answer(reader)
        assert (504, "deadline_exceeded") == (status, refusal["code"])
        assert 0.6 > loop.time() - begun
        assert 0.15 > slow.left > 0.0
