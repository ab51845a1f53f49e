"""Scenes: what a daemon tells a console, scripted and seeded, as wire values.

Owns the facts of the mock-ups, so that a picture of the console can be laid beside them. A scene is a list of instants;
at each one the daemon says something. No clock and no randomness beyond a fixed seed.
"""

import functools
import itertools
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec import structs

from memdeck_common.wire.feed import Caller, Counts, LogLine, Mode, Service, Slot, Snapshot, Tick, Vitals
from memdeck_common.wire.latency import Histogram, bucket_of, from_counts

NOON = datetime(2026, 11, 20, 12, 4, 31, tzinfo=UTC).timestamp()
"""12:04:31Z, the instant of the mock-ups."""
DAY = 86400
STARTED = NOON - 6 * DAY - 4 * 3600
SLO = {"search": 100.0, "add": 200.0, "context": 100.0, "graph": 100.0, "embed": 100.0}
CALLS = 40
"""Calls of each operation in a second."""
Shape = Callable[[float], float]
"""A factor on all quantiles, by seconds before the end (-300 to 0)."""


@dataclass(frozen=True, slots=True)
class Curve:
    """An operation's latency: quantiles in ms, and how they move over the five minutes."""

    p50: float
    p95: float
    p99: float
    shape: Shape = field(default=lambda _: 1.0)
    steady: float = 1.0
    """How much of the shape reaches the median; the slowest calls follow all of it."""

    def at(self, second: float, calls: int, chance: random.Random) -> Histogram:
        """The calls of one second, drawn evenly over the quantiles."""
        factor = self.shape(second)
        counts: dict[int, int] = {}
        for index in range(calls):
            share = (index + chance.random()) / calls
            value = self._quantile(share) * factor ** (self.steady + (1 - self.steady) * _tail(share))
            bucket = bucket_of(value)
            counts[bucket] = counts.get(bucket, 0) + 1
        return from_counts(counts)

    def _quantile(self, share: float) -> float:
        """Log-linear between the known quantiles, with a short tail."""
        known = (
            (0.0, self.p50 * 0.75),
            (0.5, self.p50),
            (0.95, self.p95),
            (0.99, self.p99),
            (1.0, self.p99 * 1.04),
        )
        for (low, first), (high, second) in itertools.pairwise(known):
            if share <= high:
                inside = (share - low) / (high - low)
                return first * math.exp(inside * math.log(second / first))
        return known[-1][1]


def _tail(share: float) -> float:
    return min(1.0, max(0.0, (share - 0.5) / 0.47))


def rising(second: float) -> float:
    """The graph operation of the mock-up: calm, two spikes, then a climb over the objective."""
    base = 1.0 if second < -200 else 0.82
    spikes = 0.7 * math.exp(-(((second + 150) / 4) ** 2)) + 0.9 * math.exp(-(((second + 110) / 6) ** 2))
    climb = 1.12 * min(1.0, max(0.0, (second + 85) / 50)) + 0.08 * max(0.0, second + 20) / 20
    return base + spikes + climb + 0.06 * math.sin(second / 3) + 0.05 * math.sin(second / 1.7)


def gentle(second: float) -> float:
    """A slight rise in the last minute."""
    return 1.0 + 0.12 * math.sin(second / 7) + (0.35 if second > -20 else 0.15 if second > -40 else 0.0)


HEALTHY = {
    "search": Curve(9.8, 21.4, 38.0, gentle),
    "add": Curve(5.1, 11.8, 19.2),
    "context": Curve(15.0, 44.1, 70.0, gentle),
    "graph": Curve(32.0, 50.0, 66.0, gentle),
    "embed": Curve(38.8, 41.2, 55.0),
}
TROUBLED = HEALTHY | {
    "context": Curve(15.0, 44.1, 68.0, gentle),
    "graph": Curve(50.0, 62.0, 64.0, rising, 0.25),
}


def slots(
    curves: str, begin: int = -300, end: int = 0, *, hole: tuple[int, int] = (1, 1), at: float = NOON
) -> list[Slot]:
    """A slot per second from `begin` to `end` (seconds before the scene's end), none inside the hole."""
    return [
        Slot(at=int(at) + second, ops=_second(curves, second))
        for second in range(begin, end)
        if not hole[0] <= second < hole[1]
    ]


@functools.cache
def _second(curves: str, second: int) -> dict[str, Histogram]:
    chance = random.Random(second)  # noqa: S311 - the same pictures each time
    return {name: curve.at(second, CALLS, chance) for name, curve in CURVES[curves].items()}


