"""What a server says about itself."""

import pytest

from memdeck_daemon.infra.postgres.pidfile import PidFile, parse

WHOLE = "4711\n/data\n1700000000\n5432\n/socket\n\n  1234 5678\n{status}   \n"


@pytest.mark.parametrize("status", ["starting", "ready", "stopping", "standby"])
def test_pid_and_status_are_read(status: str) -> None:
    """The status is padded to one width, so that it can be written over."""
    assert parse(WHOLE.format(status=status)) == PidFile(4711, status)


def test_the_first_moments_have_no_status() -> None:
    """The file is written in two steps."""
    assert parse("4711\n/data\n1700000000\n5432\n/socket\n") == PidFile(4711, "")


def test_a_standalone_backend_writes_its_pid_negative() -> None:
    """It holds the data as a postmaster does."""
    assert parse("-4711\n/data\n") == PidFile(4711, "")


@pytest.mark.parametrize("text", ["", "\n", "garbage\n/data\n"])
def test_an_unreadable_file_says_nothing(text: str) -> None:
    """A power cut can leave one."""
    assert parse(text) is None
