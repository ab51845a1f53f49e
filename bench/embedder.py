"""A stub of an OpenAI-compatible embedder: `python -m bench.embedder`.

Owns a process of its own, so that its work is charged to nobody. Vectors come from a table, by the text's hash, and cost
nothing to make; all are near each other (cosine .5), so that a server that hides what is far away finds something for
every question. Each answer waits a moment, as a network would make it.
"""

import argparse
import asyncio
import base64
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import numpy as np
import uvloop
from aiohttp import web
from numpy.typing import NDArray

ROWS: Final = 4_096
DIMENSIONS: Final = 1_536
DELAY: Final = 0.001
"""Seconds before each answer."""
STOP_LIMIT: Final = 5.0


@contextmanager
def embedder(dimensions: int = DIMENSIONS, delay: float = DELAY) -> Iterator[str]:
    """A stub that runs; its address, which ends in /v1."""
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
        runner.run(_serve(given.port, _Stub(given.dims, given.delay)))
    return 0


class _Stub:
    def __init__(self, dimensions: int, delay: float) -> None:
        table = np.random.default_rng(1).standard_normal((ROWS, dimensions)).astype(np.float32)
        table += np.sqrt(dimensions) * table[0] / np.linalg.norm(table[0])
        self._table: NDArray[np.float32] = table / np.linalg.norm(table, axis=1, keepdims=True)
        self._delay = delay

    async def embed(self, request: web.Request) -> web.Response:
        """`POST /v1/embeddings`, with vectors as base64 where that is asked for."""
        body = msgspec.json.decode(await request.read())
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        encoded = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": place, "embedding": self._vector(text, encoded=encoded)}
            for place, text in enumerate(texts)
        ]
        await asyncio.sleep(self._delay)
        answer = {"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": 0, "total_tokens": 0}}  # fmt: skip
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    def _vector(self, text: str, *, encoded: bool) -> Any:
        digest = hashlib.blake2b(text.encode(), digest_size=4).digest()
        row = self._table[int.from_bytes(digest, "big") % ROWS]
        return base64.b64encode(row.tobytes()).decode() if encoded else row.tolist()


async def _serve(port: int, stub: _Stub) -> None:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/embeddings", stub.embed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}/v1\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
