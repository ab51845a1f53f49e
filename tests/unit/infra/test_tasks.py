"""Background tasks: none is left alone, and none dies unnoticed."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from memdeck_daemon.infra.tasks import Tasks


async def for_ever() -> None:
    await asyncio.Event().wait()


async def failing() -> None:
    raise RuntimeError("broken")


async def ending() -> None:
    return


@pytest.mark.parametrize("work", [failing, ending])
async def test_a_task_that_ends_by_itself_stops_the_daemon(
    work: Callable[[], Coroutine[Any, Any, None]], caplog: pytest.LogCaptureFixture
) -> None:
    """With an error or without one; the log says which."""
    failed = asyncio.Event()
    async with Tasks(failed) as tasks:
        tasks.start("the follower", work())
        await asyncio.wait_for(failed.wait(), 1)
    assert ["the follower ended by itself"] == [record.getMessage() for record in caplog.records]
    assert {logging.CRITICAL} == {record.levelno for record in caplog.records}


async def test_leaving_cancels_and_waits() -> None:
    """Until the last one has cleaned up; the daemon has not failed then."""
    failed, cleaned = asyncio.Event(), []

    async def slow_to_leave(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            cleaned.append(name)

    async with Tasks(failed) as tasks:
        for name in ("one", "two"):
            tasks.start(name, slow_to_leave(name))
        await asyncio.sleep(0)
    assert (["one", "two"], False) == (sorted(cleaned), failed.is_set())


async def test_a_task_that_fails_while_stopping_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """And keeps nobody from stopping."""

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("no way") from None

    failed = asyncio.Event()
    async with Tasks(failed) as tasks:
        tasks.start("stubborn", stubborn())
        tasks.start("other", for_ever())
        await asyncio.sleep(0)
    assert ["stubborn failed while stopping"] == [record.getMessage() for record in caplog.records]
    assert not failed.is_set()


async def test_an_error_of_the_owner_passes_through() -> None:
    """After its tasks have ended."""

    async def owner() -> None:
        async with Tasks(asyncio.Event()) as tasks:
            tasks.start("other", for_ever())
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await owner()
    assert {asyncio.current_task()} == asyncio.all_tasks()
