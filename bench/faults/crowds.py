"""Crowds that must not harm the others: `python -m bench.faults.crowds`.

Two of them: clients that announce a body and never send it, and searches that wait for an embedder that hangs. The
healthy ones read all the while; their p99 with the crowd is put beside their p99 without it, in turns, so that a machine
that is busy with something else slows both.
"""

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from bench.faults.daemon import Victim, victim
from bench.faults.gauges import look
from bench.faults.proxy import HANG, HEALTHY, Proxy, proxy
from bench.line import Line
from tests.fakes.embedding_server import EmbeddingServer, serving

BAR: Final = 2.0
"""Times of the normal p99 that is allowed."""
NOISE_MS: Final = 1.0
"""A p99 below this is as good as another one below it: at such times it is the machine that is measured."""
USERS: Final = 10
EACH: Final = 20
READERS: Final = 4
PATIENCE: Final = 10.0
"""Seconds that a reader waits for an answer."""
LAG_MS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How large and how long."""

    seed: int = 1
    crowd: int = 500
    rounds: int = 4
    seconds: float = 3.0
    """Of each round."""
    without: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Verdict:
    """Of one crowd."""

    crowd: str
    size: int
    seed: int
    p99_normal_ms: float = 0.0
    p99_crowd_ms: float = 0.0
    ratio: float = 0.0
    errors: int = 0
    """Healthy requests that were not answered with 200."""
    requests: int = 0
    lag_p99_ms: float = 0.0
    disturbed: float = 0.0
    """Share of the time for which the daemon was ready and others had the processors."""
    rounds: list[tuple[float, float]] = field(default_factory=list)
    """p99 without and with the crowd, of each round."""

    @property
    def held(self) -> bool:
        """Whether the healthy did not notice."""
        quick = self.p99_crowd_ms <= max(BAR * self.p99_normal_ms, NOISE_MS)
        return quick and self.errors == 0 and self.lag_p99_ms < LAG_MS


class Healthy:
    """Clients that read what is there, one request after the other, and time it."""

    def __init__(self, daemon: Victim, paths: list[tuple[str, str, bytes]], seed: int) -> None:
        self._place, self._paths, self._random = (daemon.url, daemon.key), paths, random.Random(seed)
        self.errors = self.requests = 0

    async def p99(self, seconds: float) -> float:
        """Read for so long; ms."""
        until, taken = time.monotonic() + seconds, list[float]()

        async def client() -> None:
            async with Line(*self._place, limit=PATIENCE) as line:
                while time.monotonic() < until:
                    begun = time.perf_counter()
                    try:
                        status, _, _ = await line.call(*self._random.choice(self._paths))
                    except TimeoutError:
                        status = 0
                    taken.append((time.perf_counter() - begun) * 1e3)
                    self.requests += 1
                    self.errors += status != 200

        await asyncio.gather(*(client() for _ in range(READERS)))
        return sorted(taken)[int(len(taken) * 0.99)] if taken else float("inf")


async def stored(daemon: Victim) -> list[str]:
    """Ids of memories to read."""
    ids = []
    async with Line(daemon.url, daemon.key) as line:
        for user in range(USERS):
            said = [{"role": "user", "content": f"Fact {n} of user {user}."} for n in range(EACH)]
            body = msgspec.json.encode({"messages": said, "user_id": f"u{user}", "infer": False})
            status, _, answer = await line.call("POST", "/v3/memories/add/", body)
            if status != 200:
                raise RuntimeError(f"nothing can be stored: {status} {answer.decode()}")
            ids += [row["id"] for row in json.loads(answer)["results"]]
    return ids


def reads(ids: list[str]) -> list[tuple[str, str, bytes]]:
    """Requests that no embedder is needed for."""
    lists = [
        ("POST", "/v3/memories/", msgspec.json.encode({"filters": {"user_id": f"u{user}"}}))
        for user in range(USERS)
    ]
    return [*(("GET", f"/v1/memories/{memory}/", b"") for memory in ids), *lists * 4]


async def compared(
    daemon: Victim,
    plan: Plan,
    verdict: Verdict,
    crowd: Callable[[], contextlib.AbstractAsyncContextManager[None]],
) -> Verdict:
    """Rounds without the crowd and with it, in turns."""
    healthy = Healthy(daemon, reads(await stored(daemon)), plan.seed)
    await healthy.p99(plan.seconds / 2)
    before = await asyncio.to_thread(look, daemon)
    for _ in range(plan.rounds):
        normal = await healthy.p99(plan.seconds)
        async with crowd():
            verdict.rounds.append((round(normal, 2), round(await healthy.p99(plan.seconds), 2)))
    after = await asyncio.to_thread(look, daemon)
    verdict.lag_p99_ms, verdict.disturbed = after.lag_ms(before), after.disturbed(before)
    verdict.errors, verdict.requests = healthy.errors, healthy.requests
    verdict.p99_normal_ms = statistics.median(normal for normal, _ in verdict.rounds)
    verdict.p99_crowd_ms = statistics.median(crowded for _, crowded in verdict.rounds)
    verdict.ratio = round(verdict.p99_crowd_ms / verdict.p99_normal_ms, 2)
    return verdict


async def stalled_bodies(plan: Plan) -> Verdict:
    """Clients that announce a body, send a byte of it, and wait."""
    async with victim(dict(plan.settings), without=plan.without) as daemon:
        place = urlsplit(daemon.url)
        head = (
            f"POST /search HTTP/1.1\r\nHost: {place.netloc}\r\nX-API-Key: {daemon.key}\r\nContent-Length: 1000\r\n\r\n" "{"
        ).encode()  # fmt: skip

        @asynccontextmanager
        async def crowd() -> AsyncIterator[None]:
            connections = []
            try:
                for _ in range(plan.crowd):
                    connections.append(await asyncio.open_connection(place.hostname, place.port))
                    connections[-1][1].write(head)
                yield
            finally:
                for _, writer in connections:
                    writer.transport.abort()

        return await compared(daemon, plan, Verdict("stalled bodies", plan.crowd, plan.seed), crowd)


async def hanging_embedder(plan: Plan, searches: int = 45) -> Verdict:
    """Searches that wait for an embedder that hangs; their budget is long, so that they do wait."""
    async with serving(EmbeddingServer(remember=False)) as embedder:
        place = urlsplit(embedder.url)
        async with proxy(place.hostname or "", place.port or 0) as between:
            settings = {
                "MEMDECK_EMBEDDING_URL": f"http://127.0.0.1:{between.port}/v1", "MEMDECK_EMBEDDING_MODEL": "m",
                "MEMDECK_EMBEDDING_DIMS": str(embedder.dimensions), "MEMDECK_EMBEDDING_QUERY_BUDGET": "20",
                **dict(plan.settings),
            }  # fmt: skip
            async with victim(settings, without=plan.without) as daemon:
                verdict = Verdict("searches while the embedder hangs", searches, plan.seed)
                return await compared(daemon, plan, verdict, lambda: _waiting(daemon, between, searches))


@asynccontextmanager
async def _waiting(daemon: Victim, between: Proxy, searches: int) -> AsyncIterator[None]:
    async def ask(number: int) -> None:
        body = {"query": f"question {number} {random.random()}", "filters": {"user_id": "u1"}}
        with contextlib.suppress(OSError):
            async with Line(daemon.url, daemon.key) as line:
                await line.call("POST", "/search", msgspec.json.encode(body))

    await between.set(HANG)
    asking = [asyncio.create_task(ask(number)) for number in range(searches)]
    try:
        yield
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await between.set(HEALTHY)


HARNESSES: Final[dict[str, Callable[[Plan], Coroutine[Any, Any, Verdict]]]] = {
    "bodies": stalled_bodies,
    "embedder": hanging_embedder,
}


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(
        prog="python -m bench.faults.crowds", description=__doc__.splitlines()[0]
    )
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--rounds", type=int, default=8)
    given = options.parse_args()
    print(f"seed {given.seed}", file=sys.stderr)
    held = True
    for harness in HARNESSES.values():
        verdict = asyncio.run(harness(Plan(seed=given.seed, rounds=given.rounds)))
        print(json.dumps(asdict(verdict), indent=2))
        held &= verdict.held
    return int(not held)


if __name__ == "__main__":
    sys.exit(main())
