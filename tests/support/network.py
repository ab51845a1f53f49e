"""Refuses tests the network beyond this machine, and connections that block a running event loop.

An audit hook sees every socket of Python, also those that libraries open in threads of their own. It cannot be taken away
again, so it is armed and disarmed. Unix sockets are always allowed.
"""

import asyncio
import ipaddress
import socket
import sys
from typing import Any

LOCAL_NAMES = frozenset({"", "localhost"})


class NetworkRefusedError(ConnectionRefusedError):
    """A test reached for the network beyond this machine."""


class BlockingConnectionError(RuntimeError):
    """A blocking connection within a running event loop; use asyncio, or a thread."""


class NetworkGuard:
    """The audit hook; one per process."""

    def __init__(self) -> None:
        self.armed = False
        self._installed = False

    def arm(self) -> None:
        """Refuse from now on."""
        if not self._installed:
            sys.addaudithook(self._audit)
            self._installed = True
        self.armed = True

    def disarm(self) -> None:
        """Allow everything again."""
        self.armed = False

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed or not event.startswith("socket."):
            return
        if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            self._check_connection(event, *arguments[:2])
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"} and not is_local(arguments[0]):
            message = f"tests may not look up {arguments[0]!r}"
            raise NetworkRefusedError(message)

    def _check_connection(self, event: str, endpoint: socket.socket, address: Any = None) -> None:
        if endpoint.family not in {socket.AF_INET, socket.AF_INET6} or not isinstance(address, tuple):
            return
        if not is_local(address[0]):
            message = f"tests may not reach {address[0]}:{address[1]}"
            raise NetworkRefusedError(message)
        if event == "socket.connect" and endpoint.gettimeout() != 0 and _in_event_loop():
            message = f"blocks the event loop: a synchronous connection to {address[0]}:{address[1]}"
            raise BlockingConnectionError(message)


def is_local(host: str | bytes | None) -> bool:
    """Whether a host is this machine, without asking a name server."""
    name = host.decode(errors="replace") if isinstance(host, bytes) else host or ""
    if name in LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
