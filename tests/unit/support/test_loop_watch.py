"""The watch that finds blocking callbacks."""

import asyncio
import threading
import time

from tests.support.loop_watch import LoopWatch


def compute(seconds: float) -> None:
    """Use this much CPU time of the calling thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def compute_in_a_task(seconds: float) -> None:
    compute(seconds)


def test_a_callback_that_computes_too_long_is_noted_with_its_task() -> None:
    """The complaint names the coroutine, so that it can be found."""
    with LoopWatch(cpu_limit=0.02) as watch:
        asyncio.run(compute_in_a_task(0.04))
    (complaint,) = watch.complaints
    assert "compute_in_a_task" in complaint


def test_a_callback_that_waits_without_computing_is_noted() -> None:
    """Waiting in the loop's thread stops everybody as much as computing does."""

    async def wait() -> None:
        threading.Event().wait(0.05)

    with LoopWatch(wall_limit=0.02) as watch:
        asyncio.run(wait())
    assert 1 == len(watch.complaints)


def test_work_in_other_threads_and_short_steps_are_fine() -> None:
    """A thread that computes costs the loop's thread nothing."""

    async def share() -> None:
        await asyncio.to_thread(compute, 0.06)
        for _ in range(6):
            compute(0.005)
            await asyncio.sleep(0)

    with LoopWatch(cpu_limit=0.04) as watch:
        asyncio.run(share())
    assert [] == watch.complaints


def test_nothing_is_noted_outside_the_watch() -> None:
    """The loop is its old self afterwards."""
    with LoopWatch(cpu_limit=0.001) as watch:
        pass
    asyncio.run(compute_in_a_task(0.005))
    assert [] == watch.complaints
