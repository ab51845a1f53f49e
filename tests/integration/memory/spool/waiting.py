"""Short words for what the tests of the spool do."""

from collections.abc import Awaitable, Callable
from typing import Any

from memdeck_common.clock import SystemClock
from memdeck_daemon.memory.model import Receipt
from memdeck_daemon.memory.spool.desk import SpoolDesk
from tests.integration.memory.driver import ADMIN, Memories
from tests.support.waiting import eventually

ALICE = {"user_id": "alice"}

Open = Callable[..., Awaitable[Memories]]


async def empty(memories: Memories) -> None:
    """Wait until nothing waits any more."""
    await eventually(lambda: _is_empty(memories), what="an empty spool")


async def _is_empty(memories: Memories) -> bool:
    return len(memories.spool.journal) == 0 and not list(
        memories.spool.journal.parked.folder.parent.glob("*.spool")
    )


def desk(memories: Memories) -> SpoolDesk:
    """The spool as operators see it."""
    return SpoolDesk(memories.replay, SystemClock())


async def texts(memories: Memories, where: dict[str, Any] = ALICE) -> list[str]:
    """What is stored, oldest first."""
    return [memory.text for memory in reversed(await memories.page(where))]


async def final(memories: Memories, receipt: Receipt) -> Receipt:
    """The receipt of a queued write after its replay."""
    assert receipt.queued
    await empty(memories)
    return await memories.service.receipt(receipt.id, ADMIN)
