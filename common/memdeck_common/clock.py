"""Time and identity as ports.

Owns the only reads of the system's clocks and random source that the product's logic may use, so that tests hand in
their own and neither sleep nor patch. Durations come from `monotonic`, instants from `now`.
"""

import random
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""


class Identity(Protocol):
    """Where new ids come from."""

    def uuid(self) -> uuid.UUID:
        """A new id, ordered by creation."""

    def token(self, size: int) -> str:
        """`size` random bytes as URL-safe text, for keys."""


Chance = Callable[[], float]
"""A number from 0 up to 1, evenly spread: for jitter, never for secrets."""

system_chance: Final[Chance] = random.random
"""The process' own."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since boot."""
        return time.monotonic()


@dataclass(slots=True)
class SystemIdentity:
    """Ids of version 7 (RFC 9562): the first 48 bits are milliseconds, so that indexes grow at one end.

    Each is greater than the one before, also within a millisecond and when the clock goes back (RFC 9562, 6.2, method 2):
    memories of one add are listed in the order in which they were said.
    """

    clock: Clock
    _last: int = 0
    """The last id without its version and variant: milliseconds, then 74 random bits."""

    def uuid(self) -> uuid.UUID:
        """A new id of version 7."""
        milliseconds = int(self.clock.now().timestamp() * 1000)
        fresh = (milliseconds << 74) | secrets.randbits(74)
        self._last = fresh if fresh > self._last else self._last + 1 + secrets.randbits(32)
        high, low = self._last >> 62, self._last & (2**62 - 1)
        value = (high >> 12 << 80) | (0x7 << 76) | ((high & 0xFFF) << 64) | (0x2 << 62) | low
        return uuid.UUID(int=value)

    def token(self, size: int) -> str:
        """`size` random bytes as URL-safe text."""
        return secrets.token_urlsafe(size)
