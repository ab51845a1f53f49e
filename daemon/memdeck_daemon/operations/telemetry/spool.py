"""What Prometheus is told of the spool: writes that wait on the disk while the database does not take them.

Owns the four gauges; they are read when they are asked for.
"""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Depths = tuple[int, int, float, int]
"""Writes that wait, bytes on the disk, seconds since the oldest was acknowledged, what was set aside."""

FAMILIES = (
    ("memory_spool_depth", "Writes that wait on the disk for the database."),
    ("memory_spool_bytes", "Bytes of the spool's files."),
    ("memory_spool_oldest_seconds", "How long the oldest of them has waited, in seconds."),
    ("memory_spool_parked", "Writes set aside because the database refuses them, and damaged parts."),
)


class SpoolCollector(Collector):
    """The gauges; zeros until a spool is there."""

    def __init__(self) -> None:
        self.read: Callable[[], Depths] = lambda: (0, 0, 0.0, 0)

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        for (name, text), value in zip(FAMILIES, self.read(), strict=True):
            yield GaugeMetricFamily(name, text, value)
