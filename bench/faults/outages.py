"""Outages of what the daemon depends on: `python -m bench.faults.outages`.

Sets of parts × kinds of faults, one after the other on one daemon. Clients ask all the while; each answer is judged:
right, declared degraded, or wrong. 503 with Retry-After is right only for reads that need the database while it is away,
and for writes while the spool is full or off, which it is not here. After the fault the time is taken until everything is
answered undegraded again.
"""

import argparse
import asyncio
import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bench.faults.clients import Answer, Site
from bench.faults.gauges import look
from bench.faults.proxy import HANG, REFUSE, RESET, SLOW, Toxics
from bench.faults.stage import PARTS, Stage, available, staged
from memdeck_daemon.infra.resilience import policies
from memdeck_daemon.infra.resilience.breaker import JITTER, LONGEST, Policy

SETS: Final[tuple[tuple[str, ...], ...]] = (
    ("postgres",), ("redis",), ("neo4j",), ("embedder",), ("postgres", "redis"), ("embedder", "redis"), PARTS,
)  # fmt: skip
FAULTS: Final[dict[str, Toxics]] = {"refuse": REFUSE, "hang": HANG, "reset": RESET, "+2 s": SLOW}
POLICY: Final[dict[str, Policy]] = {
    "postgres": policies.POSTGRESQL, "redis": policies.REDIS, "neo4j": policies.NEO4J, "embedder": policies.OPENAI_API,
}  # fmt: skip
PROBE: Final = 5.0
"""Seconds for a probe and for what a mode waits before it is left."""
USERS: Final = 8
EACH: Final = 10
CLIENTS: Final = 8
PACE: Final = 0.05
"""Seconds between two requests of a client."""
RIGHT: Final = 0.999
LAG_MS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What breaks, how, and for how long."""

    seed: int = 1
    sets: tuple[tuple[str, ...], ...] = SETS
    faults: tuple[str, ...] = tuple(FAULTS)
    seconds: float = 10.0
    deadline: float = 10.0
    """Seconds that a request may take."""
    recover: bool = True
    parts: tuple[str, ...] = PARTS
    without: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()


def control(seed: int) -> Plan:
    """An outage of a daemon without its protections: no answers are kept, and no writes are spooled."""
    settings = (("MEMDECK_L1_BYTES", "0"), ("MEMDECK_SPOOL_BYTES", "0"))
    return Plan(
        seed=seed, sets=(("postgres",),), faults=("refuse",), seconds=4.0, recover=False, parts=("postgres",),
        settings=settings,
    )  # fmt: skip


@dataclass(slots=True)
class Verdict:
    """Of one scenario."""

    parts: tuple[str, ...]
    fault: str
    seed: int
    requests: int = 0
    right: int = 0
    declared: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    """What was wrong, by request and answer."""
    share: float = 0.0
    """Right or declared."""
    p99_ms: float = 0.0
    slowest_ms: float = 0.0
    deadline_ms: float = 0.0
    recovery_seconds: float | None = None
    recovery_bar: float = 0.0
    waited_for: str = ""
    """What was missing longest."""
    lag_p99_ms: float = 0.0
    disturbed: float = 0.0
    """Share of the time for which the daemon was ready and others had the processors."""

    @property
    def held(self) -> bool:
        """Whether all bars hold."""
        back = self.recovery_seconds is None or self.recovery_seconds <= self.recovery_bar
        return self.share >= RIGHT and self.p99_ms <= self.deadline_ms and back and self.lag_p99_ms < LAG_MS


@dataclass(frozen=True, slots=True)
class Known:
    """A memory that every search for its word must find."""

    id: str
    user: str
    word: str

    @property
    def text(self) -> str:
        """What it says."""
        return f"The {self.word} stands in the hall of {self.user}."


class Judge:
    """Clients that know what must be answered, and count."""

    def __init__(self, stage: Stage, site: Site, seed: int) -> None:
        self._stage, self._site, self._random = stage, site, random.Random(seed)
        self._known: list[Known] = []
        self._warm: list[Known] = []
        self._asked = 0
        self.taken: list[float] = []
        self.counts: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.broken: tuple[str, ...] = ()

    async def prepare(self) -> None:
        """Store what is asked for; ask some of it, so that its answers are kept.

        Raises:
            RuntimeError: a healthy daemon does not do that.
        """
        for user in (f"u{number}" for number in range(USERS)):
            for number in range(EACH):
                one = Known("", user, f"{user}statue{number}")
                answer = await self._site.call("POST", "/v3/memories/add/", _add(user, one.text))
                if answer.status != 200:
                    raise RuntimeError(f"nothing can be stored: {answer.status} {answer.body}")
                self._known.append(Known(answer.body["results"][0]["id"], user, one.word))
        self._warm = self._known[:: EACH // 2]
        await self.warm()

    async def warm(self) -> None:
        """Have the answers kept that must be there while the database is away."""
        deadline = time.monotonic() + PROBE
        for one in self._warm:
            while True:
                answer = await self._site.call("POST", "/v3/memories/search/", _search(one, one.word))
                if answer.headers.get("Memdeck-Cache") == "hit" or time.monotonic() > deadline:
                    break

    async def run(self, seconds: float) -> None:
        """Ask for so long."""
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._client(number, until) for number in range(CLIENTS)))

    async def _client(self, number: int, until: float) -> None:
        asks = [self._new, self._kept, self._get, self._list, self._write]
        while time.monotonic() < until:
            ask = asks[number % len(asks)] if number < len(asks) else self._random.choice(asks)
            begun = time.monotonic()
            name, answer, content = await ask()
            self.taken.append((time.monotonic() - begun) * 1e3)
            self._judge(name, answer, content=content)
            await asyncio.sleep(PACE)

    def _judge(self, name: str, answer: Answer, *, content: bool) -> None:
        self.counts["all"] += 1
        answered = answer.status in {200, 202}
        if answered and content and not answer.declared:
            self.counts["right"] += 1
        elif (answered and answer.declared) or self._may_refuse(name, answer):
            self.counts["declared"] += 1
        else:
            code = answer.body.get("code", "") if isinstance(answer.body, dict) else ""
            told = code or ("" if content else "not what was asked for")
            self.wrong[f"{name}: {answer.status or 'nothing'} {told}".strip()] += 1

    def _may_refuse(self, name: str, answer: Answer) -> bool:
        refused = answer.status == 503 and "Retry-After" in answer.headers
        return refused and "postgres" in self.broken and name in {"search, new", "get", "list"}

    async def _new(self) -> tuple[str, Answer, bool]:
        one = self._random.choice(self._known)
        self._asked += 1
        answer = await self._site.call(
            "POST", "/v3/memories/search/", _search(one, f"{one.word} {self._asked}")
        )
        return "search, new", answer, _finds(answer, one)

    async def _kept(self) -> tuple[str, Answer, bool]:
        one = self._random.choice(self._warm)
        answer = await self._site.call("POST", "/v3/memories/search/", _search(one, one.word))
        return "search, kept", answer, _finds(answer, one)

    async def _get(self) -> tuple[str, Answer, bool]:
        one = self._random.choice(self._known)
        answer = await self._site.call("GET", f"/v1/memories/{one.id}/")
        return "get", answer, answer.status == 200 and answer.body["memory"] == one.text

    async def _list(self) -> tuple[str, Answer, bool]:
        one = self._random.choice(self._known)
        answer = await self._site.call("POST", "/v3/memories/", {"filters": {"user_id": one.user}})
        return "list", answer, _finds(answer, one)

    async def _write(self) -> tuple[str, Answer, bool]:
        self._asked += 1
        user = f"writer{self._asked % USERS}"
        answer = await self._site.call("POST", "/v3/memories/add/", _add(user, f"Line {self._asked}."))
        return "add", answer, True

    async def well(self) -> str:
        """What is not as it was before the fault; empty when all is."""
        health = await self._site.call("GET", "/health")
        if health.status != 200 or health.body["mode"] != "normal":
            return f"mode {health.body['mode'] if health.body else 'unknown'}"
        # The database is shown with its latencies of the last minute; whether it serves is told by the answers.
        if missing := set(health.body["degraded"]) - {"postgres"}:
            return "degraded: " + ", ".join(sorted(missing))
        for ask in (self._new, self._get, self._write):
            name, answer, content = await ask()
            if answer.status != 200 or not content or answer.declared:
                return f"{name}: {answer.status}, without {answer.headers.get('Memdeck-Degraded')}"
        return ""


def _finds(answer: Answer, one: Known) -> bool:
    return answer.status == 200 and any(row["memory"] == one.text for row in answer.body["results"])


def _add(user: str, text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "user_id": user, "infer": False}


def _search(one: Known, query: str) -> dict[str, Any]:
    return {"query": query, "filters": {"user_id": one.user}, "top_k": 10}


async def run(plan: Plan, say: Callable[[str], None] = lambda _: None) -> list[Verdict]:
    """All scenarios of a plan, on one daemon."""
    parts = tuple(part for part in plan.parts if part in available())
    settings = {"MEMDECK_REQUEST_TIMEOUT": f"{plan.deadline:g}", **dict(plan.settings)}
    verdicts = []
    async with staged(settings, parts=parts, without=plan.without, seed=plan.seed) as stage:
        site = Site(stage.daemon.url, stage.daemon.key, patience=3 * plan.deadline)
        judge = Judge(stage, site, plan.seed)
        try:
            await judge.prepare()
            await _until_well(judge, PROBE * 6 if plan.recover else PROBE)
            for broken in plan.sets:
                if set(broken) & set(parts) != set(broken) and broken != PARTS:
                    say(f"{broken}: not on this machine")
                    continue
                chosen = tuple(part for part in broken if part in parts)
                for fault in plan.faults:
                    verdict = await _scenario(stage, judge, chosen, fault, plan)
                    verdicts.append(verdict)
                    say(f"{'' if verdict.held else 'NOT HELD '}{json.dumps(asdict(verdict))}")
        finally:
            await stage.heal()
            await site.close()
    return verdicts


async def _scenario(stage: Stage, judge: Judge, broken: tuple[str, ...], fault: str, plan: Plan) -> Verdict:
    judge.broken, judge.taken = broken, []
    judge.counts.clear()
    judge.wrong.clear()
    await judge.warm()
    before = await asyncio.to_thread(look, stage.daemon)
    await stage.suffer(broken, FAULTS[fault])
    await judge.run(plan.seconds)
    await stage.heal()
    taken = sorted(judge.taken)
    total = judge.counts["all"]
    bar = max(POLICY[part].open_seconds for part in broken) * LONGEST * (1 + JITTER) + PROBE
    verdict = Verdict(
        broken, fault, plan.seed, total, judge.counts["right"], judge.counts["declared"], dict(judge.wrong),
        round((judge.counts["right"] + judge.counts["declared"]) / max(total, 1), 5),
        round(taken[math.ceil(len(taken) * 0.99) - 1], 1), round(taken[-1], 1), plan.deadline * 1e3,
        recovery_bar=round(bar, 1),
    )  # fmt: skip
    if plan.recover:
        verdict.recovery_seconds, verdict.waited_for = await _until_well(judge, 2 * bar)
    after = await asyncio.to_thread(look, stage.daemon)
    verdict.lag_p99_ms, verdict.disturbed = after.lag_ms(before), after.disturbed(before)
    return verdict


async def _until_well(judge: Judge, limit: float) -> tuple[float, str]:
    """Seconds until all is as before, and what was missing longest."""
    begun, missing = time.monotonic(), Counter[str]()
    while (now := await judge.well()) and time.monotonic() - begun <= limit:
        missing[now] += 1
        await asyncio.sleep(0.1)
    return round(time.monotonic() - begun, 2), next((what for what, _ in missing.most_common(1)), "")


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(
        prog="python -m bench.faults.outages", description=__doc__.splitlines()[0]
    )
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--seconds", type=float, default=10.0, help="of each fault (10)")
    options.add_argument("--sets", help="e.g. postgres;embedder,redis")
    options.add_argument("--faults", default=",".join(FAULTS), help="of refuse,hang,reset,+2 s")
    options.add_argument("--no-recovery", action="store_true")
    given = options.parse_args()
    print(f"seed {given.seed}", file=sys.stderr)
    sets = tuple(tuple(one.split(",")) for one in given.sets.split(";")) if given.sets else SETS
    needed = PARTS if not given.sets else tuple(part for part in PARTS if any(part in one for one in sets))
    plan = Plan(
        seed=given.seed, sets=sets, faults=tuple(given.faults.split(",")), seconds=given.seconds,
        recover=not given.no_recovery, parts=("postgres", *(part for part in needed if part != "postgres")),
    )  # fmt: skip
    verdicts = asyncio.run(run(plan, lambda line: print(line, file=sys.stderr)))
    return int(not all(verdict.held for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
