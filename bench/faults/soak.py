"""A soak: `python -m bench.faults.soak --hours 0.5`, or `make soak HOURS=168`.

A steady mix of searches, reads and writes at a fixed rate, while the daemon's memory, descriptors and tasks are looked at.
What is stored stays about the same (each user's oldest memory is forgotten when a new one comes), and the caches are
small enough to be full early, so that whatever still grows after the first quarter is a leak.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from bench import machine
from bench.faults.daemon import Victim, victim
from bench.faults.gauges import Look, look, slope
from bench.line import Line

USERS: Final = 50
KEPT: Final = 30
"""Memories of a user."""
LINES: Final = 8
"""Connections; each sends its requests one after the other."""
WARM_UP: Final = 0.25
"""Share of the time that is not judged."""
SETTINGS: Final = {
    "MEMDECK_L1_BYTES": "8000000",
    "MEMDECK_HOT_BYTES": "8000000",
    "MEMDECK_UNDO_HOURS": "0.05",
}


@dataclass(frozen=True, slots=True)
class Bars:
    """Growth per hour that counts as none, and what else must be reached."""

    resident_mb: float = 16.0
    descriptors: float = 10.0
    tasks: float = 10.0
    reached: float = 0.95
    """Share of the planned rate that counts as reached."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how much."""

    seed: int = 1
    seconds: float = 1800.0
    rate: float = 200.0
    """Requests per second."""
    every: float = 5.0
    """Seconds between two looks."""
    bars: Bars = Bars()
    without: tuple[str, ...] = ()


@dataclass(slots=True)
class Verdict:
    """What grew."""

    seed: int
    hours: float
    planned: float = 0.0
    rate: float = 0.0
    """Requests per second that were wanted, and that were reached."""
    requests: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    resident_mb: tuple[float, float] = (0.0, 0.0)
    """At the end of the warm-up and in the end."""
    resident_mb_per_hour: float = 0.0
    descriptors_per_hour: float = 0.0
    tasks_per_hour: float = 0.0
    lag_p99_ms: float = 0.0
    disturbed: float = 0.0
    """Share of the time for which the daemon was ready and others had the processors."""
    bars: Bars = Bars()
    machine: dict[str, str | int] = field(default_factory=machine.described)

    @property
    def held(self) -> bool:
        """Whether nothing grew, nothing failed and the rate was reached."""
        return (
            not self.errors
            and self.rate >= self.bars.reached * self.planned
            and self.resident_mb_per_hour <= self.bars.resident_mb
            and abs(self.descriptors_per_hour) <= self.bars.descriptors
            and abs(self.tasks_per_hour) <= self.bars.tasks
        )


class Traffic:
    """The steady mix."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._random = plan, random.Random(plan.seed)
        self._kept = {f"soak{number}": deque[str]() for number in range(USERS)}
        self._count = 0
        self.requests, self.errors = 0, Counter[str]()

    async def line(self, daemon: Victim, until: float) -> None:
        """One connection; a request that is late does not delay the next one's turn."""
        pace, due = LINES / self._plan.rate, time.monotonic()
        async with Line(daemon.url, daemon.key) as line:
            while (now := time.monotonic()) < until:
                due = max(due + pace, now - 1.0)
                if due > now:
                    await asyncio.sleep(due - now)
                await self._next(line)

    async def _next(self, line: Line) -> None:
        user = self._random.choice(list(self._kept))
        chance, memories = self._random.random(), self._kept[user]
        if chance < 0.1 or not memories:
            await self._replace(line, user, memories)
        elif chance < 0.3:
            await self._call(line, "GET", f"/v1/memories/{self._random.choice(memories)}/", accept=(200, 404))
        else:
            # Half of the questions are asked again and again.
            number = self._random.randrange(20) if chance < 0.65 else self._random.randrange(10**9)
            body = {"query": f"What is fact {number}?", "filters": {"user_id": user}}
            await self._call(line, "POST", "/v3/memories/search/", body)

    async def _replace(self, line: Line, user: str, memories: deque[str]) -> None:
        self._count += 1
        said = [
            {
                "role": "user",
                "content": f"Fact {self._count} is that {user} likes number {self._random.random()}.",
            }
        ]
        answer = await self._call(
            line, "POST", "/v3/memories/add/", {"messages": said, "user_id": user, "infer": False}
        )
        if answer:
            memories.append(json.loads(answer)["results"][0]["id"])
        if len(memories) > KEPT:
            await self._call(line, "DELETE", f"/v1/memories/{memories.popleft()}/", accept=(200, 204, 404))

    async def _call(
        self, line: Line, method: str, path: str, body: object = None, accept: tuple[int, ...] = (200,)
    ) -> bytes:
        raw = b"" if body is None else msgspec.json.encode(body)
        self.requests += 1
        try:
            status, _, answer = await line.call(method, path, raw)
        except OSError as error:
            self.errors[f"{method} {type(error).__name__}"] += 1
            return b""
        if status not in accept:
            self.errors[f"{method} {status}"] += 1
            return b""
        return answer


