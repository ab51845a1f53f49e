"""Kept answers of two daemons on one database, with a Redis between them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bench.staleness import Interleaving, two_daemons
from tests.support.redis import RedisServer
from tests.support.waiting import eventually

OPERATIONS = 3_000


@dataclass(slots=True)
class Daemon:
    """One of them, as a client sees it."""

    url: str
    key: str = field(repr=False)
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, body: Any = None) -> tuple[Any, Any]:
        """Body and headers of an answer that is 200."""
        headers = {"X-API-Key": self.key}
        async with self.session.request(method, self.url + path, json=body, headers=headers) as answer:
            assert 200 == answer.status, await answer.text()
            return await answer.json(), answer.headers

    async def search(self, user: str, **rest: Any) -> tuple[list[str], str | None, str]:
        """The texts found, whether they were kept, and what the answer had to do without."""
        body = {"query": "Which tea?", "filters": {"user_id": user}, "threshold": 0, **rest}
        found, headers = await self.call("POST", "/search", body)
        texts = [item["memory"] for item in found["results"]]
        return texts, headers.get("Memdeck-Cache"), headers["Memdeck-Degraded"]

    async def add(self, user: str, text: str) -> None:
        """A memory."""
        await self.call(
            "POST",
            "/memories",
            {"messages": [{"role": "user", "content": text}], "user_id": user, "infer": False},
        )

    async def state_of(self, service: str) -> tuple[str, list[str]]:
        """State of a service and what health says is degraded."""
        health, _ = await self.call("GET", "/health")
        return {row["name"]: row["state"] for row in health["services"]}[service], health["degraded"]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server.start()
    server.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(redis: RedisServer) -> AsyncIterator[list[tuple[str, str]]]:
    async with two_daemons(control=False, redis=redis.url) as addresses:
        yield addresses


@pytest_asyncio.fixture(loop_scope="module")
async def daemons(pair: list[tuple[str, str]]) -> AsyncIterator[list[Daemon]]:
    async with aiohttp.ClientSession() as session:
        yield [Daemon(url, key, session) for url, key in pair]


@pytest.fixture
def user() -> str:
    return f"tea_{uuid.uuid4().hex[:8]}"


async def test_no_answer_is_older_than_the_last_write(pair: list[tuple[str, str]]) -> None:
    """Reads and writes interleaved over both; most reads are answered from a cache."""
    counts = await Interleaving(pair, users=20).run(OPERATIONS, seconds=60)
    assert 0 == counts.stale
    assert not counts.errors
    assert counts.hits > counts.reads / 2


async def test_what_one_has_answered_the_other_finds_in_redis(daemons: list[Daemon], user: str) -> None:
    """Until somebody writes."""
    one, other = daemons
    await one.add(user, "Green tea in the morning.")
    assert (["Green tea in the morning."], "miss", "") == await one.search(user)
    # It is sent to Redis behind the answer.
    await eventually(lambda: is_hit(other, user), timeout=5)
    await other.add(user, "Black tea in the evening.")
    for daemon in daemons:
        assert 2 == len((await daemon.search(user))[0])


async def is_hit(daemon: Daemon, user: str) -> bool:
    """Whether a question that this daemon never heard is answered from what the other keeps."""
    return "hit" == (await daemon.search(user))[1]


async def test_words_and_addresses_do_not_mix(daemons: list[Daemon], user: str) -> None:
    """Another question, number of hits or dialect is another answer; explained ones are always made."""
    one = daemons[0]
    await one.add(user, "Green tea in the morning.")
    assert "miss" == (await one.search(user))[1]
    assert "hit" == (await one.search(user))[1]
    assert "hit" == (await one.search(user, query=" Which  tea? "))[1]
    assert "miss" == (await one.search(user, top_k=3))[1]
    assert "miss" == (await one.search(user, show_expired=True))[1]
    for _ in range(2):
        assert (await one.search(user, explain=True))[1] is None
    body = {"query": "Which tea?", "filters": {"user_id": user}, "threshold": 0}
    _, first = await one.call("POST", "/v3/memories/search/", body)
    wrapped, second = await one.call("POST", "/v1/memories/search/", {**body, "output_format": "v1.1"})
    listed, third = await one.call("POST", "/v1/memories/search/", body)
    assert ["miss", "hit", "miss"] == [headers["Memdeck-Cache"] for headers in (first, second, third)]
    assert wrapped["results"] == listed
    _, headers = await one.call("POST", "/v1/agents/a/query_memory", {"query": "Which tea?", "user_id": user})
    assert "miss" == headers["Memdeck-Cache"]


async def test_an_answer_depends_on_every_name_of_its_filter(daemons: list[Daemon], user: str) -> None:
    """A write to one of two users makes the answer for both new."""
    one, other = daemons
    both = {"OR": [{"user_id": user}, {"user_id": f"{user}_2"}]}
    await one.add(user, "Green tea.")
    assert "miss" == (await one.search(user, filters=both))[1]
    assert "hit" == (await one.search(user, filters=both))[1]
    await other.add(f"{user}_2", "Black tea.")
    texts, source, _ = await one.search(user, filters=both)
    assert ({"Green tea.", "Black tea."}, "miss") == (set(texts), source)


async def test_everything_is_never_kept(daemons: list[Daemon]) -> None:
    """Nothing says when it changes."""
    for _ in range(2):
        assert (await daemons[0].search("", filters={"user_id": "*"}))[1] is None


async def test_without_redis_answers_go_on_marked(
    daemons: list[Daemon], user: str, redis: RedisServer
) -> None:
    """It is bypassed, shown, and used again when it is back; the order of tests leaves it running."""
    one = daemons[0]
    await one.add(user, "Green tea.")
    await asyncio.to_thread(redis.kill)
    try:
        await eventually(lambda: marked(one, user), timeout=10)
        assert "hit" == (await one.search(user))[1]
        await eventually(lambda: shows(one, "warn", ["redis"]), timeout=10)
    finally:
        await asyncio.to_thread(redis.start)
    await eventually(lambda: shows(one, "ok", []), timeout=10)
    assert ("miss", "") == (await one.search(user, top_k=7))[1:]


async def marked(daemon: Daemon, user: str) -> bool:
    """Whether a new question's answer says that Redis was missing."""
    await daemon.search(user)
    texts, source, without = await daemon.search(user, top_k=1 + uuid.uuid4().int % 900)
    return (["Green tea."], "miss", "redis") == (texts, source, without)


async def shows(daemon: Daemon, state: str, degraded: list[str]) -> bool:
    """Whether health tells that of Redis."""
    return (state, degraded) == await daemon.state_of("redis")


async def test_without_the_check_answers_are_stale() -> None:
    """The control: the search for stale answers is not blind."""
    async with two_daemons(control=True) as pair:
        assert 0 < (await Interleaving(pair, users=10).run(1_000, seconds=60)).stale
