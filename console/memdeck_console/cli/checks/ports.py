"""The ports: free, or taken by this home's own daemon; else by whom."""

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from memdeck_console.cli.checks.site import Finding, Site

LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


def api(site: Site) -> Iterator[Finding]:
    """The port of the API."""
    if site.settings:
        server = site.settings.server
        own = site.file.url if site.file else ""
        yield from _port(site, "port", server.host, server.port, own, "MEMDECK_PORT or --port")


def metrics(site: Site) -> Iterator[Finding]:
    """The port of the metrics."""
    if site.settings:
        server = site.settings.server
        own = site.file.metrics_url if site.file else ""
        yield from _port(site, "metrics port", server.host, server.metrics_port, own, "MEMDECK_METRICS_PORT")


def _port(site: Site, check: str, host: str, port: int, own: str, setting: str) -> Iterator[Finding]:
    running = site.locked or site.local_url is not None
    if running and own:
        yield Finding(check, "pass", f"{urlsplit(own).port}, by this home's daemon")
    elif port == 0:
        yield Finding(check, "pass", "chosen by the system at each start")
    elif problem := in_use(host, port):
        yield Finding(
            check,
            "warn" if running else "fail",
            f"{host}:{port} cannot be used: {problem}{_by_whom(port)}",
            f"stop what holds it, or choose another port with {setting}",
        )
    else:
        yield Finding(check, "pass", f"{port} is free")


def in_use(host: str, port: int) -> str:
    """Why nobody could listen there; empty when one can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return "in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return ""


def _by_whom(port: int) -> str:
    pid = listener(port)
    if pid is None:
        return ""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        name = ""
    return f" by process {pid}{f' ({name})' if name else ''}"


def listener(port: int) -> int | None:
    """The process that listens on a port of this machine, where it can be found."""
    if Path("/proc/net/tcp").exists():
        inodes = {f"socket:[{inode}]" for inode in _listening(port)}
        return next((pid for pid, link in _sockets() if link in inodes), None) if inodes else None
    lsof = shutil.which("lsof")
    if not lsof:
        return None
    found = subprocess.run(
        [lsof, "-nP", "-t", f"-iTCP:{port}", "-sTCP:LISTEN"],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return int(found.stdout.split()[0]) if found.stdout.split() else None


def _listening(port: int) -> Iterator[str]:
    """Inodes of the sockets that listen on the port."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text(encoding="ascii").splitlines()[1:] if table.exists() else ():
            parts = line.split()
            if parts[3] == LISTEN and int(parts[1].rsplit(":", 1)[1], 16) == port:
                yield parts[9]


def _sockets() -> Iterator[tuple[int, str]]:
    """Process and target of each descriptor that may be looked at."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            links = [os.readlink(entry) for entry in (process / "fd").iterdir()]  # noqa: PTH115 - not a path
        except OSError:
            continue
        for link in links:
            yield int(process.name), link


CHECKS = (api, metrics)