async def run(plan: Plan, say: Callable[[str], None] = lambda _: None) -> Verdict:
    """Soak a daemon of its own."""
    async with victim(SETTINGS, without=plan.without) as daemon:
        traffic, begun = Traffic(plan), time.monotonic()
        until = begun + plan.seconds
        work = [asyncio.create_task(traffic.line(daemon, until)) for _ in range(LINES)]
        looks: list[tuple[float, Look]] = []
        try:
            while (now := time.monotonic()) < until:
                looks.append((now - begun, await asyncio.to_thread(look, daemon)))
                if len(looks) % 60 == 0:
                    said = looks[-1][1]
                    say(
                        f"{now - begun:.0f} s: {said.resident_mb} MB, {said.descriptors} descriptors, {said.tasks:.0f} tasks"
                    )
                await asyncio.wait(work, timeout=min(plan.every, max(until - now, 0.01)))
            await asyncio.gather(*work)
        finally:
            for task in work:
                task.cancel()
    return _judged(plan, traffic, looks)


def _judged(plan: Plan, traffic: Traffic, looks: list[tuple[float, Look]]) -> Verdict:
    settled = [(at, seen) for at, seen in looks if at >= plan.seconds * WARM_UP]

    def growth(value: Callable[[Look], float | None]) -> float:
        points = [(at, number) for at, seen in settled if (number := value(seen)) is not None]
        return round(slope(points), 2)

    first, last = settled[0][1], settled[-1][1]
    return Verdict(
        plan.seed,
        round(plan.seconds / 3600, 3),
        plan.rate,
        round(traffic.requests / plan.seconds, 1),
        traffic.requests,
        dict(traffic.errors),
        (first.resident_mb or 0.0, last.resident_mb or 0.0),
        growth(lambda seen: seen.resident_mb),
        growth(lambda seen: seen.descriptors),
        growth(lambda seen: seen.tasks),
        last.lag_ms(first),
        last.disturbed(first),
        plan.bars,
    )


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(prog="python -m bench.faults.soak", description=__doc__.splitlines()[0])
    options.add_argument("--hours", type=float, default=0.5)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--json", type=Path, help="write the verdict there as well")
    options.add_argument(
        "--without", action="append", default=[], help="the control: a protection to take away"
    )
    given = options.parse_args()
    print(f"seed {given.seed}", file=sys.stderr)
    plan = Plan(seed=given.seed, seconds=given.hours * 3600, without=tuple(given.without))
    verdict = asyncio.run(run(plan, lambda line: print(line, file=sys.stderr)))
    text = json.dumps(asdict(verdict), indent=2)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")
    return verdict.held if given.without else int(not verdict.held)


if __name__ == "__main__":
    sys.exit(main())
