"""Stale answers, looked for: `python -m bench.staleness`.

Two daemons on one database. Each of many users has a memory that holds a number; writers raise it through either daemon,
readers search for it through either. A search that began after a write was answered must find that number or a later one:
what does not is stale. `--control` switches the check of kept answers off in the daemons and must find stale answers,
or the search itself is blind.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from bench.line import Line
from memdeck_common.clock import SystemClock
from memdeck_common.paths import Home
from memdeck_common.settings import Database, load
from memdeck_common.wire.health import DaemonFile
from memdeck_daemon.app import serve
from memdeck_daemon.infra.postgres.cluster import EmbeddedCluster

NUMBER: Final = re.compile(rb"stands at (\d+)\.")
START_LIMIT: Final = 60.0


@dataclass(slots=True)
class Counts:
    """What was done and found."""

    operations: int = 0
    reads: int = 0
    writes: int = 0
    hits: int = 0
    stale: int = 0
    seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Subject:
    """A user, and the number that stands in its memory."""

    name: str
    number: int = 0
    answered: int = 0
    """The highest number whose write was answered."""
    memory: str = ""
    writing: bool = False


class Interleaving:
    """Writers and readers over daemons; `run` counts."""

    def __init__(
        self, daemons: list[tuple[str, str]], *, users: int = 50, seed: int = 1, share: float = 0.05
    ) -> None:
        """`daemons`: address and key of each; `share` of the operations are writes."""
        self._daemons, self._random, self._share = daemons, random.Random(seed), share
        # A run on a database that has been used begins with users of its own.
        self._subjects = [Subject(f"stale_{os.urandom(3).hex()}_{number}") for number in range(users)]
        self.counts = Counts()

    async def run(self, operations: int, *, clients: int = 12, seconds: float = 600.0) -> Counts:
        """Do so many operations, or as many as fit into the time."""
        began = time.monotonic()
        deadline = began + seconds
        async with contextlib.AsyncExitStack() as stack:
            lines = [
                [await stack.enter_async_context(Line(*daemon)) for daemon in self._daemons]
                for _ in range(clients)
            ]
            for number, subject in enumerate(self._subjects):
                await self._write(subject, lines[number % clients][number % len(self._daemons)])
            self.counts = Counts()
            await asyncio.gather(*(self._client(mine, operations, deadline) for mine in lines))
        self.counts.seconds = round(time.monotonic() - began, 1)
        return self.counts

    async def _client(self, lines: list[Line], operations: int, deadline: float) -> None:
        counts = self.counts
        while counts.operations < operations and time.monotonic() < deadline:
            counts.operations += 1
            line, subject = self._random.choice(lines), self._random.choice(self._subjects)
            if self._random.random() < self._share and not subject.writing:
                await self._write(subject, line)
            else:
                await self._read(subject, line)

    async def _write(self, subject: Subject, line: Line) -> None:
        subject.writing = True
        subject.number += 1
        text = f"The count of {subject.name} stands at {subject.number}."
        try:
            if subject.memory and subject.number % 2:
                ok = bool(await self._done(line, "PUT", f"/memories/{subject.memory}", {"text": text}))
            else:
                ok = await self._replace(subject, line, text)
            self.counts.writes += 1
            if ok:
                subject.answered = subject.number
        finally:
            subject.writing = False

    async def _replace(self, subject: Subject, line: Line, text: str) -> bool:
        """A new memory, then the old one goes: both are seen for a moment."""
        body = {"messages": [{"role": "user", "content": text}], "user_id": subject.name, "infer": False}
        old, answer = subject.memory, await self._done(line, "POST", "/memories", body)
        if not answer:
            return False
        subject.memory = json.loads(answer)["results"][0]["id"]
        return not old or bool(await self._done(line, "DELETE", f"/memories/{old}", None))

    async def _done(self, line: Line, method: str, path: str, body: object) -> bytes:
        status, _, answer = await line.call(method, path, b"" if body is None else json.dumps(body).encode())
        if status != 200:
            self.counts.errors[f"{method} {status}"] += 1
            return b""
        return answer

    async def _read(self, subject: Subject, line: Line) -> None:
        needed = subject.answered
        body = {"query": "Where does the count stand?", "filters": {"user_id": subject.name}, "threshold": 0}
        status, head, answer = await line.call("POST", "/search", json.dumps(body).encode())
        counts = self.counts
        counts.reads += 1
        if status != 200:
            counts.errors[f"search {status}"] += 1
            return
        counts.hits += b"Memdeck-Cache: hit" in head
        counts.stale += max((int(found) for found in NUMBER.findall(answer)), default=0) < needed


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(prog="python -m bench.staleness", description=__doc__.splitlines()[0])
    options.add_argument("--operations", type=int, default=1_000_000, help="reads and writes (1000000)")
    options.add_argument("--seconds", type=float, default=900.0, help="most seconds (900)")
    options.add_argument("--users", type=int, default=50, help="users (50)")
    options.add_argument("--control", action="store_true", help="without the check: must find stale answers")
    options.add_argument("--redis", help="address of a Redis as second tier")
    options.add_argument("--serve", type=Path, metavar="HOME", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.serve:
        flags = {"MEMDECK_HOME": str(given.serve), "MEMDECK_PORT": "0", "MEMDECK_METRICS_PORT": "0"}
        return uvloop.run(serve(load(flags), check_answers=not given.control))
    counts = uvloop.run(_measured(given))
    ratio = round(counts.hits / max(counts.reads, 1), 3)
    print(json.dumps({**asdict(counts), "hit_ratio": ratio, "control": given.control}, indent=2))
    return (counts.stale == 0) if given.control else int(bool(counts.stale or counts.errors))


async def _measured(given: argparse.Namespace) -> Counts:
    async with two_daemons(control=given.control, redis=given.redis) as daemons:
        return await Interleaving(daemons, users=given.users).run(given.operations, seconds=given.seconds)


@contextlib.asynccontextmanager
async def two_daemons(*, control: bool, redis: str | None = None) -> AsyncIterator[list[tuple[str, str]]]:
    """Address and key of two daemons on one database that is new, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="mdstale-") as scratch:
        folder = Path(scratch)
        # As root, the database belongs to another user, who must be able to reach its folder.
        await asyncio.to_thread(folder.chmod, 0o711)
        cluster = EmbeddedCluster(
            Home(folder / "database"), Database(system_root=str(folder / "clusters")), "stale",
            progress=lambda _: None, clock=SystemClock(),
        )  # fmt: skip
        environment = {**os.environ, "MEMDECK_DATABASE_URL": await cluster.start()}
        if redis:
            environment["MEMORY_REDIS_URL"] = redis
        processes: list[asyncio.subprocess.Process] = []
        try:
            daemons = []
            for home in (folder / "one", folder / "two"):
                command = ["-m", "bench.staleness", "--serve", str(home), *(["--control"] if control else [])]
                processes.append(
                    await asyncio.create_subprocess_exec(
                        sys.executable, *command, env=environment, stdout=subprocess.DEVNULL
                    )
                )
                daemons.append(await _address(Home(home), processes[-1]))
            yield daemons
        finally:
            for process in processes:
                if process.returncode is None:
                    process.terminate()
                await process.wait()
            await cluster.stop()


async def _address(home: Home, process: asyncio.subprocess.Process) -> tuple[str, str]:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and process.returncode is None:
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            facts = msgspec.json.decode(home.daemon_file.read_bytes(), type=DaemonFile)
            return facts.url, home.admin_key.read_text(encoding="utf-8").strip()
        await asyncio.sleep(0.05)
    raise RuntimeError("the daemon did not start; what it says stands above")


if __name__ == "__main__":
    sys.exit(main())
