"""Connections: how many, how slow, and what is no HTTP.

Owns the limits that lie below any request: a cap on connections, the time in which a request's head must be there, the
time for which an answer may wait for a client that does not read it. Owns too what aiohttp answers before any route is
known, in plain text and with a traceback in the log that quotes the request's headers, keys included: here the log gets
the kind of fault only. Addresses without parameters are looked up here, in one table: aiohttp's router takes a tenth of
the time of an answer that was kept. This rests on names that are not public in aiohttp (`_make_server`, `_kwargs`, `_waiter`,
`_connections`); tests hold them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from memdeck_common import errors
from memdeck_common.log import action
from memdeck_daemon.api.http.endpoint import new_request_id
from memdeck_daemon.api.http.refusals import JSON, BodyTimeout, TooManyConnections, envelope

log = logging.getLogger(__name__)
LINE_BYTES: Final = 32 * 1024
"""Longest line of a request's head: mem0's clients put whole filters into the address."""
HEADERS: Final = 100
"""Most headers of a request."""
LINGER: Final = 2.0
"""Seconds in which what nobody reads is still taken in after an answer that ends the connection."""
TURNED_AWAY: Final = 64
"""Connections beyond the cap that get an answer at the same time; others are cut without one."""

Plain = dict[tuple[str, str], Callable[[web.Request], Awaitable[web.StreamResponse]]]
"""What serves a method of an address without parameters."""


class NoHttp(errors.BadRequest):
    """The request cannot be read as HTTP/1.1."""

    code = "no_http"


class HeadTooLarge(errors.BadRequest):
    """The request's head is too large."""

    code = "head_too_large"


class HeadTimeout(BodyTimeout):
    """The head of the request did not arrive within MEMDECK_RECEIVE_TIMEOUT."""

    code = "head_timeout"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a listener takes."""

    connections: int
    head_seconds: float
    """Time for a request's head, from its first byte on."""
    unread_seconds: float
    """Time for which an answer waits for a client that takes nothing of it."""


class EnvelopeProtocol(RequestHandler):
    """One connection."""

    __slots__ = ("_head_timer", "_limits", "_unread_timer")

    def __init__(self, manager: web.Server, limits: Limits, **options: Any) -> None:
        super().__init__(manager, **options)
        self._limits = limits
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes; when they are the beginning of a head, the rest of it is due."""
        super().data_received(data)
        waits = self._waiter is not None and not self._waiter.done()
        if not waits and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        elif waits and self._head_timer is None:
            self._head_timer = self._loop.call_later(self._limits.head_seconds, self._head_is_late)

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._unread_timer = self._loop.call_later(self._limits.unread_seconds, self._is_not_read)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing is due any more."""
        for timer in (self._head_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport is not None:
            self.transport.write(_whole_answer(HeadTimeout()))
        self.force_close()

    def _is_not_read(self) -> None:
        log.info("cut a connection whose client does not read", extra=action("answer_unread"))
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The refusal of what could not be read; the connection ends with it."""
        del message  # quotes what was sent
        request_id = new_request_id()
        fields = action(
            "request_unreadable", request_id=request_id, remote=request.remote, fault=type(exc).__name__
        )
        if status < 500:  # noqa: PLR2004 - the client's fault
            log.info("refused what is no HTTP", extra=fields)
        else:
            log.error("a connection failed", extra=fields, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        _, body, headers = envelope(_refusal(status, exc), "oss", request_id)
        response = web.Response(
            body=body, status=status, headers=headers | {"X-Request-ID": request_id, "Content-Type": JSON}
        )
        response.force_close()
        return response


def _refusal(status: int, error: BaseException | None) -> errors.MemdeckError:
    if isinstance(error, LineTooLong):
        return HeadTooLarge(
            f"A line of the request's head is longer than {LINE_BYTES:,} bytes.", limit=LINE_BYTES
        )
    if isinstance(error, HttpProcessingError) and error.message == "Too many headers received":
        return HeadTooLarge(f"The request has more than {HEADERS} headers.", limit=HEADERS)
    return NoHttp() if status < 500 else errors.MemdeckError()  # noqa: PLR2004


def _whole_answer(error: errors.MemdeckError) -> bytes:
    """A refusal as it goes over the wire, where no request is there to be answered; the connection ends with it."""
    request_id = new_request_id()
    status, body, headers = envelope(error, "oss", request_id)
    headers |= {
        "X-Request-ID": request_id, "Content-Type": JSON, "Content-Length": str(len(body)), "Connection": "close"
    }  # fmt: skip
    lines = [f"HTTP/1.1 {status} {error.code}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class TurnedAway(asyncio.Protocol):
    """A connection beyond the cap: what it asks is answered with 503, whatever it is, then it ends.

    Not before it asks: a client would take the answer for that of a request it has not sent. Not at once after it
    either: what it is still sending would make the system drop the answer.
    """

    def __init__(self, others: set["TurnedAway"]) -> None:
        self._others = others
        self._transport: asyncio.Transport
        self._answered = False
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It may ask."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells the type
        self._transport = transport
        if len(self._others) >= TURNED_AWAY:
            transport.abort()
            return
        self._others.add(self)
        self._end = asyncio.get_running_loop().call_later(LINGER, transport.abort)

    def data_received(self, data: bytes) -> None:
        """It asks."""
        del data
        if not self._answered:
            self._answered = True
            self._transport.write(_whole_answer(TooManyConnections()))

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        del exc
        self._others.discard(self)
        if self._end is not None:
            self._end.cancel()

    def abort(self) -> None:
        """End it now."""
        self._transport.abort()


class EnvelopeServer(web.Server):
    """Makes a protocol for each connection."""

    def __init__(self, handler: Any, limits: Limits, **options: Any) -> None:
        super().__init__(handler, **options)
        self._limits = limits
        self._turned_away: set[TurnedAway] = set()

    def __call__(self) -> Any:
        """A new one."""
        if len(self._connections) >= self._limits.connections:
            return TurnedAway(self._turned_away)
        return EnvelopeProtocol(self, self._limits, loop=self._loop, **self._kwargs)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's own
        """End every connection."""
        for connection in list(self._turned_away):
            connection.abort()
        await super().shutdown(timeout)


class EnvelopeRunner(web.AppRunner):
    """Runs an application on connections of ours."""

    __slots__ = ("_limits", "_plain")

    def __init__(self, app: web.Application, limits: Limits, plain: Plain, **options: Any) -> None:
        """`plain`: addresses that are found without a look into the application's routes, as `Plain`."""
        super().__init__(
            app, max_line_size=LINE_BYTES, max_field_size=LINE_BYTES, max_headers=HEADERS, **options
        )
        self._limits, self._plain = limits, plain

    async def _make_server(self) -> EnvelopeServer:
        made = await super()._make_server()
        routed, plain = made.request_handler, self._plain

        async def handle(request: web.Request) -> web.StreamResponse:
            # As the bytes came: whatever is written otherwise goes through the routes.
            serve = plain.get((request.method, request.raw_path))
            if serve is None or hdrs.EXPECT in request.headers:
                return await routed(request)
            return await serve(request)

        return EnvelopeServer(
            handle,
            self._limits,
            request_factory=made.request_factory,
            loop=asyncio.get_running_loop(),
            **made._kwargs,  # noqa: SLF001 - see above
        )
