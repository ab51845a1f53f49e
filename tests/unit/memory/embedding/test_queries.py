"""Vectors of queries: within the budget, kept, asked for once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from memdeck_common.settings import Embedding
from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.memory.embedding.failures import EmbedderBusy, EmbedderFailed, TextRefused
from memdeck_daemon.memory.embedding.queries import OVERHEAD, Queries
from memdeck_daemon.memory.embedding.spaces import Live, Spaces, guard_of
from memdeck_daemon.memory.store.spaces import Space
from tests.fakes.clock import ManualClock
from tests.support.waiting import eventually

WIDTH = 8
SPACE = Space(
    2, "test", "m", WIDTH, "primary", "", None, queueing=False, filled_at=None, created_at=datetime.now(UTC)
)


@dataclass(slots=True)
class SlowEmbedder:
    """Answers when it is told to."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        assert query
        self.asked += texts
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return np.eye(WIDTH, dtype=np.float32)[[len(text) % WIDTH for text in texts]]


@dataclass(slots=True)
class Shelf:
    """L2 in memory."""

    held: dict[str, bytes] = field(default_factory=dict)

    async def get(self, key: str) -> bytes | None:
        return self.held.get(key)

    async def put(self, key: str, value: bytes, seconds: int) -> bool:
        assert seconds == 7 * 24 * 3600
        self.held[key] = value
        return True


@dataclass(slots=True)
class Registry:
    """A primary space."""

    primary: Live | None
    settings: Embedding
    modes: Modes
    backgrounds: dict[int, float | None] = field(default_factory=dict)


def queries_of(embedder: SlowEmbedder, clock: ManualClock | None = None, **options: Any) -> Queries:
    clock = clock or ManualClock()
    live = Live(SPACE, cast("Any", embedder), guard_of(clock, "openai_api"))
    shared = options.pop("shared", None)
    settings = Embedding(**{"query_budget": 0.01, **options})
    registry = cast("Spaces", Registry(live, settings, Modes(clock)))
    return Queries(registry, lambda *_: None, clock.monotonic, shared)


async def test_without_a_primary_space_nothing_is_missed() -> None:
    """The local space is how it is meant to be."""
    queries = queries_of(SlowEmbedder())
    queries.spaces.primary = None
    assert (None, False) == await queries.get("cheese")


async def test_a_missed_budget_is_told_and_the_answer_kept() -> None:
    """The next search has it."""
    embedder = SlowEmbedder()
    queries = queries_of(embedder)
    assert (None, True) == await queries.get("cheese")
    embedder.go.set()
    await eventually(lambda: queries.nbytes)
    found, missed = await queries.get("cheese")
    assert found is not None
    assert (False, 6, 2, 1) == (missed, int(found.vector.argmax()), found.space, len(embedder.asked))


async def test_one_text_is_asked_for_once_at_a_time() -> None:
    """However many searches want it."""
    embedder = SlowEmbedder()
    queries = queries_of(embedder)
    found = await asyncio.gather(*(queries.get("cheese") for _ in range(10)))
    assert ([(None, True)] * 10, ["cheese"]) == (found, embedder.asked)
    await queries.close()


@pytest.mark.parametrize("error", [EmbedderFailed(), TextRefused()])
async def test_failures_are_misses(error: Exception) -> None:
    """A search never fails for the embedder's sake."""
    embedder = SlowEmbedder(error=error)
    embedder.go.set()
    assert (None, True) == await queries_of(embedder, query_budget=5.0).get("cheese")


async def test_a_failing_embedder_is_left_alone() -> None:
    """After ten failures in a row nobody asks it for a minute; one trial brings it back."""
    clock = ManualClock()
    embedder = SlowEmbedder(error=EmbedderFailed())
    embedder.go.set()
    queries = queries_of(embedder, clock, query_budget=5.0)
    for number in range(15):
        assert (None, True) == await queries.get(f"text {number}")
    assert 10 == len(embedder.asked)
    embedder.error = None
    clock.advance(66)
    found, _ = await queries.get("cheese")
    assert found is not None


async def test_an_embedder_that_asks_to_be_left_alone_is() -> None:
    """At once, and for as long as it asked."""
    clock = ManualClock()
    embedder = SlowEmbedder(error=EmbedderBusy(retry_after=7.0))
    embedder.go.set()
    queries = queries_of(embedder, clock, query_budget=5.0)
    for pause, asked in ((0, 1), (6, 1), (1.5, 2)):
        clock.advance(pause)
        await queries.get(f"text {pause}")
        assert asked == len(embedder.asked)


async def test_nobody_waits_for_a_slow_embedder() -> None:
    """After five searches in a row that waited in vain, until answers come in time again."""
    clock, embedder = ManualClock(), SlowEmbedder()
    queries = queries_of(embedder, clock)
    modes, budget = queries.spaces.modes, queries.spaces.settings.query_budget
    for number in range(5):
        await queries.get(f"text {number}")
    clock.advance(1)
    assert ("reduced-precision", 0.0) == (modes.current, queries._patience())
    embedder.go.set()
    await eventually(lambda: not queries._tasks)  # too late, all of them
    assert modes.embedder_slow
    await queries.get("cheese")
    await eventually(lambda: not queries._tasks)
    clock.advance(5)
    assert (False, budget) == (modes.embedder_slow, queries._patience())


async def test_cache_stays_within_its_bytes() -> None:
    """The least recently used goes first."""
    embedder = SlowEmbedder()
    embedder.go.set()
    limit = 3 * (2 * WIDTH + OVERHEAD)
    queries = queries_of(embedder, query_budget=5.0, cache_bytes=limit)
    for text in ("a", "b", "c", "a", "d", "a", "b"):
        await queries.get(text)
        assert queries.nbytes <= limit
    assert ["a", "b", "c", "d", "b"] == embedder.asked


async def test_shared_cache_is_asked_before_the_embedder() -> None:
    """And holds half-precision vectors; what does not fit is passed over."""
    shelf, embedder = Shelf(), SlowEmbedder()
    embedder.go.set()
    await queries_of(embedder, query_budget=5.0, shared=shelf).get("cheese")
    assert [2 * WIDTH] == [len(value) for value in shelf.held.values()]
    found, _ = await queries_of(embedder, query_budget=5.0, shared=shelf).get("cheese")
    assert found is not None
    assert (6, 1) == (int(found.vector.argmax()), len(embedder.asked))
    shelf.held = dict.fromkeys(shelf.held, b"short")
    await queries_of(embedder, query_budget=5.0, shared=shelf).get("cheese")
    assert 2 == len(embedder.asked)


async def test_closing_ends_what_is_under_way() -> None:
    """No task outlives the wing."""
    queries = queries_of(SlowEmbedder())
    await queries.get("cheese")
    await queries.close()
    await eventually(lambda: not queries._tasks)
