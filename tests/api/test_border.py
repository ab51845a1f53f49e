"""The HTTP border: what every answer carries, bodies that are refused, deadlines, streams, starting and stopping."""

import asyncio
import gzip
import logging
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from memdeck_common import errors
from memdeck_common.clock import SystemClock, SystemIdentity
from memdeck_common.log import fields_of
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import Caller, Memory
from tests.api.raw import exchange, head
from tests.api.serving import Api, served
from tests.fakes.memory_service import FakeMemoryService
from tests.support.waiting import eventually

MIB = 1024 * 1024


class Moody(FakeMemoryService):
    """Memory whose list does what a test says."""

    def __init__(self) -> None:
        clock = SystemClock()
        super().__init__(clock, SystemIdentity(clock))
        self.mood: Exception | None = None
        self.asked = asyncio.Event()

    async def page(self, where: Filter, caller: Caller, **options: Any) -> tuple[int, list[Memory]]:
        """Raise what was said, or never answer."""
        del where, caller, options
        self.asked.set()
        if self.mood is not None:
            raise self.mood
        await asyncio.Event().wait()
        return 0, []


@pytest.fixture
def moody() -> Moody:
    return Moody()


# --- every answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/v1/ping/", "/nowhere", "/memories/nonsense", "/docs", "/"])
async def test_every_answer_has_a_request_id(api: Api, path: str) -> None:
    one, two = [(await api.call("GET", path)).headers["X-Request-ID"] for _ in range(2)]
    assert re.fullmatch("[0-9a-f]{8}", one)
    assert one != two


async def test_refusals_repeat_the_request_id(api: Api) -> None:
    answer = await api.call("GET", "/nowhere")
    assert {"detail", "code", "request_id"} == set(answer.body)
    assert answer.headers["X-Request-ID"] == answer.body["request_id"]


async def test_the_mode_is_told(api: Api) -> None:
    api.telemetry.mode = "reduced-precision"
    assert "reduced-precision" == (await api.call("GET", "/v1/ping/")).headers["Memdeck-Mode"]


async def test_a_wrong_method_is_405_and_names_the_right_ones(api: Api) -> None:
    answer = await api.call("PATCH", "/v1/memories/00000000-0000-4000-8000-000000000000/")
    assert (405, "method_not_allowed") == (answer.status, answer.code)
    assert "DELETE, GET, HEAD, PUT" == answer.headers["Allow"]


async def test_head_answers_as_get_without_a_body(api: Api) -> None:
    answer = await api.call("HEAD", "/health")
    assert (200, None) == (answer.status, answer.body)


@pytest.mark.parametrize("path", ["/", "/redoc"])
async def test_old_ways_lead_to_the_docs(api: Api, path: str) -> None:
    answer = await api.call("GET", path, key="")
    assert (307, "/docs") == (answer.status, answer.headers["Location"])


async def test_the_docs_need_nothing_from_elsewhere(api: Api) -> None:
    page = (await api.call("GET", "/docs", key="")).body
    assert not re.findall(r"https?://|src=|@import", page)


async def test_what_was_answered_is_told_to_telemetry(api: Api) -> None:
    await api.call("POST", "/search", {"query": "x", "filters": {"user_id": "a"}})
    await api.call("GET", "/memories/nonsense")
    assert [("search", 200), ("get", 400)] == api.telemetry.observed[-2:]


@pytest.mark.parametrize("path", ["/v1/ping/", "/v1/p%69ng/", "/v1/ping/?x=1"])
async def test_an_address_is_found_however_it_is_written(api: Api, path: str) -> None:
    """With a query or with escapes that it does not need."""
    answers = [await exchange(api, head(api, path, method=method)) for method in ("GET", "PATCH")]
    assert [200, 405] == [status for status, _, _ in answers]


# --- bodies -----------------------------------------------------------------------------------------------------------


async def test_a_large_body_is_refused_and_the_client_reads_why(api: Api) -> None:
    body = b'{"messages": "' + b"x" * (10 * MIB) + b'", "user_id": "a"}'
    sent = head(api, "/v3/memories/add/", f"Content-Length: {len(body)}")
    status, _, refusal = await exchange(api, sent + body)

    assert (413, "body_too_large", 2 * MIB) == (status, refusal["code"], refusal["limit"])


async def test_a_large_body_in_chunks_is_refused_too(api: Api) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    body = chunk * 160 + b"0\r\n\r\n"
    status, _, refusal = await exchange(api, head(api, "/memories", "Transfer-Encoding: chunked") + body)
    assert (413, "body_too_large") == (status, refusal["code"])


async def test_a_large_body_is_refused_before_it_is_sent_to_who_asks(api: Api) -> None:
    sent = head(api, "/memories", f"Content-Length: {10 * MIB}", "Expect: 100-continue")
    status, headers, refusal = await exchange(api, sent)
    assert (413, "body_too_large", "close") == (status, refusal["code"], headers["connection"])


