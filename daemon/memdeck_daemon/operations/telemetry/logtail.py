"""The last records of the log, for those who watch.

Owns a bounded ring that a logging handler fills, and the lines of single requests: those that failed or were slow, and
a few of the others (a line per request on disk would halve the throughput).
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from memdeck_common.log import fields_of, service_of
from memdeck_common.wire.feed import LogLine

KEPT: Final = 200
REQUESTS_PER_SECOND: Final = 3


class LogTail(logging.Handler):
    """A handler that keeps the last records."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[LogLine] = deque(maxlen=KEPT)
        self.seq = 0
        self._now = now
        self._requests = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        fields = fields_of(record)
        self._keep(
            at=record.created,
            level=record.levelname,
            service=service_of(record),
            message=record.getMessage(),
            milliseconds=fields.get("ms"),
            request_id=fields.get("request_id"),
        )

    def request(self, operation: str, seconds: float, status: int, request_id: str, *, slow: bool) -> None:
        """A request was answered."""
        # A probe that is told "not ready" was answered well.
        failed = status >= 500 and operation != "health"  # noqa: PLR2004
        notable = slow or failed
        if not notable and self._requests >= REQUESTS_PER_SECOND:
            return
        self._requests += 1
        if self._requests > 10 * REQUESTS_PER_SECOND:
            return
        self._keep(
            at=self._now(),
            level="ERROR" if failed else "WARNING" if slow else "INFO",
            service="api",
            message=f"{operation} {status}" + (" slow" if slow else ""),
            milliseconds=round(seconds * 1e3, 1),
            request_id=request_id,
        )

    def close_second(self) -> None:
        """A second went by: a few more requests may be told."""
        self._requests = 0

    def after(self, seq: int) -> list[LogLine]:
        """The lines after a sequence number, oldest first."""
        return [line for line in self.lines if line.seq > seq]

    def _keep(
        self,
        *,
        at: float,
        level: str,
        service: str,
        message: str,
        milliseconds: float | None,
        request_id: str | None,
    ) -> None:
        self.seq += 1
        line = LogLine(
            seq=self.seq, at=at, level=level, service=service, message=message[:500], milliseconds=milliseconds,
            request_id=request_id,
        )  # fmt: skip
        self.lines.append(line)
