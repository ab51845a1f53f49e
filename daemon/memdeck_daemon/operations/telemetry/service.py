"""The door of telemetry: fulfils `ports.Telemetry`.

Owns the second-by-second look at the services and the feed that tells it. Refuses to know what the services are: the
composition root hands over a probe for each.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from memdeck_common import __version__
from memdeck_common.log import action
from memdeck_common.wire.feed import Caller, Counts, Mode, Service, Snapshot, Tick, Vitals
from memdeck_common.wire.health import Health, Live, Ready
from memdeck_daemon.infra.resilience.breaker import Breaker
from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.operations.telemetry.latency import KEPT, Latencies
from memdeck_daemon.operations.telemetry.logtail import LogTail
from memdeck_daemon.operations.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

SLO_MS: Final = {"search": 100.0, "add": 200.0, "get": 100.0, "list": 100.0, "update": 200.0, "embed": 100.0}
"""p99 objectives, in the order in which operations are shown (P1: reads 100 ms, writes 200 ms)."""
COUNTS_EVERY: Final = 5
"""Ticks between looks at how much there is."""
COUNTS_PATIENCE: Final = 0.1
"""Seconds that a tick waits for them; beyond that they come with a later one."""

Probe = Callable[[], Awaitable[Service]]


@dataclass(frozen=True, slots=True)
class Boot:
    """One life of this daemon."""

    instance: str
    boot_id: str
    started_at: datetime


class Telemetry:
    """Watches and tells."""

    def __init__(self, boot: Boot, now: Callable[[], datetime], modes: Modes) -> None:
        self._boot, self._now, self._modes = boot, now, modes
        self._probes: Sequence[Probe] = ()
        self._counts: Callable[[Counts], Awaitable[Counts]] | None = None
        self._counting: asyncio.Task[Counts] | None = None
        self._batches: Callable[[], Sequence[int]] = list
        self._waits: Callable[[], Sequence[str]] = list
        self.latencies = Latencies(self._epoch)
        self.metrics_registry = Metrics(SLO_MS, modes)
        self.tail = LogTail(self._epoch)
        self.url = ""
        self.serving = False
        self.in_flight = 0
        self._vitals = Vitals()
        self._json = msgspec.json.Encoder()
        self._ticks: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._marks: deque[tuple[int, int, int]] = deque(maxlen=KEPT)
        """After each tick: its number, that of the last log line, and how many slots there had been."""
        self._seq = 0
        self._ticked = asyncio.Event()

    def watch(
        self,
        services: Sequence[Probe],
        counts: Callable[[Counts], Awaitable[Counts]],
        batches: Callable[[], Sequence[int]],
        breakers: Callable[[], Sequence[Breaker]] = list,
        waits: Callable[[], Sequence[str]] = list,
    ) -> None:
        """What to look at: services in fleet order, how much there is, sizes of write batches since the last call.

        `counts` is given what it told last.
        `waits`: what readiness waits for beside the services, in words.
        """
        self._waits = waits
        self.metrics_registry.resilience.breakers = breakers
        self._probes, self._counts, self._batches = services, counts, batches

    # --- what the API tells -------------------------------------------------------------------------------------------

    def observe(self, operation: str, seconds: float, status: int, request_id: str) -> None:
        """One request was answered."""
        failed = status >= 500  # noqa: PLR2004
        self.latencies.record(operation, seconds, failed=failed)
        self.metrics_registry.calls.observe(operation, seconds, status)
        slow = seconds * 1e3 > SLO_MS.get(operation, 1_000.0)
        self.tail.request(operation, seconds, status, request_id, slow=slow)

    def observe_query(self, seconds: float) -> None:
        """A database connection was given back."""
        self.latencies.record("query", seconds)
        self.metrics_registry.query_duration.observe(seconds)

    # --- what the API shows -------------------------------------------------------------------------------------------

    @property
    def mode(self) -> Mode:
        """The mode that the daemon is in."""
        return self._modes.current

    def health(self) -> Health:
        """Everything about the daemon's state."""
        states = {service.state for service in self._vitals.services}
        status = "down" if "crit" in states else "degraded" if states & {"warn", "stale"} else "ok"
        return Health(
            status=status,
            mode=self._modes.current,
            degraded=self._vitals.degraded,
            instance=self._boot.instance,
            version=__version__,
            boot_id=self._boot.boot_id,
            started_at=self._boot.started_at.isoformat(),
            uptime_seconds=(self._now() - self._boot.started_at).total_seconds(),
            services=self._vitals.services,
            counts=self._vitals.counts,
            missing=list(self._waits()),
        )

    def live(self) -> Live:
        """That the process answers."""
        return Live(boot_id=self._boot.boot_id)

    def ready(self) -> Ready:
        """Whether requests can be served: the database answers, and what waited for it is done."""
        missing = [
            f"{service.name}: {service.note or 'no answer'}"
            for service in self._vitals.services
            if service.state == "crit"
        ]
        missing += self._waits()
        return Ready(status="not_ready" if missing else "ready", missing=missing)

    def metrics(self) -> tuple[bytes, str]:
        """The Prometheus exposition."""
        self.metrics_registry.service_up.set(self.serving)
        return self.metrics_registry.exposition()

    async def feed(self, caller: Caller, last_event_id: str | None) -> AsyncIterator[tuple[str, bytes]]:
        """A snapshot, then every tick; ends when the watcher is too slow to follow."""
        seen = self._seq
        yield self._id(seen), self._json.encode(self._snapshot(caller, last_event_id))
        while True:
            pending = [(seq, body) for seq, body in self._ticks if seq > seen]
            if not pending:
                await self._ticked.wait()
                continue
            if pending[0][0] != seen + 1:
                return
            for seq, body in pending:
                yield self._id(seq), body
                seen = seq

    def _id(self, seq: int) -> str:
        return f"{self._boot.boot_id}:{seq}"

    def _snapshot(self, caller: Caller, last_event_id: str | None) -> Snapshot:
        since, log_seq, slots = self._resumed(last_event_id)
        told = self._marks[-1][1] if self._marks else 0
        return Snapshot(
            seq=self._seq,
            at=self._epoch(),
            boot_id=self._boot.boot_id,
            instance=self._boot.instance,
            version=__version__,
            url=self.url,
            started_at=self._boot.started_at.timestamp(),
            caller=caller,
            slo_ms=SLO_MS,
            vitals=self._vitals,
            since=since,
            slots=self.latencies.after(slots),
            # What was logged since the last tick comes with the next one.
            log=[line for line in self.tail.after(log_seq) if line.seq <= told],
        )

    def _resumed(self, last_event_id: str | None) -> tuple[int, int, int]:
        """Numbers of the tick, the log line and the slot after which a watcher goes on; zeros for a new one."""
        boot, _, text = (last_event_id or "").rpartition(":")
        if boot != self._boot.boot_id or not text.isdecimal() or len(text) > len(str(self._seq)):
            return 0, 0, 0
        return next((mark for mark in self._marks if mark[0] == int(text)), (0, 0, 0))

    # --- looking, once a second ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look and tell, once a second, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                await self.tick()
                due = max(due + 1.0, loop.time())
                await asyncio.sleep(due - loop.time())
        finally:
            if self._counting is not None:
                self._counting.cancel()

    async def tick(self) -> None:
        """One look."""
        services = list(await asyncio.gather(*(self._probed(probe) for probe in self._probes)))
        counts = await self._counted()
        ailing = [service.name for service in services if service.state in {"warn", "crit"}]
        mode, degraded = self._modes.current, list(dict.fromkeys((*ailing, *self._modes.without())))
        self._vitals = Vitals(mode=mode, degraded=degraded, services=services, counts=counts)
        self._show()
        slot, log_seq = self.latencies.close_slot(), self._marks[-1][1] if self._marks else 0
        self.tail.close_second()
        self._seq += 1
        tick = Tick(
            seq=self._seq, at=self._epoch(), vitals=self._vitals, slot=slot, log=self.tail.after(log_seq)
        )
        self._ticks.append((self._seq, self._json.encode(tick)))
        self._marks.append((self._seq, self.tail.seq, self.latencies.closed))
        ticked, self._ticked = self._ticked, asyncio.Event()
        ticked.set()

    async def _probed(self, probe: Probe) -> Service:
        try:
            return await probe()
        except Exception as error:  # a broken probe must not blind the others
            log.exception("a probe failed", extra=action("probe_failed"))
            return Service(name=getattr(probe, "__name__", "probe"), state="stale", note=type(error).__name__)

    async def _counted(self) -> Counts:
        """How much there is; what was known last while a database that hangs is being asked."""
        if self._counting is None and self._seq % COUNTS_EVERY == 0:
            self._counting = asyncio.create_task(self._asked())
        if self._counting is None:
            return self._vitals.counts
        done, _ = await asyncio.wait({self._counting}, timeout=COUNTS_PATIENCE)
        if not done:
            return self._vitals.counts
        counting, self._counting = self._counting, None
        return counting.result()

    async def _asked(self) -> Counts:
        known = self._vitals.counts
        if self._counts is None:
            return known
        try:
            return await self._counts(known)
        except Exception:  # noqa: BLE001 - the last known numbers stand
            log.warning("the counts could not be read", extra=action("counts_failed"))
            return known

    def _show(self) -> None:
        for service in self._vitals.services:
            if service.name == "postgres":
                self.metrics_registry.postgres_up.set(service.state in {"ok", "warn"})
                self.metrics_registry.connections.set(service.in_use or 0)
                self.metrics_registry.pool_usage.labels("postgresql").set(
                    (service.in_use or 0) / (service.capacity or 1)
                )
        for size in self._batches():
            for histogram in self.metrics_registry.batch_sizes:
                histogram.observe(size)
        self.metrics_registry.tasks.set(len(asyncio.all_tasks()))
        self.metrics_registry.show_counts(self._vitals.counts)

    def _epoch(self) -> float:
        return self._now().astimezone(UTC).timestamp()