async def test_a_body_that_fits_is_asked_for(api: Api) -> None:
    body = b'{"query": "x", "filters": {"user_id": "a"}}'
    sent = head(api, "/search", f"Content-Length: {len(body)}", "Expect: 100-continue")
    status, _, answer = await exchange(api, sent + body)
    assert (200, []) == (status, answer["results"])


async def test_other_expectations_are_417(api: Api) -> None:
    status, _, refusal = await exchange(api, head(api, "/v1/ping/", "Expect: miracles", method="GET"))
    assert (417, "expectation_failed") == (status, refusal["code"])


async def test_a_large_body_without_a_key_reads_401(api: Api) -> None:
    body = b"x" * (10 * MIB)
    sent = f"POST /memories HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert 401 == (await exchange(api, sent + body))[0]


async def test_a_large_body_where_none_is_read_is_refused(api: Api) -> None:
    body = b"x" * (3 * MIB)
    assert 413 == (await exchange(api, head(api, "/reset", f"Content-Length: {len(body)}") + body))[0]


async def test_the_connection_is_good_for_another_request_after_a_refusal(api: Api) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for expected in (b"400", b"200"):
        body = b"{]" if expected == b"400" else b'{"query": "x", "filters": {"user_id": "a"}}'
        writer.write(head(api, "/search", f"Content-Length: {len(body)}") + body)
        told = await reader.readuntil(b"\r\n\r\n")
        assert expected == told.split()[1]
        length = next(line for line in told.split(b"\r\n") if line.lower().startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
    writer.close()
    await writer.wait_closed()


async def test_compressed_bodies_are_read(api: Api) -> None:
    raw = gzip.compress(b'{"query": "x", "filters": {"user_id": "a"}}')
    assert 200 == (await api.call("POST", "/search", raw=raw, headers={"Content-Encoding": "gzip"})).status


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused(api: Api) -> None:
    raw = gzip.compress(b" " * (64 * MIB))
    answer = await api.call("POST", "/search", raw=raw, headers={"Content-Encoding": "gzip"})
    assert (413, "body_too_large") == (answer.status, answer.code)


async def test_a_body_that_does_not_unpack_is_refused(api: Api) -> None:
    answer = await api.call("POST", "/search", raw=b"no gzip at all", headers={"Content-Encoding": "gzip"})
    assert (400, "bad_request") == (answer.status, answer.code)


async def test_the_content_type_does_not_matter_when_the_body_is_json(api: Api) -> None:
    raw = b'{"query": "x", "filters": {"user_id": "a"}}'
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "nonsense"):
        assert (
            200 == (await api.call("POST", "/search", raw=raw, headers={"Content-Type": content_type})).status
        )


