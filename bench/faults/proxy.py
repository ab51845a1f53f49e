"""A TCP proxy that misbehaves as it is told: between the daemon and a store, or between a client and the daemon.

Owns one upstream and one port, which stays the same while the proxy refuses connections and takes them again. `toxics` may
be changed at any moment and concern connections that are open already. What is held back while nothing passes is
delivered when it ends, late, as a network does that was cut and mended. Refuses to know any protocol.
"""

import asyncio
import contextlib
import math
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

CHUNK: Final = 65536
Direction = Literal["both", "up", "down"]
"""`up`: what clients send; `down`: what the upstream answers."""


@dataclass(frozen=True, slots=True)
class Toxics:
    """How a proxy misbehaves; without any it does not. Seconds and bytes."""

    down: bool = False
    """Nobody listens: connections are refused, and those that are open are cut."""
    reset: bool = False
    """Connections are reset as soon as anything is sent."""
    timeout: float | None = None
    """Nothing passes; after so many seconds the connection is closed, `inf`: never."""
    latency: float = 0.0
    """Everything passes so much later."""
    jitter: float = 0.0
    """Up to so much later still."""
    bandwidth: float | None = None
    """Bytes per second."""
    slow_close: float = 0.0
    """The end of a connection is passed on so much later."""
    slice: int | None = None
    """Data passes in pieces of this size."""
    slice_delay: float = 0.0
    """Between two pieces."""
    limit: int | None = None
    """After so many bytes the connection is closed."""
    direction: Direction = "both"
    """What latency, bandwidth, timeout, slice, limit and reset concern."""

    def concern(self, direction: Direction) -> bool:
        """Whether data of this direction suffers."""
        return self.direction in {"both", direction}


HEALTHY: Final = Toxics()
REFUSE: Final = Toxics(down=True)
HANG: Final = Toxics(timeout=math.inf)
RESET: Final = Toxics(reset=True)
SLOW: Final = Toxics(latency=2.0)
MUTE: Final = Toxics(timeout=math.inf, direction="down")
"""What is asked arrives, what is answered does not."""


@dataclass(eq=False, slots=True)
class _Pair:
    """A client's connection and the one to the upstream that belongs to it."""

    client: asyncio.StreamWriter
    upstream: asyncio.StreamWriter | None = None
    passed: dict[Direction, int] = field(default_factory=lambda: {"up": 0, "down": 0})

    def abort(self, *, reset: bool = False) -> None:
        """Cut both ends at once."""
        for writer in (self.client, self.upstream):
            if writer is None:
                continue
            if reset:
                _linger_zero(writer)
            writer.transport.abort()


class Proxy:
    """One of them; `proxy()` runs it."""

    def __init__(self, host: str | Path, port: int = 0, *, seed: int = 1) -> None:
        """`host` and `port` of the upstream, or the path of its socket."""
        self._upstream, self._random = (host, port), random.Random(seed)
        self._toxics, self._changed = HEALTHY, asyncio.Event()
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.connections = 0
        """How many were taken so far."""

    @property
    def toxics(self) -> Toxics:
        """What is wrong right now."""
        return self._toxics

    async def set(self, toxics: Toxics) -> None:
        """Misbehave like this from now on."""
        self._toxics = toxics
        self._changed.set()
        self._changed = asyncio.Event()
        if toxics.down:
            await self._refuse()
        elif self._server is None:
            await self.listen()

    def aim(self, host: str, port: int) -> None:
        """Lead new connections to another upstream."""
        self._upstream = host, port

    async def listen(self) -> None:
        """Take connections, on the same port as before."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """End every connection that is open; new ones are taken."""
        for pair in list(self._pairs):
            pair.abort()

    async def close(self) -> None:
        """End all of it."""
        await self._refuse()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(writer)
        if self._server is None:  # it was on its way when the server went
            pair.abort()
            return
        self.connections += 1
        self._pairs.add(pair)
        task = asyncio.create_task(self._serve(pair, reader))
        self._tasks.add(task)
        # Not in the task: one that is cancelled before its first step never comes to a `finally`.
        task.add_done_callback(lambda task: self._left(task, pair))

    def _left(self, task: asyncio.Task[None], pair: _Pair) -> None:
        self._tasks.discard(task)
        self._pairs.discard(pair)
        pair.abort()

    async def _serve(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            await self._connect(pair, reader)

    async def _connect(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        host, port = self._upstream
        if isinstance(host, Path):
            upstream_reader, pair.upstream = await asyncio.open_unix_connection(host)
        else:
            upstream_reader, pair.upstream = await asyncio.open_connection(host, port)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump("up", pair, reader, pair.upstream))
            group.create_task(self._pump("down", pair, upstream_reader, pair.client))

    async def _pump(
        self, direction: Direction, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Pass on what comes until it ends, each piece when it is due."""
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._deliver(direction, pair, due, writer))
            loop = asyncio.get_running_loop()
            data = b"."
            while data:
                try:
                    data = await reader.read(CHUNK)
                except OSError:
                    data = b""
                toxics = self._toxics
                if toxics.reset and data and toxics.concern(direction):
                    pair.abort(reset=True)
                await due.put((loop.time() + self._delay(direction, end=not data), data))

    def _delay(self, direction: Direction, *, end: bool) -> float:
        toxics = self._toxics
        delay = toxics.slow_close if end else 0.0
        if toxics.concern(direction):
            delay += toxics.latency + self._random.uniform(0.0, toxics.jitter)
        return delay

    async def _deliver(
        self,
        direction: Direction,
        pair: _Pair,
        due: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            at, data = await due.get()
            if (wait := at - loop.time()) > 0:
                await asyncio.sleep(wait)
            await self._held(direction, pair)
            try:
                if not data:
                    writer.write_eof()
                    return
                await self._write(direction, pair, data, writer)
            except (OSError, RuntimeError):  # the other end is gone
                pair.abort()
                return

    async def _held(self, direction: Direction, pair: _Pair) -> None:
        """Wait while nothing passes."""
        while (toxics := self._toxics).timeout is not None and toxics.concern(direction):
            seconds = None if toxics.timeout == math.inf else toxics.timeout
            try:
                await asyncio.wait_for(self._changed.wait(), seconds)
            except TimeoutError:
                pair.abort()
                return

    async def _write(
        self, direction: Direction, pair: _Pair, data: bytes, writer: asyncio.StreamWriter
    ) -> None:
        toxics = self._toxics if self._toxics.concern(direction) else HEALTHY
        if toxics.limit is not None:
            data = data[: max(0, toxics.limit - pair.passed[direction])]
        size = toxics.slice or len(data) or 1
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            if toxics.bandwidth:
                await asyncio.sleep(len(piece) / toxics.bandwidth)
            writer.write(piece)
            await writer.drain()
            if toxics.slice_delay:
                await asyncio.sleep(toxics.slice_delay)
        pair.passed[direction] += len(data)
        if toxics.limit is not None and pair.passed[direction] >= toxics.limit:
            writer.write_eof()
            pair.client.close()


def _linger_zero(writer: asyncio.StreamWriter) -> None:
    """The end of the connection becomes a reset."""
    if (sock := writer.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def proxy(host: str | Path, port: int = 0, *, seed: int = 1) -> AsyncIterator[Proxy]:
    """A proxy that listens for as long as the block lasts."""
    one = Proxy(host, port, seed=seed)
    await one.listen()
    try:
        yield one
    finally:
        await one.close()
