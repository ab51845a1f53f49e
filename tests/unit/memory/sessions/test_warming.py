"""Sessions that begin are prepared, in the background and within bounds."""

import asyncio
from typing import Any, cast

from memdeck_common.errors import StoreUnavailable
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory.recall.hotset import HotSet
from memdeck_daemon.memory.sessions.warming import WAITING, Warming
from tests.support.waiting import eventually


class Down(Database):
    """A database that does not answer, and counts who asked."""

    def __init__(self) -> None:
        super().__init__(cast("Any", None), acquire_timeout=1)
        self.asked = 0

    def connection(self) -> Any:
        self.asked += 1
        raise StoreUnavailable


async def test_a_failure_does_not_end_it() -> None:
    """The first search loads what it needs, as ever."""
    database = Down()
    warming = Warming(HotSet(database, 1_000_000))
    task = asyncio.create_task(warming.run())
    for user in ("ada", "bob"):
        warming.expect(user)
    await eventually(lambda: database.asked == 2, what="both loads")
    assert not task.done()
    task.cancel()


def test_what_has_no_room_is_left_out() -> None:
    """An import of many users neither waits nor piles up."""
    warming = Warming(HotSet(Down(), 1_000_000))
    for number in range(3 * WAITING):
        warming.expect(f"user-{number}")
    assert WAITING == warming._queue.qsize()
