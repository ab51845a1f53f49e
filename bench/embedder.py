"""A stub of an OpenAI-compatible embedder: `python -m bench.embedder`.

Owns the dialect, as much of it as memdeck and mem0 ask for, and two ways of making vectors: told, text by text, and out of
a table, by the text's hash. It serves in this process, where whoever measures tells it vectors, or in a process of its own,
so that its work is charged to nobody; each answer may wait a moment, as a network would make it.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import msgspec
import numpy as np
import uvloop
from aiohttp import web
from numpy.typing import NDArray

ROWS: Final = 4_096
DIMENSIONS: Final = 1_536
DELAY: Final = 0.001
"""Seconds before each answer of the process."""
STOP_LIMIT: Final = 5.0

Vectors = Callable[[str], NDArray[Any]]
"""The vector of a text."""


class Told:
    """The vectors that it was told; for another text one of `others`."""

    def __init__(self, others: NDArray[np.float16]) -> None:
        self._known: dict[str, NDArray[np.float16]] = {}
        self._others = others

    def tell(self, texts: list[str], vectors: NDArray[np.float16]) -> None:
        """The vectors of these texts."""
        self._known.update(zip(texts, vectors, strict=True))

    def __call__(self, text: str) -> NDArray[np.float16]:
        """The vector of a text."""
        known = self._known.get(text)
        return self._others[zlib.crc32(text.encode()) % len(self._others)] if known is None else known


class Hashed:
    """Vectors from a table, which cost nothing to make.

    All are near each other (cosine .5), so that a server that hides what is far away finds something for every question.
    """

    def __init__(self, dimensions: int) -> None:
        table = np.random.default_rng(1).standard_normal((ROWS, dimensions)).astype(np.float32)
        table += np.sqrt(dimensions) * table[0] / np.linalg.norm(table[0])
        self._table: NDArray[np.float32] = table / np.linalg.norm(table, axis=1, keepdims=True)

    def __call__(self, text: str) -> NDArray[np.float32]:
        """The vector of a text."""
        digest = hashlib.blake2b(text.encode(), digest_size=4).digest()
        row: NDArray[np.float32] = self._table[int.from_bytes(digest, "big") % ROWS]
        return row


@contextlib.asynccontextmanager
async def serving(vectors: Vectors, *, port: int = 0, delay: float = 0.0) -> AsyncIterator[str]:
    """An embedder in this process, on a port that the system chooses; its address, which ends in /v1."""

    async def embed(request: web.Request) -> web.Response:
        """`POST /v1/embeddings`, with vectors as base64 where that is asked for."""
        body = msgspec.json.decode(await request.read())
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        encoded = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": place, "embedding": _written(vectors(text), encoded=encoded)}
            for place, text in enumerate(texts)
        ]
        if delay:
            await asyncio.sleep(delay)
        answer = {"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": 0, "total_tokens": 0}}  # fmt: skip
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/embeddings", embed)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def _written(vector: NDArray[Any], *, encoded: bool) -> Any:
    little = vector.astype("<f4", copy=False)
    return base64.b64encode(little.tobytes()).decode() if encoded else little.tolist()


@contextlib.contextmanager
def embedder(dimensions: int = DIMENSIONS, delay: float = DELAY) -> Iterator[str]:
    """An embedder in a process of its own, by hash; its address, which ends in /v1."""
    command = (sys.executable, "-m", "bench.embedder", "--dims", str(dimensions), "--delay", str(delay))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(STOP_LIMIT)


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(prog="python -m bench.embedder", description=__doc__.splitlines()[0])
    options.add_argument("--port", type=int, default=0, help="0: the system chooses")
    options.add_argument("--dims", type=int, default=DIMENSIONS, help=f"dimensions ({DIMENSIONS})")
    options.add_argument("--delay", type=float, default=DELAY, help=f"seconds before each answer ({DELAY})")
    given = options.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_for_good(Hashed(given.dims), given.port, given.delay))
    return 0


async def _for_good(vectors: Vectors, port: int, delay: float) -> None:
    async with serving(vectors, port=port, delay=delay) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
