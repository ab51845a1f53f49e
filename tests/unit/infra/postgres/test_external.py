"""What is said about an external server that cannot be used."""

import ssl

import asyncpg
import pytest

from memdeck_common.errors import DatabaseUnusable
from memdeck_daemon.infra.postgres.extension import number
from memdeck_daemon.infra.postgres.external import Address, address_of, is_passing, judge, refusal

WHERE = Address("db.example:5432", "ada", "memories")
STATE = {
    "version": "17.2",
    "number": 170_002,
    "encoding": "UTF8",
    "replica": False,
    "ours": False,
    "may_create": True,
    "database": "memories",
    "role": "ada",
}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ada:s3cret@db.example:6543/memories", Address("db.example:6543", "ada", "memories")),
        ("postgres://ada@db.example", Address("db.example:5432", "ada", "ada")),
        ("postgresql://ada@/memories?host=/run/pg", Address("/run/pg", "ada", "memories")),
        ("postgresql://a%40b:x@[::1]/m%20n", Address("::1:5432", "a@b", "m n")),
    ],
)
def test_an_address_is_read_without_its_password(url: str, expected: Address) -> None:
    """Only these parts may be shown."""
    assert address_of(url) == expected


@pytest.mark.parametrize(
    "error", [asyncpg.AdminShutdownError("x"), asyncpg.CrashShutdownError("x"), OSError()]
)
def test_a_server_that_stops_meanwhile_is_waited_for(error: Exception) -> None:
    """The start goes on without it."""
    assert is_passing(error)
    assert not is_passing(asyncpg.InvalidPasswordError("x"))


@pytest.mark.parametrize(
    "url", ["", "db.example", "mysql://a:s3cret@b/c", "postgresql:///x", "postgresql://u:s3cret@h:port/d"]
)
def test_an_unreadable_address_is_not_repeated(url: str) -> None:
    """It may hold a password; the sentence shows the form instead."""
    with pytest.raises(DatabaseUnusable, match="MEMDECK_DATABASE_URL cannot be read") as caught:
        address_of(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"number": 140_011, "version": "14.11"}, "is version 14.11, but memdeck needs 15 or later"),
        ({"replica": True}, "read-only replica"),
        ({"encoding": "LATIN1"}, "has encoding LATIN1"),
        ({"may_create": False}, "`grant create on database memories to ada;`"),
    ],
)
def test_an_unfit_server_is_refused_with_what_to_do(change: dict[str, object], said: str) -> None:
    """One sentence each."""
    with pytest.raises(DatabaseUnusable, match=said):
        judge({**STATE, **change}, WHERE)


def test_a_fit_server_is_accepted() -> None:
    """The least version included."""
    judge({**STATE, "number": 150_000}, WHERE)


def test_a_replica_of_ours_is_accepted() -> None:
    """It serves reads, and becomes a primary when it is promoted."""
    judge({**STATE, "replica": True, "ours": True}, WHERE)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (asyncpg.InvalidPasswordError("x"), 'refuses user "ada"'),
        (asyncpg.InvalidCatalogNameError("x"), 'create database "memories"'),
        (asyncpg.TooManyConnectionsError("x"), "max_connections"),
        (ssl.SSLError("x"), "TLS"),
        (TimeoutError(), "does not answer"),
        (ConnectionRefusedError(111, "Connection refused"), "cannot be reached (Connection refused)"),
        (RuntimeError("s3cret"), "refuses the connection (RuntimeError)"),
    ],
)
def test_a_failed_connection_says_why(error: Exception, said: str) -> None:
    """Never in the driver's words, which may quote the address."""
    sentence = refusal(error, WHERE)
    assert said in sentence
    assert "s3cret" not in sentence


@pytest.mark.parametrize(
    ("version", "expected"), [("0.8.5", (0, 8, 5)), ("0.10", (0, 10)), ("0.8.0-dev", (0, 8, 0)), ("x", ())]
)
def test_versions_are_compared_as_numbers(version: str, expected: tuple[int, ...]) -> None:
    """0.10 is later than 0.8."""
    assert number(version) == expected
