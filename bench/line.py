"""One line to an HTTP/1.1 server, kept open: requests as bytes, answers as status, head and body.

Owns the bytes of a connection and how long an answer may take. It is the instrument, and its CPU time is taken from the
server that it measures: of an answer it understands only where that ends. One request at a time; a request that fails
raises and is not sent again, and the next one gets a new connection.
"""

import asyncio
from typing import Final, Self, cast
from urllib.parse import urlsplit

Answer = tuple[int, bytes, bytes]
"""Status, head with its empty line, body."""

LIMIT: Final = 30.0
"""Seconds for an answer."""
CONNECT_LIMIT: Final = 5.0
VERSION: Final = b"http/1.1 "
LENGTH: Final = b"\r\ncontent-length:"
CHUNKED: Final = b"\r\ntransfer-encoding: chunked\r\n"
LAST: Final = b"\r\nconnection: close\r\n"
EMPTY: Final = frozenset({204, 304})
"""Answers that have neither a body nor a length."""


class MalformedAnswer(ConnectionError):
    """The answer is not one of HTTP/1.1, or says neither a length nor chunks, so that nobody knows where it ends."""


class Line:
    """A server, and the connection to it. As an async context manager it is connected at once, else by its first request."""

    def __init__(self, url: str, key: str = "", *, limit: float = LIMIT) -> None:
        """`limit`: seconds for an answer."""
        parts = urlsplit(url)
        self._tls = True if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._prefix, self._limit = parts.path.rstrip("/"), limit
        known = f"X-API-Key: {key}\r\n" if key else ""
        self._head = (
            f" HTTP/1.1\r\nHost: {parts.netloc}\r\n{known}Content-Type: application/json\r\n"
            "Accept-Encoding: identity\r\nContent-Length: "
        )
        self._connection: _Connection | None = None

    async def __aenter__(self) -> Self:
        """Connected."""
        self._connection = await self._connected()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closed."""
        self.close()

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.transport.abort()
            self._connection = None

    async def call(self, method: str, path: str, body: bytes = b"") -> Answer:
        """One request.

        Raises:
            TimeoutError: there was no connection or no answer in time.
            OSError: there is no server, or it closed the connection before it had answered.
        """
        connection = self._connection
        if connection is None or connection.transport.is_closing():
            connection = self._connection = await self._connected()
        head = f"{method} {self._prefix}{path}{self._head}{len(body)}\r\n\r\n"
        return await connection.ask(head.encode() + body, self._limit)

    async def _connected(self) -> "_Connection":
        async with asyncio.timeout(CONNECT_LIMIT):
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, self._host, self._port, ssl=self._tls
            )
        return connection


class _Connection(asyncio.Protocol):
    """A connection, until it fails in any way."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Answer] | None = None
        self._received = self._head = b""
        self._status = 0
        self._length: int | None = None
        """Of the body; None: it comes in chunks."""
        self._at = 0
        """In what was received: where the body, or the next chunk, begins."""
        self._chunks: list[bytes] = []
        self._last = False
        """Whether the server said that it will close."""

    async def ask(self, request: bytes, limit: float) -> Answer:
        """Send it and wait for the answer. Whatever prevents that, a cancellation too, ends the connection.

        The answer that comes late would else be taken for that of the next request.
        """
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._waiter = waiter
        alarm = self._loop.call_later(limit, self._fail, TimeoutError)
        self.transport.write(request)
        try:
            return await waiter
        finally:
            alarm.cancel()
            if self._waiter is not None:
                self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server closed the connection, or this side did."""
        del exc
        self._fail(ConnectionResetError)

    def data_received(self, data: bytes) -> None:
        """More of the answer."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            # Nobody asked, or nobody waits any more: some servers say 408 before they close.
            self.transport.abort()
            return
        self._received = self._received + data if self._received else data
        try:
            if (self._head or self._head_came()) and self._body_came():
                self._answered(waiter)
        except ValueError:
            self._fail(MalformedAnswer)

    def _head_came(self) -> bool:
        end = self._received.find(b"\r\n\r\n") + 4
        if end < 4:
            return False
        self._head, self._at = self._received[:end], end
        lower = self._head.lower()
        if not lower.startswith(VERSION):
            raise ValueError
        self._status = int(lower[9:12])
        self._last = LAST in lower
        if self._status in EMPTY:
            self._length = 0
        elif (place := lower.find(LENGTH)) >= 0:
            place += len(LENGTH)
            self._length = int(lower[place : lower.index(b"\r", place)])
        elif CHUNKED in lower:
            self._length = None
        else:
            raise ValueError
        return True

    def _body_came(self) -> bool:
        if self._length is not None:
            return len(self._received) >= self._at + self._length
        while (line := self._received.find(b"\r\n", self._at)) >= 0:
            size, begin = int(self._received[self._at : line].partition(b";")[0], 16), line + 2
            if size == 0:
                # Trailers, if any, end as a head does.
                return self._received.find(b"\r\n\r\n", line) >= 0
            if len(self._received) < begin + size + 2:
                return False
            self._chunks.append(self._received[begin : begin + size])
            self._at = begin + size + 2
        return False

    def _answered(self, waiter: "asyncio.Future[Answer]") -> None:
        if self._length is None:
            body, end = b"".join(self._chunks), self._received.index(b"\r\n\r\n", self._at) + 4
        else:
            end = self._at + self._length
            body = self._received[self._at : end]
        # What stands behind the answer is none to the next request.
        if self._last or len(self._received) > end:
            self.transport.abort()
        head, self._waiter = self._head, None
        self._received, self._head, self._chunks = b"", b"", []
        waiter.set_result((self._status, head, body))

    def _fail(self, error: type[OSError]) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error())
