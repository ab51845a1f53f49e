"""Telemetry by script, and what the API told it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from memdeck_common.wire.feed import Caller, Counts, Mode
from memdeck_common.wire.health import Health, Live, Ready

BOOT = "b007"


@dataclass(slots=True)
class FakeTelemetry:
    """A daemon that is well unless told otherwise."""

    mode: Mode = "normal"
    status: str = "ok"
    missing: list[str] = field(default_factory=list)
    events: list[tuple[str, bytes]] = field(default_factory=list)
    observed: list[tuple[str, int]] = field(default_factory=list)
    watchers: list[tuple[Caller, str | None]] = field(default_factory=list)
    in_flight: int = 0
    left: int = 0
    """How many watchers have gone."""

    def health(self) -> Health:
        """Everything about the daemon's state."""
        return Health(
            status=self.status,
            mode=self.mode,
            degraded=[],
            instance="test",
            version="0",
            boot_id=BOOT,
            started_at="2026-11-20T09:00:00+00:00",
            uptime_seconds=1.0,
            services=[],
            counts=Counts(),
        )

    def live(self) -> Live:
        """That the process answers."""
        return Live(boot_id=BOOT)

    def ready(self) -> Ready:
        """Whether requests can be served."""
        return Ready(status="not_ready" if self.missing else "ready", missing=self.missing)

    async def feed(self, caller: Caller, last_event_id: str | None) -> AsyncIterator[tuple[str, bytes]]:
        """The scripted events, then silence until the watcher goes."""
        self.watchers.append((caller, last_event_id))
        try:
            for event in self.events:
                yield event
            await asyncio.Event().wait()
        finally:
            self.left += 1

    def observe(self, operation: str, seconds: float, status: int, request_id: str) -> None:
        """Note what was answered."""
        del seconds, request_id
        self.observed.append((operation, status))

    def metrics(self) -> tuple[bytes, str]:
        """One metric."""
        return b"mem0_service_up 1\n", "text/plain; version=0.0.4; charset=utf-8"
