"""An embedder for benchmarks, in this process: it gives the vectors that it was told, and for other texts some vector.

Speaks as much of OpenAI's dialect as memdeck asks for.
"""

import base64
import contextlib
import zlib
from collections.abc import AsyncIterator

import msgspec
import numpy as np
from aiohttp import web
from numpy.typing import NDArray

OTHERS = 1_024


class Stub:
    """Vectors by text."""

    def __init__(self, others: NDArray[np.float16]) -> None:
        """`others`: vectors of texts that it was not told."""
        self._known: dict[str, NDArray[np.float16]] = {}
        self._others = others
        self.url = ""

    def tell(self, texts: list[str], vectors: NDArray[np.float16]) -> None:
        """The vectors of these texts."""
        self._known.update(zip(texts, vectors, strict=True))

    def vector(self, text: str) -> NDArray[np.float16]:
        """The vector of a text."""
        known = self._known.get(text)
        return self._others[zlib.crc32(text.encode()) % len(self._others)] if known is None else known

    async def handle(self, request: web.Request) -> web.Response:
        """One request."""
        asked = msgspec.json.decode(await request.read())["input"]
        data = [
            {
                "index": place,
                "embedding": base64.b64encode(self.vector(text).astype("<f4").tobytes()).decode(),
            }
            for place, text in enumerate(asked)
        ]
        body = msgspec.json.encode({"object": "list", "data": data})
        return web.Response(body=body, content_type="application/json")


@contextlib.asynccontextmanager
async def serving(stub: Stub) -> AsyncIterator[Stub]:
    """The stub on a port that the system chooses."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/embeddings", stub.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield stub
    finally:
        await runner.cleanup()
