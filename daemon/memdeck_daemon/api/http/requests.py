"""The last requests that came with a key, kept in memory: what `GET /requests` of the self-hosted dialect shows."""

from collections import deque
from datetime import datetime
from typing import Final, Protocol

import msgspec

from memdeck_common.clock import Clock
from memdeck_common.wire.oss import OssRequest
from memdeck_daemon.api.access.principals import Principal

KEPT: Final = 200
_UNSEEN: Final = ("/requests", "/docs", "/openapi.json", "/health")


class Passed(Protocol):
    """What is known of a request when it has been answered."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def principal(self) -> Principal | None:
        """Who sent it."""


class _Noted(msgspec.Struct, frozen=True):
    id: str
    method: str
    path: str
    status: int
    seconds: float
    auth_type: str
    at: datetime


class RequestLog:
    """A ring of the last 200 requests, without queries and bodies."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ring: deque[_Noted] = deque(maxlen=KEPT)

    def note(self, method: str, path: str, status: int, seconds: float, passed: Passed) -> None:
        """Keep one, unless it only looks at the daemon itself."""
        if passed.principal is None or path.startswith(_UNSEEN):
            return
        auth_type = passed.principal.auth_type
        self._ring.append(_Noted(passed.id, method, path, status, seconds, auth_type, self._clock.now()))

    def latest(self, limit: int) -> list[OssRequest]:
        """The last ones, newest first."""
        newest = list(self._ring)[: -limit - 1 : -1]
        return [
            OssRequest(
                id=noted.id,
                method=noted.method,
                path=noted.path,
                status_code=noted.status,
                latency_ms=round(noted.seconds * 1000, 3),
                auth_type=noted.auth_type,
                created_at=noted.at.isoformat(timespec="microseconds"),
            )
            for noted in newest
        ]
