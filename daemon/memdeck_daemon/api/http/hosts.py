"""Which names the daemon answers to, and which web pages may ask.

A page in a browser on this machine reaches loopback too: directly, as a request of another origin, or by a name of its
own that it lets point here (DNS rebinding). So a request is refused whose `Host` is a name that is not this daemon's, or
whose `Origin` is neither the daemon itself nor configured. Addresses pass as `Host`: nobody can rebind an address.
"""

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from memdeck_daemon.api.http.refusals import ForeignOrigin, UnknownHost

KEPT: Final = 256
"""Values of `Host` that are known to be good; the hot path looks here only."""


class Hosts:
    """The names of this daemon."""

    def __init__(self, listening: str, allowed: str) -> None:
        """`listening`: the address of the listeners; `allowed`: names, separated by commas, `*` for any."""
        self._allowed = {_plain(name) for name in allowed.split(",") if name.strip()}
        self._any = "*" in self._allowed
        self._names = self._allowed | {"localhost", _plain(listening)}
        self._good: set[str] = set()

    def check(self, headers: Mapping[str, str]) -> None:
        """Let a request pass that was meant for this daemon and comes from none but its own pages.

        Raises:
            UnknownHost: another name.
            ForeignOrigin: a page of another origin.
        """
        host = headers.get("Host")
        if host is not None and host not in self._good:
            self._check_host(host)
        origin = headers.get("Origin")
        if origin is not None and not self._is_own(origin, host or ""):
            raise ForeignOrigin

    def _check_host(self, host: str) -> None:
        name = _name_of(host)
        if not (self._any or (name and (name in self._names or _cannot_be_rebound(name)))):
            raise UnknownHost(
                f"This daemon is not called {name[:80] or 'that'!r}; MEMDECK_ALLOWED_HOSTS names what it is called."
            )
        if len(self._good) < KEPT:
            self._good.add(host)

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether a page is the daemon's own, or comes from a configured host; `null` is neither."""
        _, separator, place = origin.partition("://")
        if not separator:
            return False
        return place.lower() == host.lower() or self._any or _name_of(place) in self._allowed


def _name_of(netloc: str) -> str:
    """The host of `host:port`, in lower case; empty where there is none."""
    try:
        return _plain(urlsplit(f"//{netloc}").hostname or "")
    except ValueError:
        return ""


def _plain(name: str) -> str:
    return name.strip().strip("[]").rstrip(".").lower()


def _cannot_be_rebound(name: str) -> bool:
    if name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
