"""A Qdrant that may be away: its REST API, with bounds, and left alone when it fails.

Owns the HTTP session and its guard. Refuses to know what is in its collections, to retry, and to follow redirects: the key
must not travel on.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from memdeck_common.clock import Clock
from memdeck_common.errors import BadRequest, ConfigurationError, Unavailable
from memdeck_common.settings import Qdrant as Settings
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.infra.resilience.breaker import BreakerOpen
from memdeck_daemon.infra.resilience.bulkhead import Overloaded
from memdeck_daemon.infra.resilience.guard import Guard, Room
from memdeck_daemon.infra.resilience.policies import QDRANT

CONNECT: Final = 1.0
LOOK: Final = 0.9
"""Seconds that the health look may take; it comes once a second."""
CALLS: Final = 16
QUEUE: Final = 100
NOT_NOW: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})


class QdrantUnavailable(Unavailable):
    """Qdrant does not answer; try again shortly."""

    code = "qdrant_unavailable"
    part = "qdrant"


class Qdrant:
    """One server. Nothing is connected before the first call."""

    capacity = CALLS

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Raises ConfigurationError when the address cannot be used."""
        parts = urlsplit(settings.url or "")
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise ConfigurationError("MEMDECK_QDRANT_URL must be an address like http://127.0.0.1:6333.")
        self._url, self._timeout = (settings.url or "").rstrip("/"), settings.timeout
        self._headers = {"api-key": settings.api_key} if settings.api_key else {}
        self._session: aiohttp.ClientSession | None = None
        room = Room(calls=CALLS, queue=QUEUE, patience=settings.timeout)
        faults = (QdrantUnavailable, aiohttp.ClientError, OSError)
        self.guard = Guard("qdrant", QDRANT, faults, clock, room)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """The `result` of a call of its REST API.

        Raises:
            QdrantUnavailable: it fails, is left alone, or has too much to do.
            BadRequest: it does not understand the call.
        """
        try:
            async with self.guard.call():
                content = await self._asked(method, path, body, deadline.left(self._timeout))
            return msgspec.json.decode(content, type=dict[str, Any]).get("result")
        except BreakerOpen as error:
            raise QdrantUnavailable(retry_after=error.retry_after) from None
        except (Overloaded, aiohttp.ClientError, OSError, msgspec.DecodeError):
            raise QdrantUnavailable from None

    async def ping(self) -> None:
        """Raises QdrantUnavailable when it is not ready; asks even one that is left alone, and ends that when it is."""
        try:
            with self.guard.breaker.probe():
                await self._asked("GET", "/readyz", None, LOOK)
        except (aiohttp.ClientError, OSError):
            raise QdrantUnavailable from None

    async def _asked(self, method: str, path: str, body: Any, seconds: float) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Content-Type": "application/json", **self._headers},
                connector=aiohttp.TCPConnector(limit=CALLS + 1),  # one for the health look
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
            )
        data = None if body is None else msgspec.json.encode(body)
        async with (
            asyncio.timeout(seconds),
            self._session.request(method, self._url + path, data=data, allow_redirects=False) as answer,
        ):
            content = await answer.read()
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in NOT_NOW:
            raise QdrantUnavailable(f"Qdrant answers {answer.status}.")
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise BadRequest(f"Qdrant refuses {method} {path} ({answer.status}).")
        return content

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
