"""Nothing grows under a steady load: the short form of `make soak`, in which only a leak of its control's size would show."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from bench.faults.soak import Bars, Plan, Traffic, Verdict, run

SHORT = Plan(seed=7, seconds=8.0, rate=100.0, every=1.0, bars=Bars(40_000.0, 10_000.0, 20_000.0, 0.1))


async def test_a_steady_load_leaves_nothing() -> None:
    found = await run(SHORT)
    assert found.held, found
    assert found.requests > 300


async def test_a_daemon_that_keeps_closing_connections_is_told_of() -> None:
    """Each is counted, nobody stops asking, and what was reached is judged."""

    async def closed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    traffic = Traffic(SHORT)
    async with await asyncio.start_server(closed, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        victim: Any = SimpleNamespace(url=f"http://{host}:{port}", key="")
        await traffic.line(victim, time.monotonic() + 0.5)
    assert traffic.errors.total() == traffic.requests > 1


def test_a_rate_that_is_not_reached_does_not_hold() -> None:
    assert Verdict(1, 0.5, planned=100.0, rate=96.0).held
    assert not Verdict(1, 0.5, planned=100.0, rate=90.0).held


async def test_a_daemon_that_leaks_is_found() -> None:
    """The control."""
    leaky = Plan(seed=7, seconds=8.0, rate=100.0, every=1.0, bars=SHORT.bars, without=("tidiness",))
    found = await run(leaky)
    assert not found.held, found
