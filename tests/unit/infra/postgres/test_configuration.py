"""How values and users are written into the server's files."""

from memdeck_daemon.infra.postgres.configuration import HBA, identities, quoted


def test_values_are_quoted() -> None:
    """A path may hold anything."""
    assert quoted("/it's a \\ path") == "'/it''s a \\\\ path'"


def test_users_are_mapped_once_each() -> None:
    """To the one role."""
    expected = '# Written by memdeckd at each start.\nmemdeck "ada" memdeck\nmemdeck "root" memdeck\n'
    assert identities(["root", "ada", "root"]) == expected


def test_nobody_gets_in_over_the_network() -> None:
    """There is no line for it, and none that trusts."""
    assert "host" not in HBA
    assert "trust" not in HBA