async def test_a_body_that_does_not_arrive_is_408(tmp_path: Path) -> None:
    async with served(tmp_path, receive_timeout=0.2) as api:
        status, _, refusal = await exchange(api, head(api, "/search", "Content-Length: 100") + b"{")
    assert (408, "body_timeout") == (status, refusal["code"])


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"hello\r\n\r\n", "no_http"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-API-Key: m0sk_sec\x00ret\r\n\r\n", "no_http"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "no_http"),
        (b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n", "no_http"),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", "head_too_large"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"x" * 40_000 + b"\r\n\r\n", "head_too_large"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-One: 1\r\n" * 101 + b"\r\n", "head_too_large"),
    ],
    ids=["words", "NUL", "colon", "length", "address", "header", "headers"],
)
async def test_what_is_no_http_is_refused_with_the_same_envelope(
    api: Api, request_: bytes, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing that was sent gets into the log."""
    with caplog.at_level(logging.INFO):
        status, headers, refusal = await exchange(api, request_)
    assert (400, code, refusal["request_id"]) == (status, refusal["code"], headers["x-request-id"])
    assert "no HTTP" in caplog.text
    assert "m0sk_sec" not in caplog.text


async def test_long_filters_fit_into_an_address(api: Api) -> None:
    """mem0's client puts them there."""
    names = ",".join(f"'user_{number}'" for number in range(600))
    assert (
        200 == (await api.call("DELETE", f"/v1/memories/?filters={{'user_id': {{'in': [{names}]}}}}")).status
    )


# --- trouble inside ---------------------------------------------------------------------------------------------------

LIST = "/memories?user_id=a"


async def test_a_request_that_takes_too_long_is_504(tmp_path: Path, moody: Moody) -> None:
    async with served(tmp_path, moody, request_timeout=0.05) as api:
        answer = await api.call("GET", LIST)
    assert (504, "deadline_exceeded", "1") == (answer.status, answer.code, answer.headers["Retry-After"])


async def test_unexpected_errors_show_nothing_of_the_inside(
    tmp_path: Path, moody: Moody, caplog: pytest.LogCaptureFixture
) -> None:
    moody.mood = RuntimeError("password=hunter2")
    async with served(tmp_path, moody) as api:
        answer = await api.call("GET", LIST)

    assert (500, "internal") == (answer.status, answer.code)
    assert "hunter2" not in str(answer.body)
    (record,) = [record for record in caplog.records if record.exc_info]
    assert answer.body["request_id"] == fields_of(record)["request_id"]


@pytest.mark.parametrize(
    ("mood", "status"),
    [(errors.StoreUnavailable(), 503), (errors.DiskFull(), 507), (errors.Unavailable(retry_after=7), 503)],
)
async def test_what_is_unavailable_says_when_to_come_back(
    tmp_path: Path, moody: Moody, mood: errors.MemdeckError, status: int
) -> None:
    moody.mood = mood
    async with served(tmp_path, moody) as api:
        answer = await api.call("GET", LIST)

    assert (status, mood.code) == (answer.status, answer.code)
    assert str(mood.facts.get("retry_after", 1)) == answer.headers["Retry-After"]


# --- the feed ---------------------------------------------------------------------------------------------------------


async def _lines(api: Api, **headers: str) -> AsyncGenerator[bytes, None]:
    sent = {"X-API-Key": api.admin, **headers}
    async with api.session.get(api.url + "/ops/feed", headers=sent) as answer:
        assert answer.content_type == "text/event-stream"
        async for line in answer.content:
            yield line


async def test_the_feed_sends_events_as_they_come(api: Api) -> None:
    api.telemetry.events = [("b007:1", b'{"type":"snapshot"}'), ("b007:2", b'{"type":"tick"}')]
    lines = _lines(api, **{"Last-Event-ID": "b007:0"})

    seen = [await anext(lines) for _ in range(6)]
    await lines.aclose()
    assert [b"id: b007:1\n", b'data: {"type":"snapshot"}\n', b"\n"] == seen[:3]
    ((caller, last),) = api.telemetry.watchers
    assert ("admin", "admin", "b007:0") == (caller.name, caller.role, last)


async def test_a_stop_ends_the_feed_at_once(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with served(tmp_path, shutdown_timeout=30.0) as api:
        api.telemetry.events = [("b007:1", b"{}")]
        answer = await api.session.get(api.url + "/ops/feed", headers={"X-API-Key": api.admin})
        await answer.content.readline()
        begun = loop.time()
    assert loop.time() - begun < 5
    assert 1 == api.telemetry.left
    answer.close()


# --- starting and stopping --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["MEMDECK_PORT", "MEMDECK_METRICS_PORT"])
async def test_a_port_in_use_is_a_sentence_that_helps(api: Api, tmp_path: Path, variable: str) -> None:
    taken = int(api.url.rsplit(":", 1)[1])
    field = variable.removeprefix("MEMDECK_").lower()
    with pytest.raises(errors.ConfigurationError) as refused:
        async with served(tmp_path / "other", None, None, **{field: taken}):
            pass
    for part in (f"Port {taken} is in use", variable, "memdeck doctor"):
        assert part in str(refused.value)


async def test_an_address_that_is_not_ours_is_a_sentence_that_helps(tmp_path: Path) -> None:
    with pytest.raises(
        errors.ConfigurationError, match="MEMDECK_HOST=203.0.113.7 cannot be listened on".replace(".", r"\.")
    ):
        async with served(tmp_path, host="203.0.113.7"):
            pass


async def test_metrics_are_on_their_own_port_without_a_key(api: Api) -> None:
    async with api.session.get(api.metrics_url) as answer:
        assert (200, "mem0_service_up 1\n") == (answer.status, await answer.text())
    assert 404 == (await api.call("GET", "/metrics")).status


@pytest.mark.parametrize(("missing", "status"), [([], 200), (["the database answers"], 503)])
async def test_readiness_is_a_status(api: Api, missing: list[str], status: int) -> None:
    api.telemetry.missing = missing
    answer = await api.call("GET", "/health/ready", key="")
    assert (status, missing) == (answer.status, answer.body["missing"])


async def test_health_is_503_when_the_daemon_is_down(api: Api) -> None:
    api.telemetry.status = "down"
    answer = await api.call("GET", "/health", key="")
    assert (503, "down") == (answer.status, answer.body["status"])


async def test_a_request_under_way_may_end_before_a_stop(tmp_path: Path, moody: Moody) -> None:
    """It gets its time, and no more than that."""
    async with asyncio.TaskGroup() as group:
        async with served(tmp_path, moody, request_timeout=0.3, shutdown_timeout=20.0) as api:
            under_way = group.create_task(exchange(api, head(api, LIST, method="GET")))
            await eventually(moody.asked.is_set)
        status, _, _ = await under_way
    assert 504 == status


async def test_requests_under_way_are_counted(api: Api) -> None:
    """Those that are answered count no more; one that streams counts as long as it does."""
    await api.call("GET", "/health/live")
    assert 0 == api.telemetry.in_flight
    async with api.session.get(api.url + "/ops/feed", headers={"X-API-Key": api.admin}):
        assert 1 == api.telemetry.in_flight
        await api.call("GET", "/health/live")
        assert 1 == api.telemetry.in_flight
