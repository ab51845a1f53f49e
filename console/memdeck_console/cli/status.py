"""`memdeck status`: how the daemon is, in a table."""

from typing import TYPE_CHECKING

from memdeck_console.cli.command import Command, Invocation
from memdeck_console.cli.terminal import Cell, Column, Terminal, Tone
from memdeck_console.cli.wording import MISSING, counted, instant, milliseconds, number, size
from memdeck_console.core.formatting import duration

if TYPE_CHECKING:
    from memdeck_common.wire.feed import Counts, Service
    from memdeck_common.wire.health import Health

COLUMNS = (
    Column("SERVICE"),
    Column("STATE"),
    Column("UP", right=True),
    Column("P95", right=True),
    Column("IN USE", right=True),
    Column("NOTE", cut=True),
)
TONES: dict[str, Tone] = {"ok": "ok", "warn": "warn", "crit": "crit", "stale": "muted", "na": "muted"}
STATUS_STATE = {"ok": "ok", "degraded": "warn"}


async def status(invocation: Invocation) -> int:
    """Show services, mode, counts and addresses; exit code 0 when all is well, else 1."""
    from msgspec.structs import asdict  # late: start-up

    from memdeck_console.cli.process import daemon_file  # late: aiohttp

    terminal = invocation.terminal
    address = invocation.address()
    async with invocation.connect(address) as client:
        health = await client.health()
    file = daemon_file(invocation.home)
    metrics_url = file.metrics_url if file and file.boot_id == health.boot_id else None
    if terminal.as_json:
        places = {"url": address.url, "metrics_url": metrics_url, "home": str(invocation.home.root)}
        terminal.json({**places, **asdict(health)})
    else:
        _facts(terminal, health, address.url, metrics_url)
        terminal.say("")
        terminal.table(COLUMNS, [_service(terminal, service, health) for service in health.services])
    return 0 if health.status == "ok" else 1


def _facts(terminal: Terminal, health: "Health", url: str, metrics_url: str | None) -> None:
    state = STATUS_STATE.get(health.status, "crit")
    counts = health.counts
    facts: dict[str, Cell | str] = {
        "status": Cell(f"{terminal.glyph(state)} {health.status.upper()}", TONES[state]),
        "mode": Cell(health.mode.upper(), "" if health.mode == "normal" else "warn"),
        "instance": f"{health.instance}, version {health.version}",
        "up": f"{duration(health.uptime_seconds)}, since {instant(health.started_at)}",
        "api": url,
        "metrics": metrics_url or MISSING,
        "memories": _memories(counts),
        "database": size(counts.database_bytes) if counts.database_bytes else MISSING,
        "disk": f"{size(counts.disk_free_bytes)} free of {size(counts.disk_total_bytes)}",
        "resident": size(counts.resident_bytes),
    }
    if health.degraded:
        facts["without"] = Cell(", ".join(health.degraded), "warn")
    if health.missing:
        facts["waits for"] = Cell("; ".join(health.missing), "warn")
    terminal.facts(facts)


def _memories(counts: "Counts") -> str:
    if not (counts.database_bytes or counts.memories):  # the database was not read yet
        return MISSING
    whose = f"{counted(counts.users, 'user')}, {counted(counts.agents, 'agent')}"
    return f"{number(counts.memories)} of {whose}"


def _service(terminal: Terminal, service: "Service", health: "Health") -> list[Cell | str]:
    in_use = MISSING if service.in_use is None else f"{service.in_use:,}"
    return [
        Cell(service.name, "strong"),
        Cell(f"{terminal.glyph(service.state)} {service.state.upper()}", TONES[service.state]),
        MISSING if service.up_since is None else duration(_now(health) - service.up_since),
        milliseconds(service.p95_ms),
        f"{in_use}/{service.capacity:,}" if service.capacity is not None else in_use,
        service.note,
    ]


def _now(health: "Health") -> float:
    """The daemon's clock, so that another machine's clock does not matter."""
    from datetime import datetime  # late: start-up

    return datetime.fromisoformat(health.started_at).timestamp() + health.uptime_seconds


COMMANDS = (
    Command(
        "status",
        "show how the daemon is",
        status,
        details="Show services, mode, counts and addresses. Exit code 0 when all is well, 1 when not, 3 when down.",
        examples=("memdeck status", "memdeck status --json"),
    ),
)