def service(
    name: str, p95: float | None, use: tuple[int, int] | None, note: str = "", **fields: object
) -> Service:
    """A service that is well unless `fields` say otherwise."""
    made = Service(
        name=name, state="ok", up_since=STARTED, p95_ms=p95, in_use=use[0] if use else None,
        capacity=use[1] if use else None, note=note,
    )  # fmt: skip
    return structs.replace(made, **fields)


FLEET = (
    service("api", 11.8, (14, 64)),
    service("postgres", 3.1, (4, 8), "wal 0.2s"),
    service("neo4j", 41.0, (8, 50)),
    service("redis", 0.4, (31, 512), "hit 87%"),
    service("embedder", 41.2, (2, 4), "queue 0", up_since=NOON - 2 * DAY - 11 * 3600),
    service("scheduler", 1.2, None, "next 26m"),
)
COUNTS = Counts(
    memories=1_204_881, users=412, agents=38, runs=9_120, database_bytes=4_200_000_000,
    disk_free_bytes=610_000_000_000, disk_total_bytes=1_000_000_000_000, resident_bytes=182_000_000,
)  # fmt: skip
LOG = (
    LogLine(seq=1, at=NOON - 2.949, level="INFO", service="embedder", message="batch n=16 space=local-384",
            milliseconds=40.3, request_id="7f31"),
    LogLine(seq=2, at=NOON - 1.623, level="INFO", service="api", message="add user=build infer=false stored=3",
            milliseconds=6.0, request_id="7f35"),
    LogLine(seq=3, at=NOON - 0.36, level="WARNING", service="neo4j", message="slow query expand depth=2 nodes=418",
            milliseconds=96.4, request_id="7f38"),
    LogLine(seq=4, at=NOON - 0.088, level="INFO", service="api", message="search user=ops k=8 hits=8",
            milliseconds=12.1, request_id="7f3a"),
)  # fmt: skip


def fleet(*changed: Service) -> list[Service]:
    """The fleet with some of it in another state."""
    by_name = {one.name: one for one in changed}
    return [by_name.get(one.name, one) for one in FLEET]


def snapshot(at: float = NOON, seq: int = 88_214, **fields: object) -> Snapshot:
    """All that the daemon of the mock-ups tells, all well."""
    made = Snapshot(
        seq=seq, at=at, boot_id="0193c0de-7f3a-7000-8000-0000b0071d01", instance="studio-a", version="1.4.2",
        url="http://127.0.0.1:8888", started_at=STARTED, caller=Caller(name="alice", role="operator"), slo_ms=SLO,
        vitals=Vitals(services=list(FLEET), counts=COUNTS), slots=slots("healthy"), log=list(LOG),
    )  # fmt: skip
    return structs.replace(made, **fields)


def tick(
    at: float, seq: int, vitals: Vitals | None = None, slot: Slot | None = None, log: Iterable[LogLine] = ()
) -> Tick:
    """One second later."""
    return Tick(
        seq=seq, at=at, vitals=vitals or Vitals(services=list(FLEET), counts=COUNTS), slot=slot or Slot(at=int(at)),
        log=list(log),
    )  # fmt: skip


def vitals(
    *changed: Service, mode: Mode = "normal", degraded: tuple[str, ...] = (), counts: Counts = COUNTS
) -> Vitals:
    """The fleet's vitals with some of it in another state."""
    return Vitals(mode=mode, degraded=list(degraded), services=fleet(*changed), counts=counts)


SLOW_GRAPH = service("neo4j", 84.0, (8, 50), "max 60", state="warn")
SILENT = service("scheduler", None, None, "9s quiet", state="stale", up_since=None)
BREAKER = service(
    "embedder", 1200.0, (4, 4), "open", state="crit", up_since=NOON - 2 * DAY - 11 * 3600,
)  # fmt: skip

AWAY = service("postgres", None, (0, 8), "unreachable", state="crit", up_since=None)


def crashing(second: float) -> float:
    """The embedder of the degraded mock-up: 40 ms until two minutes ago, then a second."""
    return 1.0 + 25.5 / (1.0 + math.exp(-(second + 155) / 6))


DEGRADED = {
    "search": Curve(19.8, 47.5, 71.2, gentle),
    "add": Curve(5.2, 12.0, 20.4),
    "context": Curve(27.1, 60.0, 68.0, gentle),
    "graph": Curve(31.0, 41.0, 60.0, gentle),
    "embed": Curve(38.0, 44.0, 53.0, crashing),
}
CURVES = {"healthy": HEALTHY, "troubled": TROUBLED, "degraded": DEGRADED}


def with_seconds(base: Snapshot, seconds: float) -> Snapshot:
    """The same snapshot at another instant."""
    return structs.replace(base, at=base.at + seconds)
