"""An embedder that is left alone is found again, also when nobody searches."""

from typing import Any, cast

import pytest

from memdeck_common.settings import Embedding
from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.memory.embedding.failures import EmbedderBusy, EmbedderFailed
from memdeck_daemon.memory.embedding.spaces import Live, Spaces, guard_of
from tests.fakes.clock import ManualClock
from tests.unit.memory.embedding.test_queries import SPACE, SlowEmbedder


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def spaces_of(embedder: SlowEmbedder, clock: ManualClock) -> Spaces:
    spaces = Spaces(cast("Any", None), Embedding(), clock, Modes(clock))
    spaces.primary = Live(SPACE, cast("Any", embedder), guard_of(clock, "openai_api", spaces._told))
    embedder.go.set()
    return spaces


async def test_nobody_looks_at_one_that_is_well(clock: ManualClock) -> None:
    """It costs money."""
    embedder = SlowEmbedder()
    await spaces_of(embedder, clock).look()
    assert [] == embedder.asked


async def test_one_that_was_dropped_slows_nobody(clock: ManualClock) -> None:
    """The local space is how it is meant to be."""
    spaces = spaces_of(SlowEmbedder(), clock)
    spaces.modes.embedder(slow=True)
    clock.advance(1)
    assert spaces.modes.embedder_slow
    spaces.primary = None
    await spaces.look()
    clock.advance(5)
    assert not spaces.modes.embedder_slow


@pytest.mark.parametrize("error", [EmbedderFailed(), EmbedderBusy(retry_after=30.0)])
async def test_one_that_is_well_again_ends_the_mode(clock: ManualClock, error: EmbedderFailed) -> None:
    """One trial after each open period, until it answers."""
    embedder = SlowEmbedder(error=error)
    spaces = spaces_of(embedder, clock)
    live, modes = spaces.primary, spaces.modes
    assert live is not None
    live.breaker.open("no answer")
    clock.advance(1)
    assert "reduced-precision" == modes.current
    await spaces.look()
    assert [] == embedder.asked
    clock.advance(live.breaker.retry_after)
    await spaces.look()
    assert (["memdeck"], "open") == (embedder.asked, live.breaker.state)
    embedder.error = None
    clock.advance(live.breaker.retry_after)
    await spaces.look()
    clock.advance(5)
    assert (True, False) == (live.breaker.closed, modes.embedder_slow)
