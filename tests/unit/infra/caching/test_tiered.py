"""Two tiers: made once for all who wait, and never with another stamp."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from memdeck_daemon.infra.caching.l1 import L1
from memdeck_daemon.infra.caching.tiered import Made, Tiered
from tests.fakes.clock import ManualClock

KEY = b"k" * 16


class Maker:
    """Makes a value when it is let."""

    def __init__(self, *, keep: bool = True) -> None:
        self.calls = 0
        self.go = asyncio.Event()
        self.began = asyncio.Event()
        self._keep = keep

    async def __call__(self) -> Made:
        self.calls += 1
        number = self.calls
        self.began.set()
        await self.go.wait()
        return Made(b"made %d" % number, keep=self._keep)


@pytest.fixture
async def tiers() -> AsyncIterator[Tiered]:
    made = Tiered(L1(1 << 20, 300.0, ManualClock()), None, "test:")
    yield made
    await made.close()


async def all_of(*waits: Awaitable[tuple[Made, str]]) -> list[bytes]:
    return [made.value for made, _ in await asyncio.gather(*waits)]


async def test_who_asks_the_same_waits_for_one_answer(tiers: Tiered) -> None:
    """Twenty at once, one maker; the next one finds it in memory."""
    maker = Maker()
    waits = [asyncio.create_task(tiers.get(KEY, (1, 1), maker)) for _ in range(20)]
    await maker.began.wait()
    maker.go.set()
    assert {b"made 1"} == set(await all_of(*waits))
    assert (Made(b"made 1", keep=True), "l1") == await tiers.get(KEY, (1, 1), maker)
    assert (1, 19, 1) == (tiers.figures.made, tiers.figures.joined, tiers.figures.l1)


async def test_another_stamp_does_not_join(tiers: Tiered) -> None:
    """Who asks after a write gets what was made after it."""
    maker = Maker()
    before = asyncio.create_task(tiers.get(KEY, (1, 1), maker))
    await maker.began.wait()
    after = asyncio.create_task(tiers.get(KEY, (1, 2), maker))
    maker.began.clear()
    await maker.began.wait()
    maker.go.set()
    assert [b"made 1", b"made 2"] == await all_of(before, after)


async def test_who_gives_up_takes_nothing_from_the_others(tiers: Tiered) -> None:
    """The first one's client leaves; the value is made nevertheless."""
    maker = Maker()
    first = asyncio.create_task(tiers.get(KEY, (1,), maker))
    await maker.began.wait()
    second = asyncio.create_task(tiers.get(KEY, (1,), maker))
    first.cancel()
    maker.go.set()
    assert b"made 1" == (await second)[0].value
    assert first.cancelled()


async def test_what_must_not_be_kept_is_not(tiers: Tiered) -> None:
    """Those who wait get it; the next one has it made anew."""
    maker = Maker(keep=False)
    maker.go.set()
    assert [b"made 1"] == await all_of(tiers.get(KEY, (1,), maker))
    assert [b"made 2"] == await all_of(tiers.get(KEY, (1,), maker))


async def test_an_error_is_for_all_who_wait(tiers: Tiered) -> None:
    """And is not kept."""
    calls: list[int] = []

    async def fail() -> Made:
        calls.append(1)
        raise ValueError

    waits = [asyncio.create_task(tiers.get(KEY, (1,), fail)) for _ in range(3)]
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert [ValueError] * 3 == [type(result) for result in results]
    with pytest.raises(ValueError):
        await tiers.get(KEY, (1,), fail)
    assert 2 == len(calls)


async def test_the_end_leaves_nothing_running() -> None:
    """Whoever waits is told by the cancellation."""
    tiers = Tiered(L1(1 << 20, 300.0, ManualClock()), None, "test:")
    maker = Maker()
    wait = asyncio.create_task(tiers.get(KEY, (1,), maker))
    await maker.began.wait()
    await tiers.close()
    with pytest.raises(asyncio.CancelledError):
        await wait


@pytest.mark.parametrize(
    ("latest", "found"),
    [((1, 5, 7), b"made 1"), ((1, 4, 0), b"made 1"), ((1, 6, 7), None), ((2, 5, 7), None), ((1, 5), None)],
)
async def test_an_unverified_value_is_as_new_as_what_is_known(
    tiers: Tiered, latest: tuple[int, ...], found: bytes | None
) -> None:
    """Of the same lineage and names; it stays for when it can be verified again."""
    maker = Maker()
    maker.go.set()
    await tiers.get(KEY, (1, 5, 7), maker)
    assert found == await tiers.unverified(KEY, latest, 1000.0)
    assert b"made 1" == tiers.near(KEY, (1, 5, 7))
    assert None is await tiers.unverified(b"other", latest, 1000.0)


async def test_an_unverified_value_was_not_too_old_already(tiers: Tiered) -> None:
    """When that began from which on nothing could be verified."""
    maker = Maker()
    maker.go.set()
    await tiers.get(KEY, (1, 1), maker)
    assert [b"made 1", None] == [await tiers.unverified(KEY, (1, 1), since) for since in (1299.0, 1300.0)]
