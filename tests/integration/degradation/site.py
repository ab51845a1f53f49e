"""A daemon with all its stores outside, each behind a proxy that may refuse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from bench.faults.proxy import HEALTHY, Proxy, Toxics, proxy
from memdeck_daemon.api.degradation import Down, Part
from tests.fakes.embedding_server import serving
from tests.support import bolt
from tests.support.daemon import RunningDaemon
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.waiting import eventually

SERVICE = {"postgres": "crit", "redis": "warn", "neo4j": "warn"}
"""The state that health shows for a store that is away."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Any

    @property
    def degraded(self) -> set[str]:
        """What it was made without."""
        return {name for name in self.headers["Memdeck-Degraded"].split(", ") if name}


@dataclass(slots=True)
class Site:
    """The daemon and what leads to its stores."""

    daemon: RunningDaemon
    session: aiohttp.ClientSession
    proxies: dict[Part, Proxy]
    down: Down = field(default_factory=frozenset)

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        """One request of the administrator."""
        async with self.session.request(method, self.daemon.url + path, json=body) as answer:
            json = answer.content_type == "application/json"
            return Answer(answer.status, await (answer.json() if json else answer.text()), answer.headers)

    async def set(self, part: Part, toxics: Toxics) -> None:
        """Misbehave between the daemon and a part."""
        await self.proxies[part].set(toxics)

    async def take_away(self, down: Down, toxics: Toxics) -> None:
        """Have these parts away and all others back, and wait until health says so."""
        real = {part for part in down if part in self.proxies}
        if real == {part for part in self.down if part in self.proxies}:
            return
        for part in self.proxies:
            await self.set(part, toxics if part in real else HEALTHY)
        self.down = down
        await eventually(self._seen, what=f"health without {sorted(real)}")

    async def _seen(self) -> bool:
        health = (await self.call("GET", "/health")).body
        states = {service["name"]: service["state"] for service in health["services"]}
        return all((states[part] == away) == (part in self.down) for part, away in SERVICE.items())


@asynccontextmanager
async def site_of(folder: Path, **environment: str) -> AsyncIterator[Site]:
    """The whole site; `environment` are more settings."""
    async with AsyncExitStack() as stack:
        postgres, redis, graph = PostgresServer(), RedisServer(folder), bolt.BoltServer(folder)
        for end in (postgres.dispose, redis.kill, graph.kill):
            stack.callback(end)
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in (postgres, redis, graph)))
        embedder = await stack.enter_async_context(serving())
        ports: dict[Part, int] = {
            "postgres": postgres.port, "redis": redis.port, "neo4j": graph.port,
            "embedder": urlsplit(embedder.url).port or 0,
        }  # fmt: skip
        proxies = {
            part: await stack.enter_async_context(proxy("127.0.0.1", port)) for part, port in ports.items()
        }
        daemon = RunningDaemon(
            environment={
                "MEMDECK_DATABASE_URL": postgres.url(port=proxies["postgres"].port),
                "MEMORY_REDIS_URL": f"redis://127.0.0.1:{proxies['redis'].port}",
                "MEMORY_GRAPH_URL": f"bolt://127.0.0.1:{proxies['neo4j'].port}",
                "MEMORY_GRAPH_USER": bolt.USER,
                "MEMORY_GRAPH_PASSWORD": bolt.PASSWORD,
                "MEMDECK_EMBEDDING_URL": f"http://127.0.0.1:{proxies['embedder'].port}/v1",
                "MEMDECK_EMBEDDING_MODEL": "m",
                **environment,
            }
        )
        # It waits for its database to close the connections, so it goes while that is still there.
        stack.push_async_callback(asyncio.to_thread, daemon.dispose)
        await asyncio.to_thread(daemon.start)
        session = aiohttp.ClientSession(headers={"X-API-Key": daemon.key})
        yield Site(daemon, await stack.enter_async_context(session), proxies)
