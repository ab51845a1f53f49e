"""The contract tests of the API once more, against the daemon as a process with its own database."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.api.serving import Api
from tests.support.daemon import RunningDaemon


@pytest.fixture(scope="session")
def own_daemon() -> Iterator[RunningDaemon]:
    """Not the one that tests share: here everything is forgotten before each test."""
    daemon = RunningDaemon(environment={"MEMDECK_INSTANCE": "test"})
    try:
        yield daemon.start()
    finally:
        daemon.dispose()


@pytest.fixture
async def api(own_daemon: RunningDaemon) -> AsyncIterator[Api]:
    key = await asyncio.to_thread(lambda: own_daemon.key)
    async with aiohttp.ClientSession() as session:
        served = Api(own_daemon.url, key, session, own_daemon.metrics_url)
        assert 200 == (await served.call("POST", "/reset")).status
        for made in (await served.call("GET", "/ops/keys")).body["keys"]:
            if made["revoked_at"] is None:
                await served.call("DELETE", f"/ops/keys/{made['id']}")
        yield served
