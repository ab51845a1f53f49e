"""Vectors of queries in the primary space, within a budget.

Owns the cache of query vectors (L1, bounded by bytes, least recently used goes first; behind it, when there is one, a
shared L2), and that one text is asked for once however many searches wait for it. A search that waits longer than the
budget goes on without; the answer of the embedder is kept for the next one. When several in a row missed it, nobody waits
any more until answers come in time again. Refuses to fail: no vector is an answer.
"""

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from memdeck_common.errors import MemdeckError
from memdeck_daemon.infra.resilience.breaker import BreakerOpen
from memdeck_daemon.infra.resilience.bulkhead import Overloaded
from memdeck_daemon.memory.embedding.calibration import scale
from memdeck_daemon.memory.embedding.failures import EmbedderFailed
from memdeck_daemon.memory.embedding.spaces import Live, Spaces

Halves = NDArray[np.float16]

KEEP: Final = 7 * 24 * 3600
"""Seconds that L2 keeps a vector."""
OVERHEAD: Final = 300
"""Bytes of an entry beside its numbers."""
UNDER_WAY: Final = 64
"""Texts that are asked for at once; more go without."""
MISSES: Final = 5
"""Searches in a row that waited in vain, after which the embedder is slow."""
SHARED_BUDGET: Final = 0.02
"""Seconds that a search waits for L2 while the embedder is slow."""


class SharedCache(Protocol):
    """L2: bytes by key. Failures are its own business: a miss is an answer."""

    async def get(self, key: str) -> bytes | None:
        """What is kept, if anything."""

    async def put(self, key: str, value: bytes, seconds: int) -> bool:
        """Keep it for a while; whether that was done."""


@dataclass(frozen=True, slots=True)
class RemoteQuery:
    """A query in the primary space."""

    space: int
    vector: Halves
    factor: float
    """`factor · cosine + offset` compares with cosines of the local space (calibration)."""
    offset: float
    complete: bool
    """Whether memories without a vector of this space are all in its queue."""


@dataclass(slots=True)
class Queries:
    """Queries in the primary space."""

    spaces: Spaces
    observe: Callable[[str, float], None]
    now: Callable[[], float]
    shared: SharedCache | None = None
    _cache: OrderedDict[bytes, Halves] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _tasks: dict[bytes, asyncio.Task[Halves | None]] = field(default_factory=dict)
    _missed: int = 0

    @property
    def nbytes(self) -> int:
        """What the cache occupies."""
        return self._bytes

    async def get(self, text: str) -> tuple[RemoteQuery | None, bool]:
        """The query in the primary space, and whether it had to be done without although there is one."""
        live = self.spaces.primary
        if live is None:
            return None, False
        vector = await self._vector(live, text)
        if vector is None:
            return None, True
        factor, offset = scale(self.spaces.backgrounds, live.space.id)
        return RemoteQuery(live.space.id, vector, factor, offset, not live.space.queueing), False

    async def _vector(self, live: Live, text: str) -> Halves | None:
        key = _key(live.space.id, text)
        if (known := self._cache.get(key)) is not None:
            self._cache.move_to_end(key)
            return known
        task = self._tasks.get(key)
        if task is None:
            if len(self._tasks) >= UNDER_WAY or (live.breaker.retry_after and self.shared is None):
                return None
            task = asyncio.create_task(self._asked(live, key, text))
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
        done, _ = await asyncio.wait({task}, timeout=self._patience())
        if not done:
            self._note_miss()
        return task.result() if done and not task.cancelled() else None

    def _patience(self) -> float:
        if not self.spaces.modes.embedder_slow:
            return self.spaces.settings.query_budget
        return SHARED_BUDGET if self.shared is not None else 0.0

    def _note_miss(self) -> None:
        if self.spaces.modes.embedder_slow:
            return  # nobody waits: that says nothing
        self._missed += 1
        if self._missed >= MISSES:
            self.spaces.modes.embedder(slow=True)

    def _note_answer(self, seconds: float) -> None:
        in_time = seconds <= self.spaces.settings.query_budget
        if in_time:
            self._missed = 0
        if in_time or self.spaces.modes.embedder_slow:
            self.spaces.modes.embedder(slow=not in_time)

    async def _asked(self, live: Live, key: bytes, text: str) -> Halves | None:
        if (kept := await self._shared(live, key)) is not None:
            self._keep(key, kept)
            return kept
        begun = self.now()
        try:
            async with live.guard.call():
                vector: Halves = (await live.embedder.embed([text], query=True))[0].astype(np.float16)
        except EmbedderFailed as error:
            live.failed(error)
            return None
        except (BreakerOpen, Overloaded, MemdeckError):
            return None  # the last: this text cannot be embedded
        self._note_answer(self.now() - begun)
        self.observe("embed_remote", self.now() - begun)
        self._keep(key, vector)
        if self.shared is not None:
            await self.shared.put(_name(live, key), vector.astype("<f2").tobytes(), KEEP)
        return vector

    async def _shared(self, live: Live, key: bytes) -> Halves | None:
        if self.shared is None or (raw := await self.shared.get(_name(live, key))) is None:
            return None
        if len(raw) != 2 * live.space.dimensions:
            return None
        kept: Halves = np.frombuffer(raw, "<f2").astype(np.float16)
        return kept

    def _keep(self, key: bytes, vector: Halves) -> None:
        size = vector.nbytes + OVERHEAD
        if size > self.spaces.settings.cache_bytes:
            return
        if (old := self._cache.pop(key, None)) is not None:
            self._bytes -= old.nbytes + OVERHEAD
        self._cache[key] = vector
        self._bytes += size
        while self._bytes > self.spaces.settings.cache_bytes:
            _, gone = self._cache.popitem(last=False)
            self._bytes -= gone.nbytes + OVERHEAD

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _key(space: int, text: str) -> bytes:
    return space.to_bytes(2, "big") + hashlib.blake2b(text.encode(), digest_size=16).digest()


def _name(live: Live, key: bytes) -> str:
    """The key in L2: other databases number their spaces otherwise, so the model stands there instead of the number."""
    model = hashlib.blake2b(live.space.name.encode(), digest_size=8).hexdigest()
    return f"embedding:{model}:{key[2:].hex()}"
