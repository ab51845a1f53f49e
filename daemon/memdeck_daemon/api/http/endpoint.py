"""The one wrapper around every handler: authenticate, limit, decode, run within the deadline, make the envelope.

Owns the order of these steps and what every answer carries (`X-Request-ID`, `Memdeck-Mode`, `Memdeck-Degraded`, rate-limit
headers). It is
the hot path of the daemon: no middlewares, no `web.json_response` (which halves the throughput), bodies encoded once.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

from memdeck_common import errors
from memdeck_common.clock import Clock
from memdeck_common.log import action
from memdeck_common.settings import Server
from memdeck_daemon.api.access.access import Access
from memdeck_daemon.api.access.limits import Allowance
from memdeck_daemon.api.access.principals import NOBODY, Principal
from memdeck_daemon.api.answers import DEGRADED, Answers
from memdeck_daemon.api.http import decoding
from memdeck_daemon.api.http.admission import Admission
from memdeck_daemon.api.http.hosts import Hosts
from memdeck_daemon.api.http.refusals import JSON, BodyTimeout, DeadlineExceeded, ExpectationFailed, envelope
from memdeck_daemon.api.http.requests import RequestLog
from memdeck_daemon.api.http.routing import Call, Reply, Route, Stream
from memdeck_daemon.api.http.whole import Tails, Whole, takes
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.infra.resilience.retry import Retries
from memdeck_daemon.ports import Telemetry

log = logging.getLogger(__name__)
LONG: Final = frozenset({"delete_all", "undo", "export"})
LONG_WORK: Final = 900.0
"""Seconds for what may concern a million memories; it goes on in parts that are short each."""
HANDED_DOWN: Final = 0.95
"""Share of the time that the calls of a request get; the rest is for saying what failed."""
READS: Final = frozenset({"search", "list", "context"})
"""Operations that change nothing, also where they are asked for with POST."""
_NO_BODY: Final = frozenset({"GET", "HEAD"})


def new_request_id() -> str:
    """8 hexadecimal digits."""
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Border:
    """What every endpoint shares."""

    settings: Server
    access: Access
    telemetry: Telemetry
    requests: RequestLog
    clock: Clock
    hosts: Hosts
    admission: Admission
    answers: Answers | None = None
    retries: Retries = field(default_factory=Retries)
    streams: set["asyncio.Task[Any]"] = field(default_factory=set)
    """Answers that go on; the server ends them when it stops."""
    new_request_id: Callable[[], str] = new_request_id


@dataclass(slots=True)
class _Passage:
    """One request on its way through the border."""

    id: str
    began: float
    principal: Principal | None = None
    allowance: Allowance | None = None


class Endpoint:
    """One route, ready to be served."""

    def __init__(self, route: Route, border: Border) -> None:
        self._route = route
        self._border = border
        self._tails = Tails(border.clock)
        self._answers = border.answers if route.kept else None
        self._named = "{" in route.path  # else nobody has looked for parameters
        self._decoder = msgspec.json.Decoder(route.body, strict=False) if route.body else None
        self._deadline = LONG_WORK if route.operation in LONG else border.settings.request_timeout
        self._repeats = route.method == "GET" or route.operation in READS
        # What people look at when the daemon has too much to do must not wait in line.
        self._queues = route.need != "public" and route.dialect != "ops"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The answer, whatever happens; counted as under way until it is sent or streamed."""
        telemetry = self._border.telemetry
        telemetry.in_flight += 1
        try:
            return await self._served(request)
        finally:
            telemetry.in_flight -= 1

    async def _served(self, request: web.Request) -> web.StreamResponse:
        border = self._border
        passage = _Passage(border.new_request_id(), border.clock.monotonic())
        response: web.StreamResponse
        try:
            value = await self._value(request, passage)
            if isinstance(value, Stream):
                return await self._stream(request, value, passage)
            response = self._answer(request, value, passage)
        except errors.MemdeckError as error:
            if not request.content.at_eof() and not isinstance(error, BodyTimeout):
                await decoding.drain(request)
            response = self._refusal(error, passage)
        except Exception:
            log.exception(
                "an unexpected error in %s %s", request.method, self._route.path,
                extra=action("request_failed", request_id=passage.id),
            )  # fmt: skip
            response = self._refusal(errors.MemdeckError(), passage)
        self._observe(request, response.status, passage)
        return response

    async def expect(self, request: web.Request) -> web.StreamResponse | None:
        """Answer `Expect`: a body that would be refused is refused before it is sent."""
        passage = _Passage(self._border.new_request_id(), self._border.clock.monotonic())
        limit = self._border.settings.max_body_bytes
        if (request.content_length or 0) > limit:
            response = self._refusal(decoding.too_large(limit), passage)
            # The client may send the body nevertheless; it must not be read as the next request.
            response.force_close()
            return response
        if request.headers[hdrs.EXPECT].lower() != "100-continue":
            return self._refusal(ExpectationFailed(), passage)
        if request.version >= (1, 1) and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None

    async def _value(self, request: web.Request, passage: _Passage) -> Any:
        passage.principal = self._admitted(request, passage)
        raw = b""
        if self._decoder is not None or (request.can_read_body and request.method not in _NO_BODY):
            raw = await self._raw(request)
        left = max(0.0, self._deadline - (self._border.clock.monotonic() - passage.began))
        with deadline.within(left * HANDED_DOWN):
            # What a kept answer asks of the database has the deadline too.
            if self._answers is not None:
                reach = passage.principal.caller.reach
                if (known := await self._answers.again(request.raw_path, reach, raw)) is not None:
                    return known
            call = self._call(request, passage, raw)
            try:
                async with asyncio.timeout(left):
                    return await self._handled(call)
            except TimeoutError:
                raise DeadlineExceeded from None

    def _call(self, request: web.Request, passage: _Passage, raw: bytes) -> Call[Any, Any]:
        border, route = self._border, self._route
        return Call(
            principal=passage.principal or NOBODY,
            request_id=passage.id,
            body=decoding.decoded(raw, self._decoder) if self._decoder is not None else None,
            query=decoding.converted(request.query, route.query) if route.query else None,
            path=decoding.path_values(request.match_info) if self._named else {},
            headers=request.headers,
            base_url=f"{request.scheme}://{request.headers.get(hdrs.HOST, border.settings.host)}",
            raw=raw if self._decoder is not None else b"",
            raw_path=request.raw_path,
        )

    async def _handled(self, call: Call[Any, Any]) -> Any:
        if not self._queues:
            return await self._tried(call)
        async with self._border.admission:
            return await self._tried(call)

    async def _tried(self, call: Call[Any, Any]) -> Any:
        if not self._repeats:
            return await self._route.handler(call)
        return await self._border.retries.call(lambda: self._route.handler(call))

    def _admitted(self, request: web.Request, passage: _Passage) -> Principal:
        self._border.hosts.check(request.headers)
        if self._route.need == "public":
            return NOBODY
        access = self._border.access
        principal = access.authenticate(request.headers, request.remote)
        passage.allowance = access.spend(principal)
        if passage.allowance is not None and passage.allowance.retry_after:
            raise errors.RateLimited(retry_after=passage.allowance.retry_after)
        principal.check(self._route.need)
        return principal

    async def _raw(self, request: web.Request) -> bytes:
        settings = self._border.settings
        if request.content.is_eof():  # all of it is here: nothing to wait for, and a timeout is not free
            return await decoding.read_body(request, settings.max_body_bytes)
        try:
            async with asyncio.timeout(settings.receive_timeout):
                return await decoding.read_body(request, settings.max_body_bytes)
        except TimeoutError:
            raise BodyTimeout from None

    def _answer(self, request: web.Request, value: Any, passage: _Passage) -> web.StreamResponse:
        route, headers, status = self._route, self._headers(passage), self._route.status
        content_type, raw = JSON, None
        if isinstance(value, Reply):
            headers.update(value.headers)
            status = value.status or status
            value, raw, content_type = value.value, value.raw, value.content_type
        elif isinstance(value, bytes):
            raw, content_type = value, route.content_type
        if raw is None:
            raw = msgspec.json.encode(value)
        if status == HTTPStatus.ACCEPTED and route.queued is not None:
            headers[DEGRADED] = errors.StoreUnavailable.part
        headers[hdrs.CONTENT_TYPE] = content_type
        if takes(request, status, raw):
            return Whole(status, headers, self._tails.at(passage.began), raw)
        return web.Response(body=raw, status=status, headers=headers)

    def _refusal(self, error: errors.MemdeckError, passage: _Passage) -> web.Response:
        status, body, headers = envelope(error, self._route.dialect, passage.id)
        if isinstance(error, errors.Unavailable):
            headers[DEGRADED] = error.part
        return web.Response(
            body=body, status=status, headers=self._headers(passage) | headers | {hdrs.CONTENT_TYPE: JSON}
        )

    def _headers(self, passage: _Passage) -> dict[str, str]:
        headers = {"X-Request-ID": passage.id, "Memdeck-Mode": self._border.telemetry.mode, DEGRADED: ""}
        if (allowance := passage.allowance) is not None:
            headers["X-RateLimit-Limit"] = str(allowance.limit)
            headers["X-RateLimit-Remaining"] = str(allowance.remaining)
            headers["X-RateLimit-Reset"] = str(allowance.reset_at)
        return headers

    async def _stream(self, request: web.Request, stream: Stream, passage: _Passage) -> web.StreamResponse:
        headers = self._headers(passage) | {
            hdrs.CONTENT_TYPE: stream.content_type,
            hdrs.CACHE_CONTROL: "no-store",
            "X-Accel-Buffering": "no",
        }
        response = web.StreamResponse(headers=headers)
        task = asyncio.current_task()
        try:
            await response.prepare(request)
            if task is not None:
                self._border.streams.add(task)
            async for chunk in stream.chunks:
                await response.write(chunk)
        except ConnectionError:
            log.debug("a watcher left", extra=action("feed_closed", request_id=passage.id))
        finally:
            if task is not None:
                self._border.streams.discard(task)
            if (close := getattr(stream.chunks, "aclose", None)) is not None:
                await close()
        return response

    def _observe(self, request: web.Request, status: int, passage: _Passage) -> None:
        seconds = self._border.clock.monotonic() - passage.began
        self._border.telemetry.observe(self._route.operation, seconds, status, passage.id)
        if passage.principal is not None and passage.principal is not NOBODY:
            self._border.requests.note(request.method, request.path, status, seconds, passage)
