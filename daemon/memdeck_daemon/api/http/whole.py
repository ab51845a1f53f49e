"""Answers that are whole when they are sent: head and body as one piece of bytes.

Owns the head of such an answer. aiohttp's own way to the same bytes, through a table of headers that is looked into a dozen
times, takes a third of the time of an answer that was kept. Refuses what that way is still needed for: HEAD, HTTP/1.0 and
connections that end, statuses without a body, and bodies that are too large to be copied.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import SERVER_SOFTWARE

from memdeck_common.clock import Clock

LARGEST: Final = 65_536
"""Bytes of a body."""
DATED: Final = 0.5
"""Seconds for which a date is sent again."""
LINES: Final = {
    status: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in (HTTPStatus.OK, HTTPStatus.ACCEPTED)
}


def takes(request: web.BaseRequest, status: int, body: bytes) -> bool:
    """Whether the answer to a request may be sent like this."""
    return (
        status in LINES
        and len(body) <= LARGEST
        and request.method != "HEAD"
        and request.version == HttpVersion11
        and request.keep_alive
    )


class Tails:
    """The headers that say the same in every answer of a moment."""

    def __init__(self, clock: Clock) -> None:
        self._now: Callable[[], datetime] = clock.now
        self._until = float("-inf")
        self._tail = ""

    def at(self, monotonic: float) -> str:
        """The end of a head; `monotonic`: the clock's seconds now."""
        if monotonic >= self._until:
            self._until = monotonic + DATED
            date = format_datetime(self._now(), usegmt=True)
            self._tail = f"Date: {date}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n"
        return self._tail


class Whole(web.StreamResponse):
    """One answer on a connection that stays open."""

    def __init__(self, status: int, headers: Mapping[str, str], tail: str, body: bytes) -> None:
        """`headers` without length and date; `tail` as `Tails` gives it.

        Raises:
            ValueError: a header holds what would end it.
        """
        super().__init__(status=status)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if lines.count("\r") != len(headers) or lines.count("\n") != len(headers):
            raise ValueError("a header holds a line break")
        self._whole = (
            f"{LINES[HTTPStatus(status)]}{lines}Content-Length: {len(body)}\r\n{tail}".encode() + body
        )
        self._keep_alive = True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Send it; waits while the client is behind with reading."""
        writer = request.writer
        if not self._eof_sent:
            self._eof_sent = True
            await writer.write(self._whole)
            await writer.drain()
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """All of it has been sent by then."""
        del data
