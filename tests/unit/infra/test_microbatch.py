"""Requests of one moment go on together, and nobody waits for who is not there."""

import asyncio

from memdeck_daemon.infra.microbatch import MOST, MicroBatch


async def turns(count: int) -> None:
    """Let the loop turn so often."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_comes_a_turn_later_is_waited_for() -> None:
    """Three that are staggered by a turn each all come before the first one goes on."""
    batch, told = MicroBatch(), list[str]()

    async def request(number: int) -> None:
        await turns(number)
        told.append(f"{number} comes")
        await batch.turn()
        told.append(f"{number} goes on")

    async with asyncio.timeout(5):
        await asyncio.gather(*(request(number) for number in range(3)))
    assert ["0 comes", "1 comes", "2 comes", "0 goes on", "1 goes on", "2 goes on"] == told


async def test_who_is_alone_goes_on_at_once() -> None:
    """Within a few turns of the loop."""
    task = asyncio.create_task(MicroBatch().turn())
    await turns(4)
    assert task.done()


async def test_a_crowd_goes_on_in_parts() -> None:
    """All of them, in order, at most `MOST` within one turn of the loop."""
    batch, order, turn = MicroBatch(), list[int](), 0
    gone: dict[int, int] = {}

    async def request(number: int) -> None:
        await batch.turn()
        order.append(number)
        gone[turn] = gone.get(turn, 0) + 1

    crowd = [asyncio.create_task(request(number)) for number in range(2 * MOST + 3)]
    async with asyncio.timeout(5):
        while len(order) < len(crowd):
            await asyncio.sleep(0)
            turn += 1
    assert list(range(len(crowd))) == order
    assert [MOST, MOST, 3] == list(gone.values())


async def test_who_gives_up_holds_up_nobody() -> None:
    """Nor does it take a place of the next batch."""
    batch = MicroBatch()
    first, second = (asyncio.create_task(batch.turn()) for _ in range(2))
    await turns(1)
    first.cancel()
    await asyncio.wait_for(second, 5)
    assert first.cancelled()
    await asyncio.wait_for(batch.turn(), 5)
