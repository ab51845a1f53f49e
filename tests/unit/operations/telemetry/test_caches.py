"""The hit ratio over a day, and counts as Prometheus sees them."""

from memdeck_daemon.infra.caching.tiered import Figures
from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.operations.telemetry.caches import Window
from memdeck_daemon.operations.telemetry.metrics import Metrics
from tests.fakes.clock import ManualClock


def test_a_day_is_looked_at() -> None:
    """What was asked before it no longer counts."""
    clock = ManualClock()
    window = Window(clock.monotonic)
    assert window.ratio(Figures()) is None
    assert 0.8 == window.ratio(Figures(l1=7, l2=1, made=2))
    for _ in range(24 * 60 + 1):
        clock.advance(60)
        assert window.ratio(Figures(l1=7, l2=1, made=2)) in {0.8, None}
    assert window.ratio(Figures(l1=7, l2=1, made=2)) is None
    assert 0.5 == window.ratio(Figures(l1=8, l2=1, made=2, joined=1))


def test_calls_are_exported_under_their_contract_names() -> None:
    """Cumulated buckets, sums and status classes; zeros from boot on."""
    metrics = Metrics(["search"], Modes(ManualClock()))
    before = metrics.exposition()[0].decode()
    for name in ("mem0_api_errors_total", "memory_operation_errors_total"):
        assert f'{name}{{operation="search"}} 0.0' in before
    assert 'mem0_api_requests_total{operation="search",status="2xx"} 0.0' in before
    assert "memory_cache_hit_ratio 0.0" in before
    metrics.calls.observe("search", 0.001, 200)
    metrics.calls.observe("search", 0.0011, 503)
    metrics.calls.observe("add", 100.0, 200)
    after = metrics.exposition()[0].decode()
    for family in ("mem0_api_response_time_seconds", "memory_operation_duration_seconds"):
        assert f'{family}_bucket{{le="0.001",operation="search"}} 1.0' in after
        assert f'{family}_bucket{{le="0.0025",operation="search"}} 2.0' in after
        assert f'{family}_bucket{{le="+Inf",operation="add"}} 1.0' in after
        assert f'{family}_count{{operation="search"}} 2.0' in after
    assert 'mem0_api_errors_total{operation="search"} 1.0' in after
    assert 'mem0_api_requests_total{operation="search",status="5xx"} 1.0' in after
