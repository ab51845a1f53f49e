"""The console and a daemon over real HTTP: it starts without one, follows it, and outlives its restarts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from memdeck_common.clock import SystemClock
from memdeck_common.paths import Home
from memdeck_console.app import Console, connector
from memdeck_console.core.link import FeedLink
from memdeck_console.core.store import LinkState, Store
from tests.fakes import scenes
from tests.fakes.daemon import FakeDaemon, running
from tests.support.waiting import eventually


@asynccontextmanager
async def console(home: Path) -> AsyncIterator[Console]:
    """The real console over the real link, whose waits are short."""
    clock = SystemClock()
    store = Store(clock)
    link = FeedLink(store, connector(None, Home(home)), clock, longest=0.05)
    app = Console(store, link, clock)
    async with app.run_test(size=(120, 36)):
        yield app


async def live(app: Console) -> None:
    await eventually(lambda: app.current_view().live, what="the link is live")


async def test_it_starts_without_a_daemon_and_finds_the_one_that_comes(tmp_path: Path) -> None:
    async with console(tmp_path) as app:
        await eventually(lambda: app.current_view().link.tries > 1, what="two tries failed")
        async with running(tmp_path):
            await live(app)
            assert "studio-a" == (app.current_view().snapshot or scenes.snapshot()).instance


async def test_it_takes_the_stream_up_where_it_broke(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon, console(tmp_path) as app:
        await live(app)
        daemon.say(scenes.tick(scenes.NOON + 1, 88_215))
        await eventually(lambda: app.store.last_event_id == f"{daemon.snapshot.boot_id}:88215")
        daemon.hang_up()
        await eventually(lambda: len(daemon.resumed_at) > 1)
        assert [None, f"{daemon.snapshot.boot_id}:88215"] == daemon.resumed_at[:2]


async def test_it_follows_a_daemon_that_comes_back_at_another_port(tmp_path: Path) -> None:
    """The gap is named a restart, since the boot id is another."""
    async with console(tmp_path) as app:
        async with running(tmp_path):
            await live(app)
        await eventually(lambda: app.current_view().link.state is LinkState.RECONNECTING)
        snapshot = scenes.snapshot(
            scenes.NOON + 30, 5, boot_id="another", started_at=scenes.NOON + 20, slots=[]
        )
        async with running(tmp_path, snapshot=snapshot):
            await live(app)
            assert "restart" == app.current_view().gaps[-1].cause


@pytest.mark.parametrize(
    ("daemon", "state"),
    [
        (FakeDaemon(refuse=(401, "unauthenticated")), LinkState.AUTH_FAILED),
        (FakeDaemon(refuse=(403, "forbidden")), LinkState.AUTH_FAILED),
        (FakeDaemon(refuse=(404, "not_found")), LinkState.VERSION_MISMATCH),
        (FakeDaemon(garbled=True), LinkState.VERSION_MISMATCH),
    ],
    ids=["no key", "wrong role", "no feed", "another language"],
)
async def test_what_is_wrong_is_named_and_mends_itself(
    tmp_path: Path, daemon: FakeDaemon, state: LinkState
) -> None:
    await daemon.start(tmp_path)
    try:
        async with console(tmp_path) as app:
            await eventually(lambda: app.current_view().link.state is state)
            daemon.refuse, daemon.garbled = None, False
            await live(app)
    finally:
        await daemon.stop()


async def test_the_round_trip_is_measured(tmp_path: Path) -> None:
    async with running(tmp_path), console(tmp_path) as app:
        await live(app)
        assert await eventually(lambda: app.current_view().link.round_trip_ms)


async def test_a_search_goes_over_the_link(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon, console(tmp_path) as app:
        await live(app)
        answer = await app.link.memories.search("who", {"user_id": "ops"}, explain=True)
        assert (8, "who") == (len(answer.results), daemon.searches[0]["query"])
