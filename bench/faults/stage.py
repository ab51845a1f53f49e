"""A daemon and everything that it can depend on, each behind a proxy of its own.

Owns real parts: a PostgreSQL outside of the daemon, Redis, a server that speaks Bolt, a stub of an embedder; what is not
installed is left out, and so are the scenarios that need it.
"""

import asyncio
import importlib.util
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from bench.faults.daemon import Victim, victim
from bench.faults.proxy import HEALTHY, Proxy, Toxics, proxy
from memdeck_common.clock import SystemClock
from memdeck_common.paths import Home
from memdeck_common.settings import Database
from memdeck_daemon.infra.postgres.cluster import EmbeddedCluster
from tests.fakes.embedding_server import EmbeddingServer, serving
from tests.support import bolt
from tests.support.redis import RedisServer

PARTS: Final = ("postgres", "redis", "neo4j", "embedder")
PRIVATE: Final = 0o700
PASSABLE: Final = 0o711


@dataclass(frozen=True, slots=True)
class Stage:
    """The daemon, and the way to each of its parts."""

    daemon: Victim
    ways: Mapping[str, Proxy]

    async def suffer(self, parts: tuple[str, ...], toxics: Toxics) -> None:
        """Break these, all at once."""
        await asyncio.gather(*(self.ways[part].set(toxics) for part in parts))

    async def heal(self) -> None:
        """All is well again."""
        await asyncio.gather(*(way.set(HEALTHY) for way in self.ways.values()))


def available() -> tuple[str, ...]:
    """The parts that this machine has."""
    missing = set()
    if shutil.which("redis-server") is None:
        missing.add("redis")
    if importlib.util.find_spec("arcadedb_embedded") is None:
        missing.add("neo4j")
    return tuple(part for part in PARTS if part not in missing)


@asynccontextmanager
async def staged(
    settings: Mapping[str, str],
    *,
    parts: tuple[str, ...] = PARTS,
    without: tuple[str, ...] = (),
    seed: int = 1,
) -> AsyncIterator[Stage]:
    """A daemon that depends on `parts`, for as long as the block lasts."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mdstage-")))
        # As root, the database belongs to another user, who must be able to reach its folder.
        await asyncio.to_thread(folder.chmod, PASSABLE)
        ways: dict[str, Proxy] = {}
        environment = dict(settings)
        makers = {"postgres": _postgres, "redis": _redis, "neo4j": _neo4j, "embedder": _embedder}
        for part in parts:
            ways[part], own = await makers[part](stack, folder, seed)
            environment |= own
        daemon = await stack.enter_async_context(victim(environment, without=without))
        stage = Stage(daemon, ways)
        # A daemon stops at once when its database answers.
        stack.push_async_callback(stage.heal)
        yield stage


Made = tuple[Proxy, dict[str, str]]


async def _postgres(stack: AsyncExitStack, folder: Path, seed: int) -> Made:
    cluster = EmbeddedCluster(
        Home(folder / "database"), Database(system_root=str(folder / "clusters")), "stage",
        progress=lambda _: None, clock=SystemClock(),
    )  # fmt: skip
    stack.push_async_callback(cluster.stop)
    dsn = urlsplit(await cluster.start())
    place = dict(pair.split("=", 1) for pair in dsn.query.split("&"))["host"].replace("%2F", "/")
    way = await stack.enter_async_context(proxy(Path(place) / ".s.PGSQL.5432", seed=seed))
    url = f"postgresql://{dsn.username}@127.0.0.1:{way.port}{dsn.path}?sslmode=disable"
    return way, {"MEMDECK_DATABASE_URL": url}


async def _redis(stack: AsyncExitStack, folder: Path, seed: int) -> Made:
    server = RedisServer(folder)
    await asyncio.to_thread(server.start)
    stack.callback(server.kill)
    way = await stack.enter_async_context(proxy("127.0.0.1", server.port, seed=seed))
    return way, {"MEMORY_REDIS_URL": f"redis://127.0.0.1:{way.port}"}


async def _neo4j(stack: AsyncExitStack, folder: Path, seed: int) -> Made:
    root = folder / "bolt"
    root.mkdir(PRIVATE)
    server = bolt.BoltServer(root)
    stack.callback(server.kill)
    await asyncio.to_thread(server.start)
    way = await stack.enter_async_context(proxy("127.0.0.1", server.port, seed=seed))
    return way, {
        "MEMORY_GRAPH_URL": f"bolt://127.0.0.1:{way.port}",
        "MEMORY_GRAPH_USER": bolt.USER,
        "MEMORY_GRAPH_PASSWORD": quote(bolt.PASSWORD),
    }


async def _embedder(stack: AsyncExitStack, folder: Path, seed: int) -> Made:
    del folder
    server = await stack.enter_async_context(serving(EmbeddingServer(remember=False)))
    place = urlsplit(server.url)
    way = await stack.enter_async_context(proxy(place.hostname or "", place.port or 0, seed=seed))
    return way, {
        "MEMDECK_EMBEDDING_URL": f"http://127.0.0.1:{way.port}/v1",
        "MEMDECK_EMBEDDING_MODEL": "m",
        "MEMDECK_EMBEDDING_DIMS": str(server.dimensions),
    }
