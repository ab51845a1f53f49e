"""The guard that keeps tests on this machine."""

import socket

import pytest

from tests.support.network import BlockingConnectionError, NetworkRefusedError, is_local


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", b"localhost", "", None, "::"])
def test_this_machine_is_local(host: str | bytes | None) -> None:
    """Loopback and unspecified addresses, and the name of both."""
    assert is_local(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.org", "localhost.example.org"])
def test_everything_else_is_not(host: str) -> None:
    """No name server is asked."""
    assert not is_local(host)


def test_a_connection_beyond_this_machine_is_refused() -> None:
    """Before a packet leaves; 192.0.2.1 is reserved for documentation."""
    with socket.socket() as endpoint, pytest.raises(NetworkRefusedError, match=r"192\.0\.2\.1:80"):
        endpoint.connect(("192.0.2.1", 80))


def test_a_name_is_not_looked_up() -> None:
    """A lookup is a packet to a name server."""
    with pytest.raises(NetworkRefusedError, match=r"example\.org"):
        socket.getaddrinfo("example.org", 80)


async def test_a_blocking_connection_within_a_loop_is_refused() -> None:
    """Also to this machine: while it waits, nothing else runs."""
    with socket.socket() as endpoint, pytest.raises(BlockingConnectionError):
        endpoint.connect(("127.0.0.1", 9))
