"""The first tier: values in this process, least recently used first to go.

Owns the bound in bytes, which counts what an entry really occupies. Time comes from a clock.
"""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from memdeck_common.clock import Clock

Stamp = TypeVar("Stamp")

OVERHEAD: Final = 400
"""Bytes of an entry beside key and value: the table's slot and links (up to 220 just after it has grown), the entry, its
deadline, the headers of both bytes objects and what the allocator rounds up. Measured in tests/unit/infra/caching."""
LARGEST: Final = 8
"""A value may take an eighth of the room; one answer must not drive out all others."""


class L1(Generic[Stamp]):
    """Bytes by key; each value has a stamp, which the reader compares."""

    def __init__(self, limit_bytes: int, seconds: float, clock: Clock) -> None:
        """`seconds`: how long a value is kept at most."""
        self._limit, self._seconds, self._clock = limit_bytes, seconds, clock
        self._entries: OrderedDict[bytes, tuple[float, Stamp, bytes]] = OrderedDict()
        self._bytes = 0

    @property
    def nbytes(self) -> int:
        """What all entries occupy."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def get(self, key: bytes, stamp: Stamp) -> bytes | None:
        """The value with this stamp; one that is too old or has another stamp is dropped."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[1] != stamp or entry[0] <= self._clock.monotonic():
            self.discard(key)
            return None
        self._entries.move_to_end(key)
        return entry[2]

    def peek(self, key: bytes, since: float) -> tuple[Stamp, bytes] | None:
        """The value with whatever stamp it has, unless it was too old already at `since` (monotonic seconds)."""
        entry = self._entries.get(key)
        return None if entry is None or entry[0] <= since else (entry[1], entry[2])

    def put(self, key: bytes, stamp: Stamp, value: bytes) -> None:
        """Keep a value, unless it is too large."""
        self.discard(key)
        size = _size(key, value)
        if size * LARGEST > self._limit:
            return
        self._bytes += size
        while self._bytes > self._limit:
            old, entry = self._entries.popitem(last=False)
            self._bytes -= _size(old, entry[2])
        self._entries[key] = (self._clock.monotonic() + self._seconds, stamp, value)

    def discard(self, key: bytes) -> None:
        """Forget a value."""
        if (entry := self._entries.pop(key, None)) is not None:
            self._bytes -= _size(key, entry[2])

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self._bytes = 0


def _size(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + OVERHEAD
