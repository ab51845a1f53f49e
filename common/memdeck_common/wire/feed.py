"""`GET /ops/feed`: what the daemon tells those who watch it, as Server-Sent Events.

Event `snapshot` comes first on each connection and holds all that a console shows; event `tick` follows once a second
with what changed. `id:` is `BOOT_ID:SEQ`; with `Last-Event-ID` of the same boot, the snapshot's `slots` and `log` hold
only what came after that number (`since` says which), so that nothing is shown twice.
"""

from typing import Literal

from msgspec import Struct, field

from memdeck_common.wire.latency import Histogram

State = Literal["ok", "warn", "crit", "stale", "na"]
Mode = Literal["normal", "reduced-precision", "essential-only", "cache-only", "read-only"]


class Service(Struct, frozen=True, kw_only=True):
    """One part of the daemon or one store."""

    name: str
    """api, postgres, embedder, lexical, …: in fleet order."""
    state: State
    up_since: float | None = None
    """Epoch seconds at which it last came up."""
    p95_ms: float | None = None
    """95th percentile of its calls over the last minute."""
    in_use: int | None = None
    """Connections, permits or entries in use."""
    capacity: int | None = None
    note: str = ""
    """A few words: `wal 0.2s`, `lag 12`, or what is wrong."""


class Slot(Struct, frozen=True, kw_only=True):
    """The calls that ended within one second."""

    at: int
    """Epoch second."""
    ops: dict[str, Histogram] = field(default_factory=dict)
    """By operation (search, add, …); an operation without calls is absent."""
    errors: dict[str, int] = field(default_factory=dict)
    """Failed calls (5xx) by operation."""


class Counts(Struct, frozen=True, kw_only=True):
    """How much there is."""

    memories: int = 0
    users: int = 0
    agents: int = 0
    runs: int = 0
    database_bytes: int = 0
    disk_free_bytes: int = 0
    disk_total_bytes: int = 0
    resident_bytes: int = 0
    """Memory of the daemon without Postgres."""


class LogLine(Struct, frozen=True, kw_only=True):
    """One record of the daemon's log."""

    seq: int
    at: float
    """Epoch seconds."""
    level: str
    service: str
    message: str
    milliseconds: float | None = None
    request_id: str | None = None


class Caller(Struct, frozen=True, kw_only=True):
    """Who the daemon takes the watcher for."""

    name: str
    role: str


class Vitals(Struct, frozen=True, kw_only=True):
    """What may change from tick to tick."""

    mode: Mode = "normal"
    degraded: list[str] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    counts: Counts = Counts()


class Snapshot(Struct, frozen=True, kw_only=True, tag="snapshot"):
    """All that a console shows."""

    seq: int
    at: float
    """Epoch seconds of the daemon's clock when this was true."""
    boot_id: str
    instance: str
    version: str
    url: str
    started_at: float
    caller: Caller
    slo_ms: dict[str, float]
    """p99 objective by operation, in the order in which operations are shown."""
    vitals: Vitals
    since: int = 0
    """`slots` and `log` hold what came after this sequence number; 0: everything kept."""
    slots: list[Slot] = field(default_factory=list)
    """The last 300 seconds, oldest first; seconds without calls are absent."""
    log: list[LogLine] = field(default_factory=list)


class Tick(Struct, frozen=True, kw_only=True, tag="tick"):
    """One second later."""

    seq: int
    at: float
    vitals: Vitals
    slot: Slot
    log: list[LogLine] = field(default_factory=list)


Event = Snapshot | Tick
