"""Parts that hang or are slow, which costs more than parts that are gone: how long anybody waits, and how soon it heals."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from bench.faults.proxy import HANG, HEALTHY, Toxics
from memdeck_daemon.api.degradation import Part
from tests.integration.degradation.site import Answer, Site, site_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALICE = {"user_id": "alice"}
QUERY = {"query": "What does Alice drink?", "filters": ALICE, "threshold": 0}
SAID = {"messages": [{"role": "user", "content": "Alice drinks tea."}], **ALICE, "infer": False}
NUMBER = itertools.count()
IN_FLIGHT = 45
READS = 120
QUICK = 0.5
"""Seconds for an answer that waits for nobody; generous, because the machine is shared."""
SLOW = Toxics(latency=0.35)
"""In each direction."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    # A budget in which searches are still in flight when the reads are measured.
    folder = tmp_path_factory.mktemp("stores")
    async with site_of(folder, MEMDECK_EMBEDDING_QUERY_BUDGET="4") as one:
        for path, body in (("/memories", SAID), ("/search", QUERY)):
            assert 200 == (await one.call("POST", path, body)).status
        yield one


async def new_search(site: Site) -> Answer:
    return await site.call("POST", "/search", {**QUERY, "query": f"Who asks question {next(NUMBER)}?"})


async def known_search(site: Site) -> Answer:
    return await site.call("POST", "/search", QUERY)


async def timed(work: Awaitable[Answer]) -> tuple[Answer, float]:
    begun = time.monotonic()
    return await work, time.monotonic() - begun


async def mode_is(site: Site, mode: str, seconds: float) -> None:
    async def shown() -> bool:
        return bool((await site.call("GET", "/health")).headers["Memdeck-Mode"] == mode)

    await eventually(shown, timeout=seconds, what=f"mode {mode}")


async def slowest_of_hundred(site: Site, reads: int = READS) -> float:
    """The 99th percentile of reads that have nothing to do with any search, in seconds."""
    read = ("GET", "/v1/memories/?user_id=alice")
    seconds = sorted([(await timed(site.call(*read)))[1] for _ in range(reads)])
    return seconds[int(reads * 0.99) - 1]


async def compared(site: Site, beside: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """That percentile alone, and while something goes on beside it; the best of three, for the machine is shared."""
    pairs = []
    for _ in range(3):
        alone = await slowest_of_hundred(site)
        await beside()
        pairs.append((alone, await slowest_of_hundred(site)))
        if pairs[-1][1] <= 2 * alone:
            break
    return min(pairs, key=lambda pair: pair[1] / pair[0])


async def test_a_hanging_embedder_leaves_unrelated_reads_alone(site: Site) -> None:
    """45 searches wait for it; nobody else does, and in the end the local space answers them."""
    searches: list[asyncio.Task[Answer]] = []

    async def hang() -> None:
        await asyncio.gather(*searches)
        await mode_is(site, "normal", 60)
        await site.set("embedder", HANG)
        searches[:] = [asyncio.create_task(new_search(site)) for _ in range(IN_FLIGHT)]

    async def hang_once_more() -> None:
        await site.set("embedder", HEALTHY)
        await hang()

    alone, beside = await compared(site, hang_once_more)
    in_flight = sum(not search.done() for search in searches)
    answers = await asyncio.gather(*searches)
    await site.set("embedder", HEALTHY)
    assert {(200, frozenset({"embedder"}))} == {
        (answer.status, frozenset(answer.degraded)) for answer in answers
    }
    assert IN_FLIGHT == in_flight
    assert beside <= 2 * alone, f"p99 {beside * 1e3:.1f} ms beside them, {alone * 1e3:.1f} ms alone"


async def test_the_measurement_is_not_blind(site: Site) -> None:
    """The control: the database is not an unrelated part, so thirty milliseconds on the way to it are seen."""
    alone = await slowest_of_hundred(site, 30)
    await site.set("postgres", Toxics(latency=0.015 + alone))
    beside = await slowest_of_hundred(site, 30)
    await site.set("postgres", HEALTHY)
    assert beside > 2 * alone


async def test_a_hanging_database_is_known_within_seconds(site: Site) -> None:
    """Whoever asked is told, those who come after do not wait, and it heals within a second or two."""
    await mode_is(site, "normal", 60)
    await site.set("postgres", HANG)
    early = [asyncio.create_task(timed(search(site))) for search in (known_search, new_search)]
    early.append(asyncio.create_task(timed(site.call("POST", "/memories", SAID))))
    await mode_is(site, "cache-only", 10)
    for work, status, cache in (
        (known_search(site), 200, "unverified"),
        (new_search(site), 503, None),
        (site.call("POST", "/memories", {**SAID, "user_id": "bob"}), 202, None),
    ):
        answer, seconds = await timed(work)
        assert (status, cache, {"postgres"}) == (
            answer.status,
            answer.headers.get("Memdeck-Cache"),
            answer.degraded,
        )
        assert seconds < QUICK
    told = await asyncio.gather(*early)
    assert max(seconds for _, seconds in told) < 20
    assert {200, 503, 202} >= {answer.status for answer, _ in told}
    await site.set("postgres", HEALTHY)
    begun = time.monotonic()
    await mode_is(site, "normal", 15)
    assert (await new_search(site)).status == 200
    assert time.monotonic() - begun < 12, "the pulse may be in the middle of a connection that hangs"


@pytest.mark.parametrize(("part", "degraded"), [("redis", {"redis"}), ("neo4j", set[str]())])
async def test_a_part_that_hangs_and_can_be_done_without_costs_little(
    site: Site, part: Part, degraded: set[str]
) -> None:
    """Its timeouts at first, then nothing."""
    await mode_is(site, "normal", 60)
    await site.set(part, HANG)

    async def left_alone() -> bool:
        answer, seconds = await timed(new_search(site))
        assert 200 == answer.status
        assert seconds < 2
        return seconds < QUICK and answer.degraded == degraded

    await eventually(left_alone, what=f"searches that do not wait for {part}")
    await site.set(part, HEALTHY)

    async def healed() -> bool:
        return (await new_search(site)).degraded == set()

    await eventually(healed, timeout=10, what=f"searches with {part}")


async def test_a_slow_database_is_not_an_absent_one(site: Site) -> None:
    """New searches are answered, known ones come from what is at hand or from the cache."""
    await mode_is(site, "normal", 60)
    await site.set("postgres", SLOW)
    answer, _ = await timed(new_search(site))
    assert 200 == answer.status
    await mode_is(site, "essential-only", 20)
    asked = {**QUERY, "query": "Does Alice drink tea?", "explain": True}
    answer, seconds = await timed(site.call("POST", "/search", asked))
    assert (200, {"history"}) == (answer.status, answer.degraded)
    assert seconds < QUICK
    await site.set("postgres", HEALTHY)
