"""The daemon: alive, well, of this version, and willing to take our key."""

import time
from collections.abc import Iterator
from datetime import datetime

from memdeck_common import __version__
from memdeck_common.errors import Forbidden, RateLimited, Unauthenticated
from memdeck_console.cli.checks.site import Finding, Site, State
from memdeck_console.core.formatting import duration

SKEW = 5.0
"""Seconds by which clocks may differ before ages in the console mislead."""
STATES: dict[str, State] = {"ok": "pass", "warn": "warn", "crit": "fail", "stale": "warn", "na": "na"}


def alive(site: Site) -> Iterator[Finding]:
    """A daemon that answers."""
    if site.health and site.address:
        state: State = (
            "pass" if site.health.status == "ok" else "warn" if site.health.status == "degraded" else "fail"
        )
        summary = f"{site.health.status} at {site.address.url}, up {duration(site.health.uptime_seconds)}"
        yield Finding("daemon", state, summary, "" if state == "pass" else "look at the services below")
    elif site.address and not (site.file and site.address.url == site.file.url):
        advice = "look at MEMDECK_URL or --url, and whether the daemon runs there"
        yield Finding("daemon", "fail", f"nothing answers at {site.address.url}", advice)
    elif site.locked:
        advice = f"wait if it is still starting; its log: {site.home.log_file}; `memdeck down` stops it"
        yield Finding("daemon", "fail", f"one runs for {site.home.root} but does not answer", advice)
    else:
        crashed = f"; the last one (pid {site.file.pid}) ended without saying so" if site.file else ""
        yield Finding("daemon", "warn", f"none runs for {site.home.root}{crashed}", "`memdeck up` starts it")


def services(site: Site) -> Iterator[Finding]:
    """Services that are well."""
    for service in site.health.services if site.health else ():
        state = STATES[service.state]
        if state in {"warn", "fail"}:
            yield Finding(
                f"service {service.name}", state, service.note or service.state, "`memdeck status` shows more"
            )


def key(site: Site) -> Iterator[Finding]:
    """A key that the daemon takes."""
    if not site.health or not site.address:
        return
    where = "MEMDECK_API_KEY" if site.environ.get("MEMDECK_API_KEY") else str(site.home.admin_key)
    if isinstance(site.refusal, Unauthenticated):
        problem = "is not accepted" if site.address.key else "holds no key"
        advice = "set MEMDECK_API_KEY, or use --home of the daemon that is meant"
        yield Finding("key", "fail", f"{where} {problem}", advice)
    elif isinstance(site.refusal, Forbidden | RateLimited) or site.refusal is None:
        yield Finding("key", "pass", f"from {where}" if site.address.key else "none needed")
    else:
        yield Finding("key", "warn", f"could not be tried: {site.refusal}", "see the services above")


def version(site: Site) -> Iterator[Finding]:
    """Command line and daemon of the same version."""
    if site.health and site.health.version != __version__:
        summary = f"the daemon is {site.health.version}, this command {__version__}"
        yield Finding("version", "warn", summary, "`memdeck down` and `memdeck up` start the new one")


def clock(site: Site) -> Iterator[Finding]:
    """Clocks that agree."""
    if not site.health:
        return
    theirs = datetime.fromisoformat(site.health.started_at).timestamp() + site.health.uptime_seconds
    skew = abs(theirs - time.time())
    if skew > SKEW:
        advice = "let both machines keep their time by NTP"
        yield Finding("clock", "warn", f"differs from the daemon's by {duration(skew)}", advice)


CHECKS = (alive, services, key, version, clock)
