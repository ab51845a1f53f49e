"""`GET /health`, `/health/live`, `/health/ready`, and the file in which a daemon says where it is."""

from msgspec import Struct, field

from memdeck_common.wire.feed import Counts, Mode, Service


class Live(Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: str = "ok"
    boot_id: str


class Ready(Struct, frozen=True, kw_only=True):
    """Whether requests can be served: 200 when they can, 503 otherwise."""

    status: str
    """`ready` or `not_ready`."""
    missing: list[str] = field(default_factory=list)
    """What it waits for, in words."""


class Health(Struct, frozen=True, kw_only=True):
    """Everything about the daemon's state."""

    status: str
    """`ok`, `degraded` or `down`."""
    mode: Mode
    degraded: list[str]
    instance: str
    version: str
    boot_id: str
    started_at: str
    uptime_seconds: float
    services: list[Service]
    counts: Counts
    missing: list[str] = field(default_factory=list)
    """What the daemon waits for, in sentences: a database that has not been reached yet, writes in the spool."""


class DaemonFile(Struct, frozen=True, kw_only=True):
    """`DIR/run/daemon.json`."""

    url: str
    metrics_url: str
    pid: int
    boot_id: str
    version: str
    instance: str
