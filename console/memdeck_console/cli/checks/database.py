"""The database: where the embedded one lies, whether an external one can be reached."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from memdeck_console.cli.checks.site import Finding, Site, unreachable

PATIENCE = 3.0
DEFAULT_PORT = 5432


def database(site: Site) -> Iterator[Finding]:
    """A database that is there."""
    if not site.settings:
        return
    if site.health:
        return  # the daemon asks it all the time; its services tell
    if site.settings.database.url:
        yield from _external(site.settings.database.url)
    else:
        yield from _embedded(site)


def _external(url: str) -> Iterator[Finding]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host, port = None, 0
    if not host:
        return  # a socket, or a form that only the driver reads
    problem = unreachable(host, port, PATIENCE)
    if problem:
        advice = "look at host and port in MEMDECK_DATABASE_URL, and whether that PostgreSQL runs"
        yield Finding("database", "fail", f"{host}:{port} cannot be reached: {problem}", advice)
    else:
        yield Finding("database", "pass", f"something answers at {host}:{port}; `memdeck up` tells the rest")


def _embedded(site: Site) -> Iterator[Finding]:
    pointer = site.home.postgres / "CURRENT"
    try:
        cluster = Path(pointer.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        yield Finding("database", "na", "none yet; the first `memdeck up` makes it")
        return
    except OSError as error:
        yield Finding(
            "database", "fail", f"{pointer}: {error.strerror}", "run this as the user of the daemon"
        )
        return
    cluster = cluster if cluster.is_absolute() else site.home.postgres / cluster
    try:
        found = (cluster / "data" / "PG_VERSION").exists()
    except PermissionError:
        yield Finding(
            "database", "fail", f"this user may not read {cluster}", "run this as the user of the daemon"
        )
        return
    if not found:
        advice = f"bring that directory back, or restore a backup; {pointer} says where the data was"
        yield Finding("database", "fail", f"{pointer} names {cluster}, which holds no database", advice)
        return
    yield from _state(site, cluster)


def _state(site: Site, cluster: Path) -> Iterator[Finding]:
    pid = _postmaster(cluster)
    if site.locked:
        yield Finding("database", "pass", f"in the daemon's hands, at {cluster}")
    elif pid is None:
        yield Finding("database", "pass", f"stopped cleanly, at {cluster}")
    elif _alive(pid):
        advice = "`memdeck up` takes it over"
        yield Finding(
            "database", "warn", f"PostgreSQL (pid {pid}) runs without its daemon, at {cluster}", advice
        )
    else:
        yield Finding("database", "pass", f"not stopped cleanly; the next start recovers it, at {cluster}")


def _postmaster(cluster: Path) -> int | None:
    try:
        return int((cluster / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


CHECKS = (database,)
