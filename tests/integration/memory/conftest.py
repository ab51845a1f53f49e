"""One embedded server for all tests of the memory wing.

Most tests share a wing and take a scope of their own (`memories`, `user`). Those that look at everything, break the index
or stop a background task make a wing over a database of their own (`make_memories`).
"""

import asyncio
import inspect
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from bench.bulk import Loader
from bench.synthetic import Batch
from memdeck_common.clock import SystemClock
from memdeck_common.paths import Home
from memdeck_common.settings import Database as DatabaseSettings
from memdeck_daemon.infra.postgres.cluster import EmbeddedCluster
from memdeck_daemon.infra.postgres.migrations import migrate
from memdeck_daemon.memory.embedding.local import LocalEmbedder
from tests.integration.memory.driver import (
    LIFE,
    OTHER,
    OWNER,
    MakeMemories,
    Memories,
    execute,
    fresh_name,
    opened,
)

HERE = Path(__file__).parent
SIZE = 24_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these share one event loop, because they share a pool."""
    for item in items:
        if HERE in item.path.parents and inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def base() -> Iterator[Path]:
    """A folder that unprivileged users can pass through."""
    folder = Path(tempfile.mkdtemp(prefix="memdeck-wing-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(base: Path) -> Iterator[EmbeddedCluster]:
    settings = DatabaseSettings(system_root=str(base / "system"))
    one = EmbeddedCluster(Home(base / "home"), settings, "wing", progress=lambda _: None, clock=SystemClock())
    dsn = asyncio.run(one.start())
    # These tests end no server by force, so they need not wait for the disk.
    for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
        asyncio.run(execute(dsn, statement))
    yield one
    asyncio.run(one.stop())


@pytest.fixture(scope="session")
def template(cluster: EmbeddedCluster) -> str:
    """The name of a database with all migrations, to be copied."""

    async def make() -> None:
        await execute(cluster.dsn, "CREATE DATABASE template_wing")
        connection = await asyncpg.connect(_address(cluster, "template_wing"))
        await migrate(connection)
        await connection.close()

    asyncio.run(make())
    return "template_wing"


@pytest.fixture(scope="session")
def first_batch() -> Batch:
    """The first 10,000 of the loaded memories. A fixture, because making them holds a loop for 0.2 s and more."""
    return LIFE.batch(0, 10_000)


@pytest.fixture(scope="session")
def second_batch() -> Batch:
    """The next 10,000: the loaded ones and more, those from 12,000 on of `OTHER`."""
    return LIFE.batch(10_000, 10_000)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def loaded(cluster: EmbeddedCluster, template: str) -> str:
    """The name of a database with two owners of 12,000 memories in runs of ten, to be copied."""
    name = f"{template}_loaded"
    await execute(cluster.dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    connection = await asyncpg.connect(_address(cluster, name))
    await connection.execute("SET session_replication_role = replica")
    await Loader(connection, LIFE, [OWNER, OTHER], None, 10).load(SIZE, lambda _: None)
    await connection.close()
    return name


@pytest_asyncio.fixture(loop_scope="session")
async def loaded_dsn(cluster: EmbeddedCluster, loaded: str) -> AsyncIterator[str]:
    """The address of a copy of one's own."""
    async with _copied(cluster, loaded) as address:
        yield address


@pytest.fixture(scope="session")
def embedder() -> LocalEmbedder:
    return LocalEmbedder.load()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def memories(
    cluster: EmbeddedCluster, template: str, embedder: LocalEmbedder, base: Path
) -> AsyncIterator[Memories]:
    """The wing that tests share: they keep to scopes of their own."""
    await execute(cluster.dsn, f"CREATE DATABASE shared TEMPLATE {template}")
    async with opened(_address(cluster, "shared"), embedder, base / "shared-index") as one:
        yield one


@pytest.fixture
def user(scope: str) -> str:
    """A user that no other test has."""
    return scope


@pytest_asyncio.fixture(loop_scope="session")
async def dsn(cluster: EmbeddedCluster, template: str) -> AsyncIterator[str]:
    """The address of a database of one's own, migrated and empty."""
    async with _copied(cluster, template) as address:
        yield address


@pytest_asyncio.fixture(loop_scope="session")
async def make_memories(dsn: str, embedder: LocalEmbedder, tmp_path: Path) -> AsyncIterator[MakeMemories]:
    """Wings over one database that is the test's own; called with the options of `opened`."""
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> Memories:
            folder = options.pop("folder", tmp_path / fresh_name("index"))
            return await stack.enter_async_context(opened(dsn, embedder, folder, **options))

        yield make


@asynccontextmanager
async def _copied(cluster: EmbeddedCluster, template: str) -> AsyncIterator[str]:
    """A database that is made from another one and removed at the end."""
    name = fresh_name("own")
    await execute(cluster.dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _address(cluster, name)
    await execute(cluster.dsn, f"DROP DATABASE {name} WITH (FORCE)")


def _address(cluster: EmbeddedCluster, name: str) -> str:
    return cluster.dsn.replace("/memdeck?", f"/{name}?")
