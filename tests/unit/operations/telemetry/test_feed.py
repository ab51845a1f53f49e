"""The feed: a snapshot, then numbered ticks; nothing twice, nothing left out."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from memdeck_common.wire.feed import Caller, Counts, Event, Service, Snapshot, Tick
from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.operations.telemetry.latency import KEPT
from memdeck_daemon.operations.telemetry.service import Boot, Telemetry
from tests.fakes.clock import ManualClock

WATCHER = Caller(name="ops", role="operator")
Feed = AsyncIterator[tuple[str, bytes]]


async def tick(telemetry: Telemetry, clock: ManualClock, seconds: float = 1.0) -> None:
    clock.advance(seconds)
    await telemetry.tick()


async def received(feed: Feed) -> tuple[str, Event]:
    event_id, body = await asyncio.wait_for(anext(feed), 1)
    return event_id, msgspec.json.decode(body, type=Event)


async def snapshot(telemetry: Telemetry, last_event_id: str | None = None) -> Snapshot:
    _, event = await received(telemetry.feed(WATCHER, last_event_id))
    assert isinstance(event, Snapshot)
    return event


async def test_a_watcher_gets_a_snapshot_and_then_every_tick(
    telemetry: Telemetry, clock: ManualClock
) -> None:
    """Numbered without a gap, however late it asks."""
    await tick(telemetry, clock)
    feed = telemetry.feed(WATCHER, None)
    event_id, first = await received(feed)
    assert isinstance(first, Snapshot)
    assert ("boot1:1", 1, WATCHER, "test") == (event_id, first.seq, first.caller, first.instance)
    waiting = asyncio.create_task(received(feed))
    await asyncio.sleep(0)
    for _ in range(3):
        await tick(telemetry, clock)
    told = [await waiting, await received(feed), await received(feed)]
    assert ["boot1:2", "boot1:3", "boot1:4"] == [event_id for event_id, _ in told]
    assert [2, 3, 4] == [event.seq for _, event in told if isinstance(event, Tick)]


async def test_a_line_between_two_ticks_is_told_once(telemetry: Telemetry, clock: ManualClock) -> None:
    """By the next tick, not by the snapshot as well."""
    await tick(telemetry, clock)
    telemetry.observe("search", 0.001, 200, "r1")
    feed = telemetry.feed(WATCHER, None)
    _, first = await received(feed)
    await tick(telemetry, clock)
    _, second = await received(feed)
    assert [[], ["r1"]] == [[line.request_id for line in event.log] for event in (first, second)]


async def test_ticks_of_the_past_are_not_waited_for(telemetry: Telemetry, clock: ManualClock) -> None:
    """A watcher that was busy gets what it missed at once, not with the next tick."""
    feed = telemetry.feed(WATCHER, None)
    await received(feed)
    for _ in range(3):
        await tick(telemetry, clock)
    assert [1, 2, 3] == [(await received(feed))[1].seq for _ in range(3)]


async def test_a_watcher_that_is_too_slow_is_ended(telemetry: Telemetry, clock: ManualClock) -> None:
    """It resumes with a snapshot; one that is just fast enough goes on."""
    slow, just = telemetry.feed(WATCHER, None), telemetry.feed(WATCHER, None)
    await received(slow)
    await tick(telemetry, clock)
    await received(just)
    for _ in range(KEPT):
        await tick(telemetry, clock)
    assert 2 == (await received(just))[1].seq
    with pytest.raises(StopAsyncIteration):
        await anext(slow)


async def test_resuming_sends_what_came_after(telemetry: Telemetry, clock: ManualClock) -> None:
    """Slots and log lines of before are not sent again, those of after are all there."""
    for number in range(5):
        telemetry.observe("search", 0.01, 200, f"r{number}")
        await tick(telemetry, clock)
    resumed = await snapshot(telemetry, "boot1:3")
    assert (3, 5) == (resumed.since, resumed.seq)
    assert 2 == len(resumed.slots)
    assert ["r3", "r4"] == [line.request_id for line in resumed.log]
    nothing = await snapshot(telemetry, "boot1:5")
    assert (5, [], []) == (nothing.since, nothing.slots, nothing.log)


async def test_two_ticks_within_a_second_are_two(telemetry: Telemetry, clock: ManualClock) -> None:
    """Slots carry whole seconds: one that shares its second with the last one seen is sent all the same."""
    telemetry.observe("search", 0.01, 200, "a")
    await tick(telemetry, clock, 1.0)
    telemetry.observe("add", 0.01, 200, "b")
    await tick(telemetry, clock, 0.4)
    resumed = await snapshot(telemetry, "boot1:1")
    assert [["add"]] == [list(slot.ops) for slot in resumed.slots]


@pytest.mark.parametrize(
    "last",
    ["boot0:3", "boot1:", "boot1:x", "boot1:99", "boot1:-1", "boot1:²", "3", "", ":", "boot1:" + "9" * 5000],
)
async def test_what_cannot_be_resumed_starts_anew(
    telemetry: Telemetry, clock: ManualClock, last: str
) -> None:
    """Another boot, a number from the future, or nonsense: everything that is kept is sent."""
    for number in range(5):
        telemetry.observe("search", 0.01, 200, f"r{number}")
        await tick(telemetry, clock)
    fresh = await snapshot(telemetry, last)
    assert (0, 5, 5) == (fresh.since, len(fresh.slots), len(fresh.log))


async def test_what_is_no_longer_kept_starts_anew(telemetry: Telemetry, clock: ManualClock) -> None:
    """A watcher that was away for long has to begin again."""
    for _ in range(KEPT + 10):
        telemetry.observe("search", 0.01, 200, "r")
        await tick(telemetry, clock)
    assert (0, KEPT) == ((old := await snapshot(telemetry, "boot1:5")).since, len(old.slots))
    assert (20, KEPT - 10) == ((new := await snapshot(telemetry, "boot1:20")).since, len(new.slots))


async def test_another_life_has_another_boot_id(clock: ManualClock) -> None:
    """By which watchers know that everything they saw is history."""
    lives = [Telemetry(Boot("test", boot, clock.now()), clock.now, Modes(clock)) for boot in ("b1", "b2")]
    await tick(lives[0], clock)
    assert {"b1", "b2"} == {(await snapshot(life, "b1:1")).boot_id for life in lives}
    assert 0 == (await snapshot(lives[1], "b1:1")).since


async def test_closing_ends_the_subscription(telemetry: Telemetry, clock: ManualClock) -> None:
    """And disturbs nobody else."""
    one, other = telemetry.feed(WATCHER, None), telemetry.feed(WATCHER, None)
    await received(one)
    await received(other)
    waiting = asyncio.create_task(received(one))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await tick(telemetry, clock)
    assert 1 == (await received(other))[1].seq


async def test_a_broken_probe_blinds_nobody(telemetry: Telemetry, clock: ManualClock) -> None:
    """It is shown as stale under its name; counts that cannot be read stay what they were."""
    looks = 0

    async def broken() -> Service:
        raise ZeroDivisionError

    async def fine() -> Service:
        return Service(name="fine", state="ok")

    async def counts(_: Counts) -> Counts:
        nonlocal looks
        looks += 1
        if looks > 1:
            raise OSError
        return Counts(memories=7)

    telemetry.watch([broken, fine], counts, list)
    for _ in range(6):
        await tick(telemetry, clock)
    health = telemetry.health()
    assert [("broken", "stale"), ("fine", "ok")] == [(one.name, one.state) for one in health.services]
    assert (7, 2, "degraded") == (health.counts.memories, looks, health.status)


async def test_a_database_that_hangs_does_not_hold_the_feed(telemetry: Telemetry, clock: ManualClock) -> None:
    """Ticks go on with the numbers known last; those that were asked for come when they come."""
    answered = asyncio.Event()

    async def counts(known: Counts) -> Counts:
        await answered.wait()
        return Counts(memories=known.memories + 7)

    telemetry.watch([], counts, list)
    async with asyncio.timeout(5):
        await tick(telemetry, clock)
    assert 0 == telemetry.health().counts.memories
    answered.set()
    await tick(telemetry, clock)
    assert 7 == telemetry.health().counts.memories


@pytest.mark.parametrize(
    ("state", "status", "ready"),
    [("ok", "ok", "ready"), ("warn", "degraded", "ready"), ("crit", "down", "not_ready")],
)
async def test_readiness_is_the_databases(
    telemetry: Telemetry, clock: ManualClock, state: str, status: str, ready: str
) -> None:
    """What is critical keeps requests away and is named; what is slow does not."""

    async def postgres() -> Service:
        return msgspec.convert({"name": "postgres", "state": state, "note": "why"}, Service)

    async def counts(_: Counts) -> Counts:
        return Counts()

    telemetry.watch([postgres], counts, list)
    await tick(telemetry, clock)
    assert (status, ready) == (telemetry.health().status, telemetry.ready().status)
    assert (["postgres: why"] if ready == "not_ready" else []) == telemetry.ready().missing
    assert "boot1" == telemetry.live().boot_id
