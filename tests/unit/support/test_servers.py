"""Servers that tests need and a machine may lack."""

import pytest

from scripts.servers import Server, installing_environment, missing
from tests.support.servers import in_ci


def test_only_what_is_not_on_the_path_is_missing() -> None:
    """A server that is there is left as it is."""
    present, absent = Server("sh", "dash", ""), Server("no-such-server", "none", "")
    assert [absent] == missing((present, absent))


def test_the_installer_asks_nothing_and_starts_nothing() -> None:
    """Run level 1 keeps Debian's packages from starting their services."""
    environ = installing_environment({"PATH": "/bin", "HOME": "/h"})
    assert ("noninteractive", "1", "/bin:/usr/sbin:/sbin") == (
        environ["DEBIAN_FRONTEND"],
        environ["RUNLEVEL"],
        environ["PATH"],
    )


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("1", True), ("false", False), ("", False)])
def test_ci_is_said_by_its_variable(value: str, expected: bool) -> None:
    """Then a missing server is a failure."""
    assert expected is in_ci({"CI": value})
