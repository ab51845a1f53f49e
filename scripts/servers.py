"""The programs that tests drive and pip cannot bring, and their installation on Debian.

The one list of them: `make test` installs from it, `tests/support/servers.py` skips by it. Only as root on Debian or a
system made from it is anything installed; nowhere is a service started. An external PostgreSQL is not in the list: tests
start one from the binaries that are in `.venv` anyway.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Server:
    """A program, the Debian package that holds it, and what the tests need it for."""

    command: str
    package: str
    why: str


SERVERS = (
    Server("curl", "curl", "the README's calls are run as they stand there"),
    Server("redis-server", "redis-server", "the second tier of the caches, and its loss"),
    Server("tmux", "tmux", "a terminal for the console, so that `memdeck up` is tried as a person uses it"),
)


def missing(servers: tuple[Server, ...] = SERVERS) -> list[Server]:
    """Those that are not on PATH."""
    return [server for server in servers if shutil.which(server.command) is None]


def can_install() -> bool:
    """Whether this is root on Debian or a system made from it."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def installing_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for apt-get: no questions, no services started, and the folders that dpkg looks for."""
    path = environ.get("PATH", os.defpath)
    return {
        **environ,
        "DEBIAN_FRONTEND": "noninteractive",
        "RUNLEVEL": "1",
        "PATH": f"{path}:/usr/sbin:/sbin",
    }


def install(servers: list[Server]) -> None:
    """Install the packages.

    Raises:
        subprocess.CalledProcessError: apt-get failed; it has said why.
    """
    environ = installing_environment(os.environ)
    apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")
    packages = sorted({server.package for server in servers})
    for command in ((*apt, "update"), (*apt, "install", "--yes", "--no-install-recommends", *packages)):
        subprocess.run(command, check=True, env=environ, stdin=subprocess.DEVNULL, timeout=900)


def main() -> int:
    """Install what is missing where that is possible; tests report what is still missing, so this never fails."""
    wanted = missing()
    if wanted and can_install():
        try:
            install(wanted)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"servers for tests could not be installed: {error}", file=sys.stderr)
    for server in missing():
        print(f"server for tests is missing: {server.command} ({server.why})", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
