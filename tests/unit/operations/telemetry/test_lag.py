"""The lateness of the event loop is measured."""

import asyncio
import time

from memdeck_daemon.operations.telemetry import lag
from tests.support.waiting import eventually


async def test_a_stall_shows() -> None:
    seen: list[float] = []
    watching = asyncio.create_task(lag.watch(seen.append))
    await eventually(lambda: seen)
    asyncio.get_running_loop().call_soon(_hold, 0.12)
    await eventually(lambda: max(seen) > 0.05)
    assert min(seen) < 0.02
    watching.cancel()


def _hold(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
