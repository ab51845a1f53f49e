"""A daemon behind real HTTP that says what a test tells it to: the feed and the memory routes that the console uses.

Owns the connection's side of things: refusing keys, closing streams, dying, coming back as another process at another
port. What it says comes from `tests/fakes/scenes.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from memdeck_common.wire.feed import Event, Snapshot
from memdeck_common.wire.health import DaemonFile, Live
from tests.fakes import memories, scenes


@dataclass(slots=True)
class FakeDaemon:
    """One life of a daemon on a port of its own."""

    snapshot: Snapshot = field(default_factory=scenes.snapshot)
    refuse: tuple[int, str] | None = None
    """Status and code with which the feed is refused."""
    garbled: bool = False
    """Whether the feed speaks a language of its own."""
    resumed_at: list[str | None] = field(default_factory=list)
    """`Last-Event-ID` of each connection."""
    searches: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    _queues: list["asyncio.Queue[Event | None]"] = field(default_factory=list)
    _runner: web.AppRunner | None = None

    async def start(self, home: Path | None = None) -> None:
        """Listen; with a home, write there where."""
        app = web.Application()
        app.router.add_get("/ops/feed", self._feed)
        app.router.add_get("/health/live", self._live)
        app.router.add_post("/v3/memories/search/", self._search)
        app.router.add_get("/v1/memories/{id}/history/", self._history)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        if home:
            self._tell(home)

    async def stop(self) -> None:
        """Close every stream and the port."""
        self.hang_up()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    def say(self, event: Event) -> None:
        """Send an event on every stream."""
        for queue in self._queues:
            queue.put_nowait(event)

    def hang_up(self) -> None:
        """Close every stream."""
        for queue in self._queues:
            queue.put_nowait(None)
        self._queues.clear()

    @property
    def watchers(self) -> int:
        """Open streams."""
        return len(self._queues)

    def _tell(self, home: Path) -> None:
        file = home / "run" / "daemon.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        facts = DaemonFile(
            url=self.url,
            metrics_url="",
            pid=1,
            boot_id=self.snapshot.boot_id,
            version="1.4.2",
            instance="studio-a",
        )
        file.write_bytes(msgspec.json.encode(facts))

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        self.resumed_at.append(request.headers.get("Last-Event-ID"))
        if self.refuse:
            status, code = self.refuse
            return web.json_response({"detail": "This key may not watch.", "code": code}, status=status)
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._queues.append(queue)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        event: Event | None = self.snapshot
        while event is not None:
            data = b'{"type": "riddle"}' if self.garbled else msgspec.json.encode(event)
            name = f"{self.snapshot.boot_id}:{event.seq}".encode()
            try:
                await answer.write(b"id: " + name + b"\ndata: " + data + b"\n\n")
            except ConnectionError:
                break
            event = await queue.get()
        return answer

    async def _live(self, _: web.Request) -> web.Response:
        return _json(Live(boot_id=self.snapshot.boot_id))

    async def _search(self, request: web.Request) -> web.Response:
        self.searches.append(await request.json())
        return _json(memories.answer())

    async def _history(self, _: web.Request) -> web.Response:
        return _json(memories.HISTORY)


def _json(body: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


@asynccontextmanager
async def running(home: Path | None = None, **options: Any) -> AsyncIterator[FakeDaemon]:
    """A daemon for the length of a block."""
    daemon = FakeDaemon(**options)
    await daemon.start(home)
    try:
        yield daemon
    finally:
        await daemon.stop()
