"""Tests that need a program which pip cannot bring: skipped and listed where it is absent, failed in CI."""

import os
import shutil
from collections.abc import Mapping

import pytest

from scripts.servers import SERVERS

KNOWN = {server.command: server for server in SERVERS}

absent: dict[str, int] = {}
"""Tests that this run could not make, by the command that they needed."""


def requires(command: str) -> str:
    """The path of a program of scripts/servers.py; called at the start of a test or fixture.

    Skips the test where the program is absent, and fails it with `CI=true`.
    """
    server = KNOWN[command]
    path = shutil.which(command)
    if path is not None:
        return path
    absent[command] = absent.get(command, 0) + 1
    message = f"{command} is not installed (Debian package {server.package})"
    if in_ci():
        pytest.fail(message)
    pytest.skip(message)


def in_ci(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a missing server is a failure."""
    return environ.get("CI", "").lower() in {"1", "true", "yes"}


def summary() -> list[str]:
    """One line for each absent server."""
    return [
        f"{command}: {count} tests need it: {KNOWN[command].why}" for command, count in sorted(absent.items())
    ]
