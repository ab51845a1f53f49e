"""A Redis: the forms of its address, and how it is left alone when it fails."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from memdeck_common.errors import ConfigurationError
from memdeck_common.settings import Redis as Settings
from memdeck_daemon.infra.redis import Redis, RedisAway, address_of
from memdeck_daemon.infra.resilience.policies import REDIS
from tests.fakes.clock import ManualClock


@pytest.mark.parametrize(
    ("url", "token", "expected"),
    [
        ("redis://localhost:6379", None, "redis://localhost:6379"),
        ("redis://localhost", "secret", "redis://:secret@localhost:6379"),
        ("rediss://user:p%40ss@cache.example:7000/0", "unused", "rediss://user:p%40ss@cache.example:7000/0"),
        ("https://eu1-tame-cat-1.upstash.io", "A/b+c=", "rediss://default:A%2Fb%2Bc%3D@eu1-tame-cat-1.upstash.io:6379"),
        ("https://cache.example:443/", "t", "rediss://default:t@cache.example:6379"),
        ("redis://[::1]:7000", None, "redis://[::1]:7000"),
    ],
)  # fmt: skip
def test_understood(url: str, token: str | None, expected: str) -> None:
    """As redis-py takes it."""
    assert expected == address_of(url, token)


@pytest.mark.parametrize("url", ["", "localhost:6379", "http://cache.example", "redis://", "redis://h:port"])
def test_refused_without_showing_it(url: str) -> None:
    """The variable is named; a password in the address is not."""
    with pytest.raises(ConfigurationError, match="MEMORY_REDIS_URL") as caught:
        address_of(url, "s3cret")
    assert "s3cret" not in str(caught.value)


def test_upstash_needs_its_token() -> None:
    """The https address holds none."""
    with pytest.raises(ConfigurationError, match="MEMORY_REDIS_TOKEN"):
        address_of("https://cache.example", None)


async def test_a_server_that_fails_is_left_alone_and_then_tried_by_one() -> None:
    """Nobody waits for it meanwhile; one answer brings it back for all."""
    clock, asked = ManualClock(), 0
    redis = Redis(Settings(url="redis://127.0.0.1:1"), clock)
    breaker = redis.guard.breaker

    async def fail(_: Any) -> bytes:
        nonlocal asked
        asked += 1
        if "half-open" == breaker.state:  # those who ask at the moment of the trial are not let in
            assert await refused(redis, answer)
        raise ConnectionError

    async def answer(_: Any) -> bytes:
        return b"well"

    assert [True] * 4 == [await refused(redis, fail) for _ in range(4)]
    assert (REDIS.consecutive, True) == (asked, redis.away)
    clock.advance(breaker.retry_after)
    assert await refused(redis, fail)
    clock.advance(breaker.retry_after)
    assert b"well" == await redis.attempt(answer)
    assert not redis.away
    await redis.close()


async def refused(redis: Redis, work: Callable[[Any], Awaitable[bytes]]) -> bool:
    """Whether it is away for this caller."""
    try:
        await redis.attempt(work)
    except RedisAway:
        return True
    return False
