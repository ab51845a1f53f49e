"""What needs attention: facts derived from services, objectives, mode and disk, worst first.

Owns the thresholds and the words. A fact has a key, by which the store remembers since when it has been true. Refuses
to acknowledge or silence: that is the daemon's business.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from memdeck_common.wire.feed import Counts, Mode, Service
from memdeck_console.core import formatting
from memdeck_console.core.window import ENOUGH, Operation

FAST_BURN = 14.4
"""Burn at which two per cent of a 30-day budget go within an hour: the usual page threshold of SRE practice."""
DISK_WARN, DISK_CRIT = 0.10, 0.05
"""Free share of the disk."""
FAILING = 0.05
"""Share of failed calls that is critical."""
_ORDER = {"crit": 0, "warn": 1}
_HARD_MODES = ("cache-only", "read-only")
_MODES = {
    "reduced-precision": "search answers with less precision",
    "essential-only": "recent memories come before historical ones",
    "cache-only": "kept answers, unverified; writes are queued",
    "read-only": "writes wait in the spool, or are refused where it is full",
}
_MODE_ADVICE = {
    "reduced-precision": "Searches use the local vectors until the embedder answers in time again; nothing is lost. Services "
    "shows how it is, and its own log says why.",
    "essential-only": "Memories at hand come first, because each way to the database takes long. Look at its load, its disk and "
    "the way to it.",
    "cache-only": "Start the database, or mend the way to it: `memdeck doctor` says which. What is written meanwhile is kept and "
    "stored later; `memdeck spool status` shows it.",
    "read-only": "The database takes no writes (a standby, a full disk), or does not answer: `memdeck doctor` and its log say "
    "which. What the spool has no room for (`memdeck spool status`) is refused until then.",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is not as it should be."""

    key: str
    severity: str
    """`crit` or `warn`."""
    subject: str
    headline: str
    detail: str = ""
    advice: str = ""
    """What to do, in sentences that end with what to press or type."""
    since: float | None = None
    """Epoch seconds at which this console saw it first."""
    seen_begin: bool = False
    """Whether the console was watching when it began; otherwise it is at least as old as `since`."""

    @property
    def sentence(self) -> str:
        """Headline and detail."""
        return f"{self.headline}, {self.detail}" if self.detail else self.headline

    def began(self, since: float, *, seen: bool) -> "Fact":
        """The same fact, with its age."""
        return replace(self, since=since, seen_begin=seen)


def facts_of(
    services: Iterable[Service],
    operations: Iterable[Operation],
    mode: Mode,
    degraded: Sequence[str],
    counts: Counts,
) -> tuple[Fact, ...]:
    """All facts, critical ones first, otherwise the mode and then in fleet order."""
    found = [
        # What callers notice comes before its cause.
        *_mode(mode, degraded),
        *(fact for service in services if (fact := _service(service))),
        *(fact for operation in operations for fact in _operation(operation)),
        *_disk(counts),
    ]
    return tuple(sorted(found, key=lambda fact: _ORDER[fact.severity]))


def _service(service: Service) -> Fact | None:
    if service.state in {"ok", "na"}:
        return None
    key = f"service {service.name}"
    if service.state == "stale":
        return Fact(
            key, "crit", service.name, "silent", service.note,
            advice=f"{service.name} has stopped reporting. Its last log lines may say why; `memdeck doctor` checks it.",
        )  # fmt: skip
    words = [f"p95 {formatting.with_unit(service.p95_ms)}"] if service.p95_ms is not None else []
    words += [service.note] if service.note else []
    if service.state == "crit" and service.note:
        words.reverse()
    headline, detail = (words[0] if words else f"state {service.state}"), ", ".join(words[1:])
    advice = f"Read the log lines of {service.name}, then run `memdeck doctor`: it names the cause and the next step."
    return Fact(key, service.state, service.name, headline, detail, advice)


def _operation(operation: Operation) -> Iterable[Fact]:
    rate = operation.burn or 0.0
    if operation.over:
        yield Fact(
            f"slo {operation.name}", "crit" if rate >= FAST_BURN else "warn", operation.name,
            f"p99 {_whole(operation.p99)} over SLO {operation.slo:.0f}", f"burn {formatting.burn(rate)}",
            advice=f"One in a hundred {operation.name} calls takes longer than it should. [ and ] choose its graph: a steep "
            "rise points at a store in Services, a slow one at load. `memdeck status` shows what waits.",
        )  # fmt: skip
    if operation.errors:
        total = operation.calls + operation.errors
        yield Fact(
            f"errors {operation.name}",
            "crit" if operation.errors >= FAILING * total and total >= ENOUGH else "warn",
            operation.name, f"{operation.errors:,} of {total:,} calls failed", "in the last 5 min",
            advice="The log has each failure with its request id. `memdeck doctor` checks the stores behind it.",
        )  # fmt: skip


def _whole(milliseconds: float | None) -> str:
    if milliseconds is not None and milliseconds < 999.5:  # noqa: PLR2004 - what would round to 1000
        return f"{milliseconds:.0f} ms"
    return formatting.latency(milliseconds)


def _mode(mode: Mode, degraded: Sequence[str]) -> Iterable[Fact]:
    if mode != "normal":
        yield Fact(
            f"mode {mode}", "crit" if mode in _HARD_MODES else "warn", "mode", mode.upper(), _MODES[mode],
            advice=_MODE_ADVICE[mode] + " The daemon returns to NORMAL by itself"
            + (f" when these are well again: {', '.join(degraded)}." if degraded else "."),
        )  # fmt: skip


def _disk(counts: Counts) -> Iterable[Fact]:
    if not counts.disk_total_bytes:
        return
    free = counts.disk_free_bytes / counts.disk_total_bytes
    if free < DISK_WARN:
        yield Fact(
            "disk", "crit" if free < DISK_CRIT else "warn", "disk",
            f"{formatting.percent(free)} free", formatting.size(counts.disk_free_bytes),
            advice="Writes are refused when the disk is full. Free some space, or move the home to a larger disk.",
        )  # fmt: skip
