"""Order within a lane, width between lanes, bounded depth, the first error."""

import asyncio
from collections import defaultdict

import pytest

from memdeck_console.cli.lanes import Lanes


async def test_order_within_a_lane_and_width_between() -> None:
    """Each lane is served one by one in order, never more than `width` lanes at once."""
    seen: dict[int, list[int]] = defaultdict(list)
    busy: set[int] = set()
    most = 0

    async def work(item: tuple[int, int]) -> None:
        nonlocal most
        lane, number = item
        assert lane not in busy
        busy.add(lane)
        most = max(most, len(busy))
        for _ in range(lane % 3 + 1):
            await asyncio.sleep(0)
        busy.remove(lane)
        seen[lane].append(number)

    async with Lanes(work, width=4, depth=16).open() as lanes:
        for number in range(20):
            for lane in range(6):
                await lanes.put(lane, (lane, number))
    assert {lane: list(range(20)) for lane in range(6)} == seen
    assert 4 == most


async def test_put_waits_when_too_many_wait() -> None:
    """Memory is bounded: the reader is held back."""
    gate = asyncio.Event()
    put = 0

    async def work(_item: int) -> None:
        await gate.wait()

    async def feed(lanes: Lanes[int]) -> None:
        nonlocal put
        for number in range(10):
            await lanes.put("one", number)
            put += 1

    async with Lanes(work, width=2, depth=3).open() as lanes:
        feeding = asyncio.create_task(feed(lanes))
        for _ in range(20):
            await asyncio.sleep(0)
        assert 3 == put
        gate.set()
        await feeding
    assert 10 == put


async def test_first_error_ends_everything() -> None:
    """The error comes out as it is, and what waited is not done."""
    done: list[int] = []

    async def work(item: int) -> None:
        await asyncio.sleep(0)
        if item == 3:
            raise ValueError(item)
        done.append(item)

    async def all_of_it() -> None:
        async with Lanes(work, width=2, depth=2).open() as lanes:
            for number in range(100):
                await lanes.put("one", number)

    with pytest.raises(ValueError, match="3"):
        await all_of_it()
    assert [0, 1, 2] == done
