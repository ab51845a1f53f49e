"""Kill loops: `python -m bench.faults.kills`.

Clients write and read while the daemon and its database are killed again and again. Before half of the kills of
the daemon the answers stop passing for a moment, so that commits happen of which nobody hears. In the end everything that is
there is compared with everything that was acknowledged.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from bench.faults.clients import Site, Writer, crew
from bench.faults.daemon import Victim, victim
from bench.faults.history import History, told
from bench.faults.proxy import HEALTHY, MUTE, Proxy, proxy

UNHEARD: Final = 0.03
"""Seconds for which answers stop passing before a kill."""
AGAIN: Final = 60.0
"""Seconds in which a write must be acknowledged again after a kill."""
CALM: Final = 2.5
"""Seconds for which it must be ready in the end."""
KEY: Final = "kill-loop"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is killed, and by whom it is watched."""

    seed: int = 1
    daemon_kills: int = 200
    postgres_kills: int = 50
    keyed: int = 8
    unkeyed: int = 8
    calm: tuple[float, float] = (0.2, 0.8)
    """Seconds between a recovery and the next kill."""
    unheard: float = 0.5
    """Share of the daemon's kills before which answers stop passing."""
    settle: float = 30.0
    """Seconds that memories have to become as they should be once the daemon is ready."""
    without: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Verdict:
    """What a run found."""

    seed: int
    without: tuple[str, ...]
    kills: dict[str, int] = field(default_factory=dict)
    operations: dict[str, int] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=dict)
    findings: str = ""
    wrong_when_ready: int = 0
    """Memories that were not yet as they should be when the daemon said that it is ready."""
    recovery_seconds: dict[str, list[float]] = field(default_factory=dict)
    """From a kill to the next acknowledged write: median and longest."""
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether every acknowledged write is there once; what was refused and happened nevertheless is told, not judged."""
        return not any(times for fault, times in self.figures.items() if fault != "phantom")


class KillLoop:
    """One run."""

    def __init__(self, plan: Plan, say: Callable[[str], None] = lambda _: None) -> None:
        self._plan, self._say, self._random = plan, say, random.Random(plan.seed)
        self._history, self._kills = History(), {"daemon": 0, "postmaster": 0, "backend": 0}
        self._wrong_when_ready = 0
        self._recoveries: dict[str, list[float]] = {name: [] for name in self._kills}

    async def run(self) -> Verdict:
        """Kill, look, and judge.

        Raises:
            NotReadyError: the daemon did not come back, or takes no writes.
            RuntimeError: it is never ready again.
        """
        began, plan = time.monotonic(), self._plan
        async with (
            victim(dict(plan.settings), without=plan.without) as daemon,
            proxy(*_place(daemon), seed=plan.seed) as front,
        ):
            site = Site(f"http://127.0.0.1:{front.port}", daemon.key)
            try:
                writers = crew(site, self._history, seed=plan.seed, keyed=plan.keyed, unkeyed=plan.unkeyed)
                await self._suffer(daemon, front, site, writers)
                await self._end(site, writers)
            finally:
                await site.close()
        return Verdict(
            plan.seed,
            plan.without,
            self._kills,
            dict(self._history.counts),
            self._history.figures(),
            told(self._history.findings),
            self._wrong_when_ready,
            {name: _spread(taken) for name, taken in self._recoveries.items() if taken},
            round(time.monotonic() - began, 1),
        )

    async def _suffer(self, daemon: Victim, front: Proxy, site: Site, writers: list[Writer]) -> None:
        over = asyncio.Event()
        work = [asyncio.create_task(writer.run(over.is_set)) for writer in writers]
        order = ["daemon"] * self._plan.daemon_kills + ["postgres"] * self._plan.postgres_kills
        self._random.shuffle(order)
        try:
            for number, target in enumerate(order, 1):
                await asyncio.sleep(self._random.uniform(*self._plan.calm))
                for task in work:
                    if task.done():
                        task.result()
                begun = time.monotonic()
                if target == "daemon":
                    killed = await self._kill_daemon(daemon, front)
                else:
                    killed = daemon.kill_postgres(self._random)
                if killed:
                    self._kills[killed] += 1
                    await self._recovered(site, daemon)
                    self._recoveries[killed].append(time.monotonic() - begun)
                if number % 10 == 0:
                    self._say(
                        f"{number} of {len(order)} kills, {sum(self._history.counts.values())} operations"
                    )
            over.set()
            await asyncio.gather(*work)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _kill_daemon(self, daemon: Victim, front: Proxy) -> str:
        if self._random.random() < self._plan.unheard:
            await front.set(MUTE)
            await asyncio.sleep(UNHEARD)
        await asyncio.to_thread(daemon.kill)
        front.cut()
        await front.set(HEALTHY)
        await asyncio.to_thread(daemon.start)
        front.aim(*_place(daemon))
        return "daemon"

    async def _recovered(self, site: Site, daemon: Victim) -> None:
        """Wait until a write is acknowledged."""
        body = {"messages": [{"role": "user", "content": "Still here."}], "user_id": KEY, "infer": False}
        deadline = time.monotonic() + AGAIN
        while (answer := await site.call("POST", "/v3/memories/add/", body)).outcome != "ok":
            if time.monotonic() > deadline:
                raise daemon.failure(
                    f"no write for {AGAIN:.0f} s after a kill: {answer.status} {answer.body}"
                )
            await asyncio.sleep(0.02)

    async def _end(self, site: Site, writers: list[Writer]) -> None:
        """Wait until the daemon is ready, which is when all that it acknowledged is in the database; then look."""
        deadline, calm_since = time.monotonic() + AGAIN, time.monotonic()
        while time.monotonic() - calm_since < CALM:  # readiness is looked at once a second
            answer = await site.call("GET", "/health/ready")
            if answer.status != 200:
                calm_since = time.monotonic()
            if time.monotonic() > deadline:
                raise RuntimeError(f"not ready {AGAIN:.0f} s after the last kill: {answer.body}")
            await asyncio.sleep(0.1)
        found = await self._there(site, writers)
        self._wrong_when_ready = self._history.wrong(found)
        deadline = time.monotonic() + self._plan.settle
        while self._history.wrong(found) and time.monotonic() < deadline:
            await asyncio.sleep(0.5)
            found = await self._there(site, writers)
        self._history.final(found)

    async def _there(self, site: Site, writers: list[Writer]) -> list[tuple[str, int]]:
        return [known for writer in writers for known in await site.memories(writer.user)]


def _place(daemon: Victim) -> tuple[str, int]:
    parts = urlsplit(daemon.url)
    return parts.hostname or "", parts.port or 0


def _spread(seconds: list[float]) -> list[float]:
    ordered = sorted(seconds)
    return [round(ordered[len(ordered) // 2], 2), round(ordered[-1], 2)]


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(
        prog="python -m bench.faults.kills", description=__doc__.splitlines()[0]
    )
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--daemon-kills", type=int, default=200)
    options.add_argument("--postgres-kills", type=int, default=50)
    options.add_argument(
        "--without", action="append", default=[], help="the control: a protection to take away"
    )
    given = options.parse_args()
    print(f"seed {given.seed}", file=sys.stderr)
    plan = Plan(
        seed=given.seed, daemon_kills=given.daemon_kills, postgres_kills=given.postgres_kills,
        without=tuple(given.without),
    )  # fmt: skip
    verdict = asyncio.run(KillLoop(plan, lambda line: print(line, file=sys.stderr)).run())
    shown: dict[str, Any] = asdict(verdict)
    print(json.dumps(shown, indent=2))
    return verdict.clean if given.without else int(not verdict.clean)


if __name__ == "__main__":
    sys.exit(main())
