"""What is used of Qdrant's REST API, over real HTTP; it fails, hangs and refuses keys when told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Trouble = Literal["", "error", "hang", "redirect"]


@dataclass(slots=True)
class QdrantServer:
    """Collections and their points."""

    key: str = ""
    trouble: Trouble = ""
    url: str = ""
    collections: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Let go of those who hang."""
        self._over.set()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call."""
        self.requests += 1
        match self.trouble:
            case "error":
                return web.json_response({"status": {"error": "no quorum"}}, status=500)
            case "redirect":
                return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"})
            case "hang":
                await self._over.wait()
        if self.key and request.headers.get("api-key") != self.key:
            return web.Response(status=403, text="Forbidden: Must provide an API key")
        if request.path == "/readyz":
            return web.Response(text="all shards are ready")
        return await self._collection(request)

    async def _collection(self, request: web.Request) -> web.Response:
        name = request.path.split("/")[2]
        if request.method == "PUT":
            self.collections[name] = await request.json()
            return _ok(result=True)
        if name not in self.collections:
            return web.json_response({"status": {"error": f"Collection `{name}` doesn't exist!"}}, status=404)
        return _ok({"status": "green", "config": {"params": self.collections[name]}})


def _ok(result: Any) -> web.Response:
    return web.json_response({"result": result, "status": "ok", "time": 0.001})


@asynccontextmanager
async def serving(server: QdrantServer | None = None, port: int = 0) -> AsyncIterator[QdrantServer]:
    """The server on a port that the system chooses, or again on the one that it had."""
    server = server or QdrantServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.end()
        await runner.cleanup()
