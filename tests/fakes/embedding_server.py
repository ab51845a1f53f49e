"""An embedder that speaks OpenAI's dialect, or Ollama's, and misbehaves as it is told.

Vectors are made of the words of a text (each word is a direction of its own, found by hashing), so that texts that share
words are near each other. Run as a program, it is a stub for benchmarks: it prints its address and serves until it is ended.
"""

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
from aiohttp import web
from numpy.typing import NDArray

Trouble = Literal[
    "",
    "stall",
    "error",
    "key",
    "busy",
    "dimensions",
    "nan",
    "zero",
    "empty",
    "garbage",
    "no base64",
    "refuse base64",
]


def vector_of(text: str, dimensions: int, seed: str = "") -> NDArray[np.float32]:
    """A unit vector: the sum of one direction per word, and a little of a direction that all texts share."""
    total = np.full(dimensions, 0.2 / np.sqrt(dimensions))
    for word in text.lower().split():
        digest = hashlib.blake2b((seed + word.strip(".,;:?!'\"")).encode(), digest_size=8).digest()
        total += np.random.default_rng(int.from_bytes(digest, "big")).standard_normal(dimensions) / np.sqrt(
            dimensions
        )
    unit: NDArray[np.float32] = (total / np.linalg.norm(total)).astype(np.float32)
    return unit


@dataclass(slots=True)
class EmbeddingServer:
    """What it does; everything may be changed while it runs."""

    dimensions: int = 64
    dialect: Literal["openai", "ollama"] = "openai"
    key: str | None = None
    delay: float = 0.0
    """Seconds before each answer."""
    trouble: Trouble = ""
    poison: str = "\x00"
    """Texts that hold this are refused (400)."""
    widths: dict[str, int] = field(default_factory=dict)
    """Dimensions by model, where they are others."""
    requests: list[list[str]] = field(default_factory=list)
    """The texts of each request that came."""
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    most_at_once: int = 0
    vector: Callable[[str, int, str], NDArray[np.float32]] = vector_of
    remember: bool = True
    """Whether requests are kept; benchmarks do without."""
    _at_once: int = 0
    _release: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def texts(self) -> list[str]:
        """All texts that were asked for, in order."""
        return [text for request in self.requests for text in request]

    def stall(self) -> None:
        """Answer nothing from now on, until `heal`."""
        self.trouble, self._release = "stall", asyncio.Event()

    def heal(self) -> None:
        """Answer properly from now on; what is stalled is answered."""
        self.trouble = ""
        self._release.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        wanted = "/api/embed" if self.dialect == "ollama" else "/v1/embeddings"
        if request.path != wanted:
            return web.json_response({"error": "no such page"}, status=404)
        body = msgspec.json.decode(await request.read())
        if self.remember:
            self.requests.append(body["input"])
            self.headers.append(dict(request.headers))
            self.bodies.append(body)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.trouble == "stall":
                await self._release.wait()
            if self.delay:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), self.delay)
            return self._refused(request, body) or self._answered(body)
        finally:
            self._at_once -= 1

    def _refused(self, request: web.Request, body: dict[str, Any]) -> web.Response | None:
        sent = request.headers.get("Authorization", "")
        if self.trouble == "key" or (self.key and sent != f"Bearer {self.key}"):
            return _error(401, f"Incorrect API key provided: {sent}")
        if self.trouble == "error":
            return _error(503, "overloaded")
        if self.trouble == "busy":
            return _error(429, "slow down", {"Retry-After": "7"})
        if self.trouble == "refuse base64" and "encoding_format" in body:
            return _error(400, "unknown field encoding_format")
        if any(self.poison in text for text in body["input"]):
            return _error(400, "this text cannot be embedded")
        return None

    def _answered(self, body: dict[str, Any]) -> web.Response:
        if self.trouble == "garbage":
            return web.Response(text="<html>hello</html>")
        model = body.get("model", "")
        width = body.get("dimensions", self.widths.get(model, self.dimensions))
        width += 1 if self.trouble == "dimensions" else 0
        vectors = [self.vector(text, width, model) for text in body["input"]]
        if self.trouble in {"nan", "zero"}:
            vectors[0] = np.full(width, np.nan if self.trouble == "nan" else 0.0, np.float32)
        if self.trouble == "empty":
            vectors = []
        if self.dialect == "ollama":
            return _json({"embeddings": [v.tolist() for v in vectors]})
        packed = body.get("encoding_format") == "base64" and self.trouble != "no base64"
        data = [
            {"index": i, "embedding": base64.b64encode(v.tobytes()).decode() if packed else v.tolist()}
            for i, v in enumerate(vectors)
        ]
        return _json({"object": "list", "data": data[::-1], "model": model})


def _json(body: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


@asynccontextmanager
async def serving(server: EmbeddingServer | None = None, port: int = 0) -> AsyncIterator[EmbeddingServer]:
    """The server on a port that the system chooses; `url` is its address."""
    server = server or EmbeddingServer()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    actual = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{actual}" + ("/v1" if server.dialect == "openai" else "")
    try:
        yield server
    finally:
        server.heal()
        await runner.cleanup()
