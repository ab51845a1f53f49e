"""The link: never gives up, names what is wrong, and takes the stream up where it broke."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from memdeck_common import errors
from memdeck_common.wire.feed import Event
from memdeck_console.core.link import LONGEST, SHORTEST, FeedLink, backoff, short_reason
from memdeck_console.core.store import LinkState, Store
from tests.fakes import scenes
from tests.fakes.deck import FrozenClock

Script = Callable[[], AsyncIterator[tuple[str, Event]]]


class Network:
    """One script per connection; after the last one it stays silent."""

    def __init__(self, *scripts: Any) -> None:
        self.scripts = list(scripts)
        self.resumed: list[str | None] = []
        self.states: list[tuple[LinkState, int]] = []
        self.exhausted = asyncio.Event()

    def connect(self) -> Any:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Any]:
            yield SimpleNamespace(feed=self._feed, live=self._live)

        return opened()

    async def _live(self) -> None:
        """At once."""

    async def _feed(self, last_event_id: str | None = None) -> AsyncIterator[tuple[str, Event]]:
        self.resumed.append(last_event_id)
        if not self.scripts:
            self.exhausted.set()
            await asyncio.Event().wait()
        script = self.scripts.pop(0)
        if isinstance(script, BaseException):
            raise script
        for event in script:
            yield f"boot:{event.seq}", event
        raise errors.DaemonUnreachable("The daemon closed the feed.")


class Watched(Store):
    """A store that remembers the states of its link."""

    def __init__(self) -> None:
        super().__init__(FrozenClock())
        self.states: list[tuple[LinkState, int]] = []

    def link_is(
        self, state: LinkState, *, tries: int = 0, retry_in: float | None = None, reason: str = ""
    ) -> None:
        self.states.append((state, tries))
        super().link_is(state, tries=tries, retry_in=retry_in, reason=reason)


async def played(*scripts: Any) -> tuple[Watched, Network, FeedLink]:
    """What the store knows when the scripts are at their end."""
    store, network = Watched(), Network(*scripts)
    link = FeedLink(store, network.connect, FrozenClock(), longest=0.0)
    running = asyncio.create_task(link.run())
    await asyncio.wait_for(network.exhausted.wait(), 5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return store, network, link


@pytest.mark.parametrize("tries", range(20))
@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_waits_lie_between_half_a_second_and_fifteen(tries: int, chance: float) -> None:
    assert SHORTEST <= backoff(tries, chance) <= LONGEST


def test_waits_double_and_are_jittered() -> None:
    assert [0.5, 1, 2, 4, 8, 15, 15] == [backoff(tries, 0) for tries in range(7)]
    assert backoff(5, 0.9) < backoff(5, 0.1)


async def test_a_stream_is_taken_up_where_it_broke() -> None:
    _, network, _ = await played(
        [scenes.snapshot(seq=5), scenes.tick(scenes.NOON + 1, 6)], [scenes.snapshot(seq=7)]
    )
    assert [None, "boot:6", "boot:7"] == network.resumed


async def test_it_tries_for_ever_and_counts() -> None:
    refused = errors.DaemonUnreachable("refused")
    store, _, _ = await played(refused, refused, refused)
    assert [(LinkState.RECONNECTING, n) for n in (1, 2, 3)] == store.states


async def test_the_count_begins_anew_after_a_live_stream() -> None:
    refused = errors.DaemonUnreachable("refused")
    store, _, _ = await played(refused, refused, [scenes.snapshot()], refused)
    assert [1, 2, 0, 1] == [tries for _, tries in store.states]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (errors.Unauthenticated(), LinkState.AUTH_FAILED),
        (errors.Forbidden(), LinkState.AUTH_FAILED),
        (errors.NotFound(), LinkState.VERSION_MISMATCH),
        (msgspec.ValidationError("Object missing required field"), LinkState.VERSION_MISMATCH),
        (errors.Unavailable(), LinkState.RECONNECTING),
        (RuntimeError("a mistake of ours"), LinkState.RECONNECTING),
    ],
)
async def test_what_is_wrong_is_named_and_tried_again(error: Exception, state: LinkState) -> None:
    store, _, _ = await played(error)
    assert [(state, 1)] == store.states


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (
            "Cannot connect to host 127.0.0.1:1 [Connect call failed ('127.0.0.1', 1)]",
            "connection refused 127.0.0.1:1",
        ),
        ("Response payload is not completed: <TransferEncodingError>", "stream closed by peer."),
        ("no answer in time", "no answer in time 127.0.0.1:1"),
    ],
)
def test_the_log_names_the_cause_in_few_words(cause: str, reason: str) -> None:
    message = f"The daemon at http://127.0.0.1:1 cannot be reached ({cause}); `memdeck up` starts it."
    assert reason == short_reason(message)


async def test_without_a_link_the_memories_cannot_be_asked() -> None:
    _, _, link = await played(errors.DaemonUnreachable("refused"))
    with pytest.raises(errors.DaemonUnreachable, match="ctrl\\+r"):
        _ = link.memories


async def test_a_wait_can_be_cut_short() -> None:
    """With the real waits: the first one would last at least half a second, the tenth fifteen."""
    store, network = Watched(), Network(*[errors.DaemonUnreachable("refused")] * 10)
    link = FeedLink(store, network.connect, FrozenClock(), chance=lambda: 0.0)
    running = asyncio.create_task(link.run())
    while not network.exhausted.is_set():
        link.retry_now()
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert 10 == len(store.states)
