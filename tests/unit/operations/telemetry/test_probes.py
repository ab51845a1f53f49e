"""One look at each service: the words for its state, within a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from memdeck_common.errors import StoreUnavailable
from memdeck_common.wire.feed import Counts, Service
from memdeck_daemon.operations.telemetry import probes
from memdeck_daemon.operations.telemetry.latency import Latencies


class Usage:
    """Three of six."""

    in_use, maximum = 3, 6


@pytest.fixture
def latencies() -> Latencies:
    return Latencies(lambda: 1000.0)


async def up() -> float:
    return 500.0


async def gone() -> float:
    raise StoreUnavailable


async def silent() -> float:
    await asyncio.Event().wait()
    return 0.0


async def test_a_database_that_answers_is_ok(latencies: Latencies) -> None:
    """Since when, and how many connections it lends."""
    seen = await probes.postgres_probe(up, Usage, latencies)()
    assert ("ok", 500.0, 3, 6, "") == (seen.state, seen.up_since, seen.in_use, seen.capacity, seen.note)


async def test_a_slow_database_is_worth_a_look(latencies: Latencies) -> None:
    """By its calls of the last minute, if there were more than a few."""
    latencies.record("query", 0.2)
    latencies.close_slot()
    seen = await probes.postgres_probe(up, Usage, latencies)()
    assert ("ok", "") == (seen.state, seen.note)
    for _ in range(probes.FEW):
        latencies.record("query", 0.2)
    latencies.close_slot()
    seen = await probes.postgres_probe(up, Usage, latencies)()
    assert ("warn", "max 60") == (seen.state, seen.note)


async def test_a_database_that_takes_no_writes_is_worth_a_look(latencies: Latencies) -> None:
    """While it answers."""
    for ping, expected in ((up, ("warn", "read-only")), (gone, ("crit", "unreachable"))):
        seen = await probes.postgres_probe(ping, Usage, latencies, lambda: True)()
        assert expected == (seen.state, seen.note)


@pytest.mark.parametrize(("ping", "note"), [(gone, "unreachable"), (silent, "no answer")])
async def test_a_database_that_does_not_answer_is_critical(
    latencies: Latencies, ping: Callable[[], Awaitable[float]], note: str
) -> None:
    """Within a second, whatever it does."""
    seen = await asyncio.wait_for(probes.postgres_probe(ping, Usage, latencies)(), probes.DEADLINE + 2)
    assert ("crit", note, None) == (seen.state, seen.note, seen.up_since)


async def test_the_api_shows_the_slowest_of_what_agents_wait_for(latencies: Latencies) -> None:
    """And how many requests it works on."""
    latencies.record("search", 0.01)
    latencies.record("add", 0.1)
    latencies.record("query", 9.0)
    latencies.close_slot()
    seen = await probes.api_probe(latencies, 1.0, lambda: 4)()
    assert (4, 1.0) == (seen.in_use, seen.up_since)
    assert pytest.approx(100, rel=0.045) == seen.p95_ms
    assert "local" == (await probes.embedder_probe(latencies, 1.0)()).note


async def test_counts_are_those_of_the_database_and_this_machine(tmp_path: Path) -> None:
    """Names by kind; what has none is zero."""

    async def totals() -> tuple[int, dict[str, int], int]:
        return 9, {"user": 2, "run": 3}, 1024

    seen = await probes.counts(totals, tmp_path, Counts())
    assert (9, 2, 0, 3, 1024) == (seen.memories, seen.users, seen.agents, seen.runs, seen.database_bytes)
    assert 0 < seen.disk_free_bytes <= seen.disk_total_bytes
    assert seen.resident_bytes > 1_000_000


async def test_without_its_database_the_machine_is_looked_at_all_the_same(tmp_path: Path) -> None:
    """What only the database knows stands as it was."""

    async def totals() -> tuple[int, dict[str, int], int]:
        raise StoreUnavailable

    seen = await probes.counts(totals, tmp_path, Counts(memories=9))
    assert 9 == seen.memories
    assert 0 < seen.disk_free_bytes <= seen.disk_total_bytes
    assert seen.resident_bytes > 1_000_000


async def test_a_remote_embedder_takes_the_local_ones_row(latencies: Latencies) -> None:
    """With what it says of itself and the 95th percentile of its own requests."""
    latencies.record("embed_remote", 0.04)
    latencies.close_slot()

    async def remote() -> Service | None:
        return Service(name="embedder", state="warn", in_use=3, note="no answer · queue 3")

    shown = await probes.embedder_probe(latencies, 12.0, remote)()
    assert ("warn", 3, 12.0, "no answer · queue 3") == (shown.state, shown.in_use, shown.up_since, shown.note)
    assert shown.p95_ms == pytest.approx(40.0, rel=0.2)
