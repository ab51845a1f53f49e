"""The limit on open files follows the cap on connections; tried in a process of its own, because it stays."""

import subprocess
import sys

import pytest

PROGRAM = """
import logging, resource
from memdeck_daemon.infra import descriptors
logging.basicConfig(format="%(message)s")
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
descriptors.allow({connections})
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def allowed(**numbers: int) -> tuple[int, str]:
    """The soft limit afterwards, and what was logged."""
    command = [sys.executable, "-c", PROGRAM.format(**numbers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return int(done.stdout), done.stderr


@pytest.mark.parametrize(
    ("soft", "connections", "expected"), [(256, 100, 456), (256, 1000, 2256), (4000, 1000, 4000)]
)
def test_it_is_raised_as_far_as_needed(soft: int, connections: int, expected: int) -> None:
    """And never lowered."""
    assert (expected, "") == allowed(soft=soft, hard=8000, connections=connections)


def test_where_the_system_allows_less_the_log_says_so() -> None:
    limit, told = allowed(soft=256, hard=1000, connections=1000)
    assert 1000 == limit
    assert "MEMDECK_MAX_CONNECTIONS=1000 needs 2256 descriptors, and the system allows 1000" in told
