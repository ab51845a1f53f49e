"""Wings whose way to the database can be cut, one after the other on one spool."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest_asyncio

from memdeck_common.settings import Database as DatabaseSettings
from memdeck_common.settings import Memory as MemorySettings
from memdeck_daemon.memory.embedding.local import LocalEmbedder
from tests.integration.memory.driver import Memories, opened
from tests.integration.memory.spool.waiting import Open
from tests.support.cable import Cable, laid

POOL = DatabaseSettings(pool_min=1, pool_max=4, connect_timeout=0.5, acquire_timeout=0.5)
SETTINGS = MemorySettings(index_interval=0.02)
TASKS = ("writer", "spool")


@pytest_asyncio.fixture(loop_scope="session")
async def cable(dsn: str) -> AsyncIterator[Cable]:
    async with laid(dsn) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def start(cable: Cable, embedder: LocalEmbedder, tmp_path: Path) -> AsyncIterator[Open]:
    """Wings over the cable, one after the other, on one spool."""
    async with AsyncExitStack() as stack:

        async def make(tasks: tuple[str, ...] = TASKS, settings: MemorySettings = SETTINGS) -> Memories:
            return await stack.enter_async_context(
                opened(
                    cable.dsn,
                    embedder,
                    tmp_path / uuid.uuid4().hex,
                    background=tasks,
                    settings=settings,
                    pool=POOL,
                    spool=tmp_path / "spool",
                )
            )

        yield make


@pytest_asyncio.fixture(loop_scope="session")
async def memories(start: Open) -> Memories:
    return await start()
