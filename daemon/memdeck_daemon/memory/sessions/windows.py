"""Windows that are kept for when Postgres is away.

Owns the form in which a window is kept (`ai_session:` keys; zlib over JSON, never pickle; 24 hours) and a small store in
this process. The truth is Postgres: each answered window is kept, and a kept one is told only when Postgres does not
answer, with the answer saying so. Any store of bytes with a time to live will do (`Shelf`): Redis, which all daemons share
and which outlives this process, then the own one; what a shelf does wrong costs the fallback, never an answer.
"""

import asyncio
import hashlib
import logging
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from memdeck_common.clock import Clock
from memdeck_common.log import action
from memdeck_daemon.memory.sessions.model import Said

log = logging.getLogger(__name__)

PREFIX: Final = "ai_session:"
KEEP_SECONDS: Final = 24 * 3600
SHELF_SECONDS: Final = 0.25
"""A shelf that takes longer is passed over."""
LEVEL: Final = 1
"""zlib's fastest: texts shrink to a third, a window takes 0.1 ms."""
LARGEST: Final = 4 * 1024 * 1024
"""Bytes that a kept window may unpack to; more is not one of ours."""
SHELF_BYTES: Final = 16 * 1024 * 1024

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(list[Said])


class Shelf(Protocol):
    """Bytes by key, each for a while. Both calls may fail with any `OSError` or take too long."""

    async def get(self, key: str) -> bytes | None:
        """What was put there, while its time is not over."""

    async def put(self, key: str, value: bytes, seconds: int) -> bool:
        """Put bytes there for a while; whether that was done."""


@dataclass(slots=True)
class OwnShelf:
    """A shelf in this process: bounded by bytes, the least recently used go first."""

    clock: Clock
    limit_bytes: int = SHELF_BYTES
    _kept: OrderedDict[str, tuple[float, bytes]] = field(default_factory=OrderedDict)
    _bytes: int = 0

    async def get(self, key: str) -> bytes | None:
        """What was put there, while its time is not over."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found[0] <= self.clock.monotonic():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found[1]

    async def put(self, key: str, value: bytes, seconds: int) -> bool:
        """Put bytes there for a while; what alone exceeds the limit is not kept."""
        self._drop(key)
        if len(value) > self.limit_bytes:
            return False
        self._kept[key] = (self.clock.monotonic() + seconds, value)
        self._bytes += len(value)
        while self._bytes > self.limit_bytes:
            self._drop(next(iter(self._kept)))
        return True

    def _drop(self, key: str) -> None:
        if old := self._kept.pop(key, None):
            self._bytes -= len(old[1])


@dataclass(frozen=True, slots=True)
class KeptWindows:
    """Windows on shelves: on one that daemons share, where there is one, and on our own."""

    instance: str
    """Two instances may share a Redis; their sessions have nothing to do with each other."""
    shelves: Sequence[Shelf]
    """The first that has a window tells it."""

    async def keep(self, scope: Sequence[str], window: Sequence[Said]) -> None:
        """Keep a window as it was just read; a shelf that fails is told in the log and passed over."""
        key, value = key_of(self.instance, scope), zlib.compress(_encode(window), LEVEL)
        for shelf in self.shelves:
            try:
                async with asyncio.timeout(SHELF_SECONDS):
                    await shelf.put(key, value, KEEP_SECONDS)
            except OSError as error:  # TimeoutError is one
                log.debug("a window was not kept: %s", type(error).__name__, extra=action("window_not_kept"))

    async def find(self, scope: Sequence[str]) -> list[Said] | None:
        """The window as it was kept last; None when there is none that can be read."""
        key = key_of(self.instance, scope)
        for shelf in self.shelves:
            try:
                async with asyncio.timeout(SHELF_SECONDS):
                    value = await shelf.get(key)
                if value is not None:
                    return unpacked(value)
            except (OSError, ValueError) as error:
                log.warning(
                    "a kept window cannot be read: %s",
                    type(error).__name__,
                    extra=action("window_unreadable"),
                )
        return None


def key_of(instance: str, scope: Sequence[str]) -> str:
    """The key of a session's window: names may be long or hold what a store's keys must not, so they are hashed."""
    joined = "\x00".join((instance, *scope)).encode(errors="surrogatepass")
    return PREFIX + hashlib.blake2b(joined, digest_size=16).hexdigest()


def unpacked(value: bytes) -> list[Said]:
    """A kept window.

    Raises:
        ValueError: it is none, or larger than any of ours.
    """
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(value, LARGEST)
    except zlib.error as error:
        raise ValueError("not compressed by zlib") from error
    if not unpacker.eof:
        raise ValueError("cut off, or too large")
    return _decoder.decode(plain)  # its errors are ValueErrors
