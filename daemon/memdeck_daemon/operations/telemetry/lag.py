"""How late the event loop is: what every request waits, whatever it asks for.

A timer that should ring every 50 ms rings later when a callback computes for too long or others have the processors.
"""

import asyncio
from collections.abc import Callable
from typing import Final

PERIOD: Final = 0.05
"""Seconds between two looks: twenty samples a second cost nothing and miss no stall that would show in a p99."""


async def watch(observe: Callable[[float], None]) -> None:
    """Tell by how many seconds each ring of the timer was late, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PERIOD
        await asyncio.sleep(PERIOD)
        observe(max(0.0, loop.time() - due))
