"""The pulse against a real server: what it knows, and what it does when the server goes, hangs and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from bench.faults.proxy import HANG, HEALTHY, REFUSE, Proxy, proxy
from memdeck_common.clock import SystemClock
from memdeck_common.errors import StoreUnavailable
from memdeck_daemon.infra.postgres.database import guard_of
from memdeck_daemon.infra.postgres.pulse import Pulse
from memdeck_daemon.infra.resilience.breaker import Breaker
from memdeck_daemon.infra.resilience.modes import Modes
from tests.support.postgres import PostgresServer

ANSWER = 0.3


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    one = PostgresServer()
    yield one.start()
    one.dispose()


@dataclass(slots=True)
class Bedside:
    """A pulse and all that it reports to."""

    proxy: Proxy
    pulse: Pulse
    breaker: Breaker
    modes: Modes
    abandoned: list[float] = field(default_factory=list)


@asynccontextmanager
async def watched(server: PostgresServer) -> AsyncIterator[Bedside]:
    clock = SystemClock()
    breaker, modes, abandoned = guard_of(clock, 4, 1.0).breaker, Modes(clock), list[float]()
    async with proxy("127.0.0.1", server.port) as way:
        url = server.url(port=way.port)
        pulse = Pulse(
            lambda: url,
            breaker,
            modes,
            clock.monotonic,
            lambda: abandoned.append(time.monotonic()),
            answer=ANSWER,
            connect=1.0,
        )
        try:
            yield Bedside(way, pulse, breaker, modes, abandoned)
        finally:
            pulse._drop()


async def test_it_knows_since_when_the_server_is_up(server: PostgresServer) -> None:
    """Without asking it again."""
    async with watched(server) as bed:
        with pytest.raises(StoreUnavailable):
            await bed.pulse.ping()
        await bed.pulse.beat()
        assert 0 <= time.time() - await bed.pulse.ping() < 600
        assert ("normal", 1) == (bed.modes.current, bed.proxy.connections)


async def test_a_server_that_refuses_is_away_after_five_beats_and_back_after_one(
    server: PostgresServer,
) -> None:
    """Nobody waits for the end of the open period."""
    async with watched(server) as bed:
        await bed.pulse.beat()
        await bed.proxy.set(REFUSE)
        for number in range(1, 8):
            await bed.pulse.beat()
            assert (number >= 5) == (bed.breaker.state == "open") == bed.modes.away
        assert (None, []) == (bed.pulse.up_since, bed.abandoned)
        await bed.proxy.set(HEALTHY)
        await bed.pulse.beat()
        assert (True, False) == (bed.breaker.closed, bed.modes.away)


async def test_a_server_that_hangs_is_away_at_once(server: PostgresServer) -> None:
    """What was asked of it is given up when it stays silent."""
    async with watched(server) as bed:
        await bed.pulse.beat()
        await bed.proxy.set(HANG)
        begun = time.monotonic()
        await bed.pulse.beat()
        assert ANSWER <= time.monotonic() - begun < ANSWER + 2
        assert ("open", True, []) == (bed.breaker.state, bed.modes.away, bed.abandoned)
        await bed.pulse.beat()
        assert 1 == len(bed.abandoned)
        await bed.proxy.set(HEALTHY)
        async with asyncio.timeout(5):
            await bed.pulse.beat()
        assert bed.breaker.closed
