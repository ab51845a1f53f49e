"""A repeated search against the bare limit: `python -m bench.cached`.

wrk drives a daemon of the benchmark's own, with an agent's key whose limit is raised, and then an aiohttp handler that
returns the same body and does nothing else, in turns. Owns both processes; needs wrk (Debian package `wrk`).
"""

import argparse
import asyncio
import contextlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import uvloop
from aiohttp import web

from bench import machine
from bench.daemon import OwnDaemon
from bench.workload import Workload

BODY: Final = 4_096
"""Bytes of the answer, about."""
LIMIT: Final = 2_000_000_000
PATH: Final = "/search"
WARM: Final = 8.0
"""Seconds after which a daemon that is alone owns the counters."""


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(prog="python -m bench.cached", description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3, help="turns of each side (3)")
    options.add_argument("--seconds", type=int, default=5, help="seconds of one turn (5)")
    options.add_argument("--connections", type=int, default=20, help="connections (20)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.bare:
        asyncio.run(_bare(given.bare.read_bytes()))
        return 0
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian package wrk)", file=sys.stderr)
        return 2
    with OwnDaemon() as own, tempfile.TemporaryDirectory() as scratch:
        own.start()
        headers, body, answer = asyncio.run(_prepared(own.url, own.key))
        folder = Path(scratch)
        script, saved = folder / "post.lua", folder / "answer.json"
        script.write_text(_script(headers, body), encoding="utf-8")
        saved.write_bytes(answer)
        rates: dict[str, list[float]] = {"memdeck": [], "bare": []}
        with _bare_server(saved) as bare:
            for _ in range(given.rounds):
                for name, url in (("memdeck", own.url), ("bare", bare)):
                    rates[name].append(_driven(url + PATH, script, given.seconds, given.connections))
    memdeck, limit = statistics.median(rates["memdeck"]), statistics.median(rates["bare"])
    found = {
        "machine": machine.described(),
        "body_bytes": len(answer),
        "memdeck_per_second": round(memdeck),
        "bare_per_second": round(limit),
        "share": round(memdeck / limit, 3),
        "rates": rates,
    }
    print(json.dumps(found, indent=2))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


async def _prepared(url: str, admin: str) -> tuple[dict[str, str], bytes, bytes]:
    """Memories, a key, and a search that is answered from the cache: its headers, body and answer."""
    work = Workload(seed=1, memories=400, users=1, prefix="bench_cached")
    async with aiohttp.ClientSession(url, headers={"X-API-Key": admin}) as session:
        new = {"role": "agent", "label": "bench", "users": [], "agents": [], "rate_limit": LIMIT}
        key = (await _post(session, "/ops/keys", json.dumps(new).encode()))[1]["key"]
        for body in work.adds():
            await _post(session, "/memories", body)
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    question: dict[str, Any] = json.loads(work.questions(1)[0])
    async with aiohttp.ClientSession(url, headers=headers) as session:
        answer = b""
        for top_k in range(1, 100):
            body = json.dumps({**question, "top_k": top_k, "threshold": 0}).encode()
            answer, _, _ = await _post(session, PATH, body)
            if len(answer) >= BODY:
                break
        await asyncio.sleep(WARM)
        await _post(session, PATH, body)
        answer, _, source = await _post(session, PATH, body)
        if source != "hit":
            raise SystemExit(f"the repeated search was not answered from the cache: {source}")
    return headers, body, answer


async def _post(session: aiohttp.ClientSession, path: str, body: bytes) -> tuple[bytes, Any, str]:
    async with session.post(path, data=body, headers={"Content-Type": "application/json"}) as response:
        answer = await response.read()
        if response.status >= 300:
            raise SystemExit(f"{path}: HTTP {response.status}: {answer[:200]!r}")
        return answer, json.loads(answer), response.headers.get("Memdeck-Cache", "")


def _script(headers: dict[str, str], body: bytes) -> str:
    lines = ['wrk.method = "POST"', f"wrk.body = [==[{body.decode()}]==]"]
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    return "\n".join(lines) + "\n"


def _driven(url: str, script: Path, seconds: int, connections: int) -> float:
    """Requests per second.

    Raises:
        SystemExit: requests failed.
    """
    command = ("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url)
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 30).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if rate is None or "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(out)
    return float(rate[1])


@contextlib.contextmanager
def _bare_server(saved: Path) -> Iterator[str]:
    command = (sys.executable, "-m", "bench.cached", "--bare", str(saved))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _bare(body: bytes) -> None:
    """The limit: read the body, answer with these bytes."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post(PATH, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    sys.exit(main())
