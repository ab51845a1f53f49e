"""Prometheus metrics under the names that dashboards rely on.

Owns the registry. Every family exports a sample from boot on. Three contract names break Prometheus' naming rules
(gauges ending in `_total`, a histogram called so); each has a conforming twin beside it.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from memdeck_common.wire.feed import Counts
from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.operations.telemetry.calls import CallCollector
from memdeck_daemon.operations.telemetry.resilience import ResilienceCollector
from memdeck_daemon.operations.telemetry.spool import SpoolCollector

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0)
LAGS: Final = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0)
SIZES: Final = (1, 2, 5, 10, 20, 50)


class Metrics:
    """All families of this daemon."""

    def __init__(self, operations: Iterable[str], modes: Modes) -> None:
        """`operations` have their samples from boot on; others appear when they are first called."""
        self.registry = CollectorRegistry()
        reg = self.registry
        self.service_up = Gauge("mem0_service_up", "1 while the API serves.", registry=reg)
        self.postgres_up = Gauge("mem0_postgres_up", "1 while the database answers.", registry=reg)
        self.calls = CallCollector(operations, SECONDS)
        reg.register(self.calls)
        self.resilience = ResilienceCollector(modes)
        reg.register(self.resilience)
        self.spool = SpoolCollector()
        reg.register(self.spool)
        self.query_duration = Histogram(
            "mem0_query_duration_seconds",
            "Time that a request held a database connection.",
            registry=reg,
            buckets=SECONDS,
        )
        self.memories = [
            Gauge(name, "Memories stored.", registry=reg) for name in ("mem0_memories_total", "mem0_memories")
        ]
        self.users = [
            Gauge(name, "Users with memories.", registry=reg) for name in ("mem0_users_total", "mem0_users")
        ]
        self.database_size = Gauge("mem0_database_size_bytes", "Size of the database.", registry=reg)
        self.connections = Gauge("mem0_database_connections", "Open database connections.", registry=reg)
        self.batch_sizes = [
            Histogram(name, "Adds that shared a transaction.", registry=reg, buckets=SIZES)
            for name in ("memory_batch_size_histogram", "memory_batch_size")
        ]
        self.pool_usage = Gauge(
            "connection_pool_usage", "Share of connections in use, 0 to 1.", ["pool"], registry=reg
        )
        self.cache_hit_ratio = Gauge(
            "memory_cache_hit_ratio",
            "Share of searches of the last day that were answered from a cache, 0 to 1.",
            registry=reg,
        )
        self.cache_entries = Gauge("memory_cache_entries", "Answers kept in this process.", registry=reg)
        self.cache_bytes = Gauge("memory_cache_bytes", "Memory of the answers kept.", registry=reg)
        self.loop_lag = Histogram(
            "memdeck_event_loop_lag_seconds",
            "How late a timer of the event loop rang.",
            registry=reg,
            buckets=LAGS,
        )
        self.tasks = Gauge("memdeck_tasks", "Tasks of the event loop.", registry=reg)
        self.pool_usage.labels("postgresql")

    def show_counts(self, counts: Counts) -> None:
        """How much there is."""
        for gauge in self.memories:
            gauge.set(counts.memories)
        for gauge in self.users:
            gauge.set(counts.users)
        self.database_size.set(counts.database_bytes)

    def exposition(self) -> tuple[bytes, str]:
        """The text format and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
