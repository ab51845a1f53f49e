"""What is no HTTP: refused with the same envelope as everything else.

Owns the one thing that aiohttp answers before any route is known, in plain text and with a traceback in the log that
quotes the request's headers, keys included. Here the log gets the kind of fault only. This rests on names that are not
public in aiohttp (`_make_server`, `_kwargs`); tests hold them.
"""

import asyncio
import logging
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from memdeck_common import errors
from memdeck_common.log import action
from memdeck_daemon.api.http.endpoint import new_request_id
from memdeck_daemon.api.http.refusals import JSON, envelope

log = logging.getLogger(__name__)
LINE_BYTES: Final = 32 * 1024
"""Longest line of a request's head: mem0's clients put whole filters into the address."""


class NoHttp(errors.BadRequest):
    """The request cannot be read as HTTP/1.1."""

    code = "no_http"


class HeadTooLarge(errors.BadRequest):
    """A line of the request's head is too long."""

    code = "head_too_large"


class EnvelopeProtocol(RequestHandler):
    """One connection."""

    __slots__ = ()

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
    return NoHttp() if status < 500 else errors.MemdeckError()  # noqa: PLR2004


class EnvelopeServer(web.Server):
    """Makes a protocol for each connection."""

    def __call__(self) -> RequestHandler:
        """A new one."""
        return EnvelopeProtocol(self, loop=self._loop, **self._kwargs)


class EnvelopeRunner(web.AppRunner):
    """Runs an application on connections of ours."""

    __slots__ = ()

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, max_line_size=LINE_BYTES, max_field_size=LINE_BYTES, **options)

    async def _make_server(self) -> EnvelopeServer:
        made = await super()._make_server()
        return EnvelopeServer(
            made.request_handler,
            request_factory=made.request_factory,
            loop=asyncio.get_running_loop(),
            **made._kwargs,  # noqa: SLF001 - see above
        )
