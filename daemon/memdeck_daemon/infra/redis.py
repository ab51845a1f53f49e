"""A Redis that may be away: every call ends within a second, and a failing server is left alone for a while.

Owns the client, its guard, and the forms that an address may have. Refuses to raise at callers who can do without:
`get` and `put` answer None and False. What is kept here can be lost at any moment; nothing depends on it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar
from urllib.parse import quote, unquote, urlsplit

import redis.asyncio as client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from memdeck_common.clock import Clock
from memdeck_common.errors import ConfigurationError, Unavailable
from memdeck_common.settings import Redis as Settings
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.infra.resilience.breaker import BreakerOpen
from memdeck_daemon.infra.resilience.bulkhead import Overloaded
from memdeck_daemon.infra.resilience.guard import Guard, Room
from memdeck_daemon.infra.resilience.policies import REDIS

T = TypeVar("T")

QUEUE: Final = 200
"""Callers who may wait for a connection; others go on without."""
ONCE_AGAIN: Final = 2
"""Times that a call may take its timeout: it is repeated once."""
PORT: Final = 6379
NAME: Final = "memdeckd"


class RedisAway(Unavailable):
    """Redis does not answer."""

    code = "redis_unavailable"
    part = "redis"


def address_of(url: str, token: str | None) -> str:
    """The address as redis-py takes it.

    `redis://` and `rediss://` pass, with the token as password where none stands in them. `https://HOST` is how Upstash
    shows its servers: there the same host speaks Redis over TLS, as `rediss://default:TOKEN@HOST:6379`.

    Raises:
        ConfigurationError: it has another form, or a token is missing. The message does not show it.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        raise _unreadable() from None
    if parts.scheme not in {"redis", "rediss", "https"} or not host:
        raise _unreadable()
    if ":" in host:
        host = f"[{host}]"
    if parts.scheme == "https":
        if not token:
            raise ConfigurationError("MEMORY_REDIS_URL is an https address: set MEMORY_REDIS_TOKEN too.")
        return f"rediss://default:{quote(token, safe='')}@{host}:{PORT}"
    user, password = unquote(parts.username or ""), unquote(parts.password or "") or token or ""
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if password else ""
    return f"{parts.scheme}://{login}{host}:{port}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _unreadable() -> ConfigurationError:
    return ConfigurationError(
        "MEMORY_REDIS_URL cannot be read: write redis://HOST:6379, rediss://… for TLS, or Upstash's https://… address."
    )


class Redis:
    """One server. Values are bytes; keys are text that says whose they are."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Nothing is connected before the first call.

        Raises:
            ConfigurationError: the address cannot be used.
        """
        pool = client.BlockingConnectionPool.from_url(
            address_of(settings.url or "", settings.token),
            max_connections=settings.pool_max,
            timeout=settings.timeout,
            socket_timeout=settings.timeout,
            socket_connect_timeout=settings.timeout,
            # redis-py's own default is ten retries, which keep a caller waiting for a minute.
            retry=Retry(NoBackoff(), 1),
            client_name=NAME,
        )
        self._pool, self._timeout = pool, settings.timeout
        self._client = client.Redis(connection_pool=pool)
        # One connection is left for the health look.
        room = Room(calls=settings.pool_max - 1, queue=QUEUE, patience=settings.timeout)
        # A pool that is closed under a call raises RuntimeErrors and worse; none of it may reach a request.
        faults = (RedisError, OSError, RuntimeError, ValueError)
        self.guard = Guard("redis", REDIS, faults, clock, room)

    @property
    def away(self) -> bool:
        """Whether its last answer was a failure."""
        return not self.guard.breaker.closed or self.guard.breaker.failures_in_a_row > 0

    @property
    def capacity(self) -> int:
        """Most connections."""
        return int(self._pool.max_connections)

    async def attempt(self, work: Callable[[client.Redis], Awaitable[T]]) -> T:
        """What `work` does with the client.

        Raises:
            RedisAway: it failed, is left alone, or has too much to do.
        """
        try:
            async with self.guard.call(), asyncio.timeout(deadline.left(ONCE_AGAIN * self._timeout)):
                return await work(self._client)
        except (BreakerOpen, Overloaded, RedisError, OSError, RuntimeError, ValueError):
            raise RedisAway from None

    async def get(self, key: str) -> bytes | None:
        """What is kept there; None also when the server is away."""
        with suppress(RedisAway):
            found = await self.attempt(lambda redis: redis.get(key))
            return found if isinstance(found, bytes) else None  # text only where somebody asked for decoding
        return None

    async def put(self, key: str, value: bytes, seconds: int) -> bool:
        """Keep a value for a while; whether that was done."""
        with suppress(RedisAway):
            return bool(await self.attempt(lambda redis: redis.set(key, value, ex=seconds)))
        return False

    async def ping(self) -> None:
        """Raises RedisAway when it does not answer; asks even one that is left alone, and ends that when it does."""
        try:
            with self.guard.breaker.probe():
                async with asyncio.timeout(ONCE_AGAIN * self._timeout):
                    await self._client.ping()
        except (RedisError, OSError, RuntimeError, ValueError):
            raise RedisAway from None

    async def close(self) -> None:
        """Close all connections."""
        with suppress(RedisError, OSError, TimeoutError):
            await self._client.aclose(close_connection_pool=True)
