"""The last five minutes of calls, second by second, and what is read from them.

Owns the ring of slots and the running total of each operation's histogram, so that a refresh costs what changed and not
what is kept. Percentiles come from merged counts, never from other percentiles.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from memdeck_common.wire.feed import Slot
from memdeck_common.wire.latency import Histogram, from_counts, merged, percentile_ms, share_over

SECONDS = 300
BUDGET = 0.01
"""Share of calls that a p99 objective allows above it."""
ENOUGH = 20
"""Calls below which a p99 says too little to raise an alarm."""
RECENT = 5
"""Seconds that make up `now`."""
SPARK_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation over the window; latencies in ms, None without calls."""

    name: str
    slo: float
    now: float | None = None
    """Median of the last five seconds."""
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    burn: float | None = None
    """Share of calls above the objective, over the share that is allowed."""
    calls: int = 0
    errors: int = 0

    @property
    def over(self) -> bool:
        """Whether p99 broke the objective, on enough calls to say so."""
        return self.p99 is not None and self.calls >= ENOUGH and self.p99 > self.slo


class Window:
    """Slots of the last 300 seconds."""

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self._totals: dict[str, dict[int, int]] = {}
        self._errors: dict[str, int] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._slots, self._totals, self._errors = {}, {}, {}

    def add(self, slots: Iterable[Slot]) -> None:
        """Take slots in any order; a second that is there already is replaced."""
        for slot in slots:
            if (known := self._slots.pop(slot.at, None)) is not None:
                self._count(known, -1)
            self._slots[slot.at] = slot
            self._count(slot, 1)

    def forget_before(self, second: float) -> None:
        """Drop what is older."""
        for at in [at for at in self._slots if at < second]:
            self._count(self._slots.pop(at), -1)

    def slots(self) -> tuple[Slot, ...]:
        """Oldest first."""
        return tuple(self._slots[at] for at in sorted(self._slots))

    def operation(self, name: str, slo: float, newest: float) -> Operation:
        """One operation's figures; `newest` is the last second of the window."""
        total = from_counts(self._totals.get(name, {}))
        recent = merged(
            slot.ops[name] for at, slot in self._slots.items() if at > newest - RECENT and name in slot.ops
        )
        return Operation(
            name=name,
            slo=slo,
            now=percentile_ms(recent, 0.5),
            p50=percentile_ms(total, 0.5),
            p95=percentile_ms(total, 0.95),
            p99=percentile_ms(total, 0.99),
            burn=share_over(total, slo) / BUDGET if total.buckets else None,
            calls=total.count,
            errors=self._errors.get(name, 0),
        )

    def _count(self, slot: Slot, sign: int) -> None:
        for name, histogram in slot.ops.items():
            total = self._totals.setdefault(name, {})
            for bucket, number in histogram.buckets:
                total[bucket] = total.get(bucket, 0) + sign * number
        for name, number in slot.errors.items():
            self._errors[name] = self._errors.get(name, 0) + sign * number


def binned(slots: Iterable[Slot], name: str, begin: float, end: float, bins: int) -> list[Histogram]:
    """One merged histogram per equal stretch of time; a second belongs to the stretch in which it begins."""
    collected: list[list[Histogram]] = [[] for _ in range(bins)]
    for slot in slots:
        if begin <= slot.at < end and (histogram := slot.ops.get(name)) is not None:
            collected[min(bins - 1, int((slot.at - begin) / (end - begin) * bins))].append(histogram)
    return [merged(histograms) for histograms in collected]


def columns(
    slots: Iterable[Slot], name: str, begin: float, end: float, bins: int
) -> list[tuple[float, float] | None]:
    """(p50, p99) per equal stretch of time; None where there were no calls."""
    found: list[tuple[float, float] | None] = []
    for histogram in binned(slots, name, begin, end, bins):
        low, high = percentile_ms(histogram, 0.5), percentile_ms(histogram, 0.99)
        found.append(None if low is None or high is None else (low, high))
    return found


def crests(slots: Iterable[Slot], name: str, begin: float, end: float, bins: int) -> list[float | None]:
    """p99 per equal stretch of time."""
    return [percentile_ms(histogram, 0.99) for histogram in binned(slots, name, begin, end, bins)]
