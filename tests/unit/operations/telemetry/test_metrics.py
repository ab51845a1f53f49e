"""Prometheus metrics: there from boot on, under the names that dashboards rely on."""

from prometheus_client.parser import text_string_to_metric_families

from memdeck_common.wire.feed import Counts, Service
from memdeck_daemon.infra.resilience.breaker import Breaker
from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.infra.resilience.policies import REDIS
from memdeck_daemon.operations.telemetry.service import Telemetry
from tests.fakes.clock import ManualClock

GAUGES = (
    "mem0_service_up", "mem0_postgres_up", "mem0_memories_total", "mem0_users_total", "mem0_database_size_bytes",
    "mem0_database_connections",
)  # fmt: skip
HISTOGRAMS = ("mem0_api_response_time_seconds", "mem0_query_duration_seconds")
COUNTERS = ("mem0_api_requests_total", "mem0_api_errors_total")
OPERATIONS = {"search", "add", "get", "list", "update", "embed"}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(telemetry: Telemetry) -> Samples:
    """What Prometheus reads."""
    body, content_type = telemetry.metrics()
    assert content_type.startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def value(telemetry: Telemetry, name: str, **labels: str) -> float:
    return samples(telemetry)[name, frozenset(labels.items())]


def test_every_family_has_a_sample_from_boot_on(telemetry: Telemetry) -> None:
    """Dashboards and alerts must not find "no data" on a fresh daemon."""
    names = {name for name, _ in samples(telemetry)}
    assert set(GAUGES) <= names
    assert set(COUNTERS) <= names
    for histogram in HISTOGRAMS:
        assert {f"{histogram}_bucket", f"{histogram}_sum", f"{histogram}_count"} <= names
    labelled = {
        dict(labels).get("operation")
        for name, labels in samples(telemetry)
        if name == "mem0_api_errors_total"
    }
    assert labelled == OPERATIONS


def test_names_that_break_the_rules_have_twins(telemetry: Telemetry) -> None:
    """The same numbers under conforming names."""
    telemetry.metrics_registry.show_counts(Counts(memories=5, users=2))
    assert 5 == value(telemetry, "mem0_memories_total") == value(telemetry, "mem0_memories")
    assert 2 == value(telemetry, "mem0_users_total") == value(telemetry, "mem0_users")
    assert (
        0
        == value(telemetry, "memory_batch_size_histogram_count")
        == value(telemetry, "memory_batch_size_count")
    )


def test_requests_are_counted_by_operation_and_class(telemetry: Telemetry) -> None:
    """Only 5xx is an error of ours; a new operation appears when it is first called."""
    for status in (200, 204, 404, 503):
        telemetry.observe("search", 0.02, status, "r")
    telemetry.observe("purge", 0.3, 500, "r")
    for group, expected in (("2xx", 2), ("4xx", 1), ("5xx", 1)):
        assert expected == value(telemetry, "mem0_api_requests_total", operation="search", status=group)
    assert 1 == value(telemetry, "mem0_api_errors_total", operation="search")
    assert 1 == value(telemetry, "memory_operation_errors_total", operation="purge")
    assert 4 == value(telemetry, "mem0_api_response_time_seconds_count", operation="search")
    assert 4 == value(telemetry, "mem0_api_response_time_seconds_bucket", operation="search", le="0.025")


async def test_the_tick_shows_the_database(telemetry: Telemetry, clock: ManualClock) -> None:
    """Up or down, connections and their share, sizes of batches."""
    assert (0, 0) == (value(telemetry, "mem0_service_up"), value(telemetry, "mem0_postgres_up"))
    states = iter(["ok", "crit"])

    async def postgres() -> Service:
        state = next(states)
        return Service(name="postgres", state="ok" if state == "ok" else "crit", in_use=3, capacity=6)

    async def counts(_: Counts) -> Counts:
        return Counts(memories=9, database_bytes=1024)

    telemetry.watch([postgres], counts, lambda: [1, 7])
    telemetry.serving = True
    clock.advance(1)
    await telemetry.tick()
    assert (1, 1) == (value(telemetry, "mem0_service_up"), value(telemetry, "mem0_postgres_up"))
    assert 3 == value(telemetry, "mem0_database_connections")
    assert 0.5 == value(telemetry, "connection_pool_usage", pool="postgresql")
    assert (2, 8) == tuple(value(telemetry, f"memory_batch_size_{kind}") for kind in ("count", "sum"))
    assert 1024 == value(telemetry, "mem0_database_size_bytes")
    await telemetry.tick()
    assert 0 == value(telemetry, "mem0_postgres_up")


def test_exactly_one_mode_is_active(telemetry: Telemetry) -> None:
    """All are there from boot on."""
    shown = {
        dict(k[1])["mode"]: v for k, v in samples(telemetry).items() if k[0] == "degradation_mode_active"
    }
    assert ({"normal"}, 5) == ({mode for mode, active in shown.items() if active}, len(shown))
    telemetry.observe_query(0.002)
    assert 1 == value(telemetry, "mem0_query_duration_seconds_count")


def test_modes_and_breakers_are_shown_as_they_are(
    telemetry: Telemetry, modes: Modes, clock: ManualClock
) -> None:
    """The database's breaker before it is there; others when they are."""
    assert 0 == value(telemetry, "circuit_breaker_state", dependency="postgresql")
    breaker = Breaker("redis", REDIS, (OSError,), clock, lambda: 0.0)
    telemetry.watch([], _nothing, list, lambda: [breaker])
    breaker.open("gone")
    modes.database("away")
    assert 2 == value(telemetry, "circuit_breaker_state", dependency="redis")
    assert 1 == value(telemetry, "circuit_breaker_transitions_total", dependency="redis", state="open")
    assert 0 == value(telemetry, "circuit_breaker_calls_total", dependency="redis", outcome="failed")
    assert 1 == value(telemetry, "degradation_mode_active", mode="read-only")
    assert 1 == value(telemetry, "degradation_mode_transitions_total", mode="read-only")
    assert ("read-only", "read-only") == (telemetry.mode, telemetry.health().mode)


async def _nothing(_: Counts) -> Counts:
    return Counts()
