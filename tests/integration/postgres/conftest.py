import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from memdeck_common.clock import SystemClock
from memdeck_common.paths import Home
from memdeck_common.settings import Database
from memdeck_daemon.infra.postgres.cluster import EmbeddedCluster
from tests.support.waiting import eventually_sync

ClusterOf = Callable[..., EmbeddedCluster]


def postgres_under(folder: Path) -> list[tuple[int, list[str]]]:
    """Pid and arguments of every PostgreSQL process that works somewhere in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if (
                entry.name.isdigit()
                and (entry / "comm").read_text() == "postgres\n"
                and (entry / "cwd").readlink().is_relative_to(folder)
            ):
                found.append((int(entry.name), (entry / "cmdline").read_text().split("\0")))
    return found


def end_all(folder: Path) -> None:
    """Kill what a failed test left running in a folder that is only its own."""
    for pid, _ in postgres_under(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually_sync(lambda: not postgres_under(folder), what="no server is left")


@pytest.fixture(scope="session")
def base() -> Iterator[Path]:
    """A folder that unprivileged users can pass through; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="memdeck-pg-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    yield folder
    end_all(folder)
    shutil.rmtree(folder)


@pytest.fixture
def settings(base: Path) -> Database:
    return Database(system_root=str(base / "system"), start_timeout=20)


@pytest.fixture
def home(base: Path) -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(prefix="home-", dir=base))
    yield Home(folder)
    shutil.rmtree(folder)


@pytest.fixture
async def cluster_of(settings: Database) -> AsyncIterator[ClusterOf]:
    """Makes clusters, which are stopped when the test is over."""
    made: list[EmbeddedCluster] = []

    def make(home: Home, progress: Callable[[str], None] = lambda _: None, **options: Any) -> EmbeddedCluster:
        given = {"settings": settings, "clock": SystemClock(), **options}
        cluster = EmbeddedCluster(home, given["settings"], "test", progress=progress, clock=given["clock"])
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        await cluster.stop()


@pytest.fixture(scope="session")
def shared_cluster(base: Path) -> Iterator[EmbeddedCluster]:
    """A server for tests that only need some database."""
    home = Home(base / "shared")
    settings = Database(system_root=str(base / "system"))
    cluster = EmbeddedCluster(home, settings, "shared", progress=lambda _: None, clock=SystemClock())
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


@pytest.fixture
async def database(shared_cluster: EmbeddedCluster) -> AsyncIterator[str]:
    """The address of an empty database of one's own."""
    name = f"test_{os.urandom(4).hex()}"
    await _execute(shared_cluster.dsn, f"create database {name}")
    yield shared_cluster.dsn.replace("/memdeck?", f"/{name}?")
    await _execute(shared_cluster.dsn, f"drop database {name} with (force)")


async def _execute(address: str, statement: str) -> None:
    admin = await asyncpg.connect(address)
    await admin.execute(statement)
    await admin.close()
