"""The order of a run: which phases there are, and how two servers take turns.

Owns warm-up and alternation. Each phase is cut into rounds; in every round each server does the same slice, one after the
other with the other one idle, and the order changes from round to round. So a machine that gets slower meanwhile slows
both, and the ratio of a round means something where the bare rates do not.
"""

import asyncio
import itertools
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.driver import ADD, MIXED, PACED, REPEATED, UNIQUE, Driver, Operation, Outcome
from bench.processes import Usage, resident_mb, usage
from bench.workload import Workload

WARM_UP: Final = 100
"""Requests of each kind that are not timed, before those that are."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done; each phase ends at `limit` seconds per round even when some is left."""

    clients: int
    searches: int
    solo: int
    """Requests of each phase with one client."""
    distinct: int
    """Questions that the repeated searches are made of."""
    rounds: int
    limit: float
    settle: bool = False
    """Whether the first server has a remote embedder, whose vectors are waited for after the adds."""
    rate: float = 0.0
    """Requests a second of the open loop, which only the first server is put through; 0 leaves it out."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server that is measured."""

    name: str
    driver: Driver
    pid: int | None = None


@dataclass(slots=True)
class Series:
    """One kind of phase on one server: everything together, and the rate of each round."""

    target: str
    operation: str
    clients: int
    """0: the open loop."""
    outcome: Outcome = field(default_factory=Outcome)
    rates: list[float] = field(default_factory=list)
    """Right answers per second, round by round."""
    used: Usage | None = None
    driver_seconds: float = 0.0
    """CPU seconds of this process meanwhile."""


@dataclass(slots=True)
class Measured:
    """All that a run found."""

    series: list[Series] = field(default_factory=list)
    resident: dict[str, float] = field(default_factory=dict)
    """MB after the adds of all clients, by server."""
    backfilled: float | None = None
    """Memories a second that got their vector of the remote embedder, from the first add to the last vector."""
    warm_up_errors: Counter[str] = field(default_factory=Counter)
    """What failed before anything was timed; a failure counts wherever it happens."""


class Run:
    """One run over one or two servers."""

    def __init__(
        self, targets: Sequence[Target], workload: Workload, plan: Plan, say: Callable[[str], None]
    ) -> None:
        self._targets, self._workload, self._plan, self._say = targets, workload, plan, say
        self.measured = Measured()

    async def whole(self) -> Measured:
        """All phases, in order."""
        plan, workload = self._plan, self._workload
        for target in self._targets:
            await target.driver.run(
                ADD, workload.warm_up_adds(WARM_UP), clients=plan.clients, limit=plan.limit
            )
        began = time.perf_counter()
        await self._phase(ADD, workload.adds(), plan.clients)
        if plan.settle:
            await self._settled(began)
        stored = min(len(workload.facts) - series.outcome.unsent for series in self.measured.series)
        for target in self._targets:
            if (size := resident_mb(target.pid)) is not None:
                self.measured.resident[target.name] = size
        await self._phase(ADD, workload.more_adds(plan.solo), 1)
        if stored == 0:
            return self.measured
        await self._warm_up(UNIQUE, [workload.questions(WARM_UP, among=stored) for _ in self._targets])
        await self._phase(UNIQUE, workload.questions(plan.searches, among=stored), plan.clients)
        await self._phase(UNIQUE, workload.questions(plan.solo, among=stored), 1)
        repeated = workload.repeated(plan.searches + plan.solo, distinct=plan.distinct, among=stored)
        for target in self._targets:
            await target.driver.run(
                REPEATED, repeated[: plan.distinct], clients=plan.clients, limit=plan.limit
            )
        await self._phase(REPEATED, repeated[: plan.searches], plan.clients)
        await self._phase(REPEATED, repeated[plan.searches :], 1)
        await self._phase(
            MIXED, workload.mixed(plan.searches, repeated[: plan.distinct], among=stored), plan.clients
        )
        if plan.rate:
            await self._paced(workload.mixed(plan.searches, repeated[: plan.distinct], among=stored))
        return self.measured

    async def _settled(self, began: float) -> None:
        added, first = len(self._workload.facts), self._targets[0].driver
        while await first.waiting():
            if time.perf_counter() - began > 2 * self._plan.limit * self._plan.rounds:
                raise TimeoutError("vectors of the remote embedder are still missing")
            await asyncio.sleep(0.1)
        self.measured.backfilled = added / (time.perf_counter() - began)

    async def _paced(self, bodies: list[bytes]) -> None:
        """The open loop; a peer that is slower than the rate would only be buried."""
        self._say(f"{PACED.name}: {len(bodies):,} requests, {self._plan.rate:,.0f} a second")
        into = Series(self._targets[0].name, PACED.name, 0)
        self.measured.series.append(into)
        for part in slices(bodies, self._plan.rounds):
            await self._round(self._targets[0], into, PACED, part)

    async def _warm_up(self, operation: Operation, bodies: Sequence[list[bytes]]) -> None:
        for target, own in zip(self._targets, bodies, strict=True):
            outcome = await target.driver.run(
                operation, own, clients=self._plan.clients, limit=self._plan.limit
            )
            for reason, count in outcome.errors.items():
                self.measured.warm_up_errors[f"{target.name}, warm-up: {reason}"] += count

    async def _phase(self, operation: Operation, bodies: list[bytes], clients: int) -> None:
        self._say(f"{operation.name}: {len(bodies):,} requests, {clients} client{'s' * (clients > 1)}")
        series = [Series(target.name, operation.name, clients) for target in self._targets]
        self.measured.series += series
        for number, part in enumerate(slices(bodies, self._plan.rounds)):
            pairs = list(zip(self._targets, series, strict=True))
            for target, into in pairs if number % 2 == 0 else reversed(pairs):
                await self._round(target, into, operation, part)

    async def _round(self, target: Target, into: Series, operation: Operation, bodies: list[bytes]) -> None:
        before, own = usage(target.pid), _own_seconds()
        plan, driver = self._plan, target.driver
        if operation is PACED:
            outcome = await driver.paced(operation, bodies, rate=plan.rate, limit=plan.limit)
        else:
            outcome = await driver.run(operation, bodies, clients=into.clients, limit=plan.limit)
        after = usage(target.pid)
        into.driver_seconds += _own_seconds() - own
        into.rates.append(outcome.rate)
        into.outcome.merge(outcome)
        if before is not None and after is not None:
            used = after.since(before)
            into.used = into.used.plus(used) if into.used else used


def slices(bodies: list[bytes], rounds: int) -> list[list[bytes]]:
    """Up to `rounds` parts of nearly the same length, in order, none empty."""
    rounds = max(1, min(rounds, len(bodies)))
    edges = [len(bodies) * number // rounds for number in range(rounds + 1)]
    return [bodies[begin:end] for begin, end in itertools.pairwise(edges) if end > begin]


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
