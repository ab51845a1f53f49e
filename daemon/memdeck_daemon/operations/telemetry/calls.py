"""Calls by operation, counted for Prometheus.

Owns the families that every request touches. The client library's histograms take a tenth of a cached search's time
(locks, labels, a walk through the buckets); these are plain numbers, which become families when somebody asks.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

ERROR = 500


@dataclass(slots=True)
class _Calls:
    """The calls of one operation."""

    buckets: list[int]
    seconds: float = 0.0
    by_class: dict[int, int] = field(default_factory=lambda: {2: 0})
    """By the first digit of the status."""


class CallCollector:
    """Times and outcomes of calls; register it where it is to be exported."""

    def __init__(self, operations: Iterable[str], bounds: Sequence[float]) -> None:
        """`operations` have their samples from boot on; `bounds`: upper ends of the buckets in seconds."""
        self._bounds = tuple(bounds)
        self._calls = {operation: self._none() for operation in operations}

    def _none(self) -> _Calls:
        return _Calls([0] * (len(self._bounds) + 1))

    def observe(self, operation: str, seconds: float, status: int) -> None:
        """A request was answered."""
        calls = self._calls.get(operation)
        if calls is None:
            calls = self._calls[operation] = self._none()
        calls.buckets[bisect_left(self._bounds, seconds)] += 1
        calls.seconds += seconds
        kind = status // 100
        calls.by_class[kind] = calls.by_class.get(kind, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """The families, as the registry wants them."""
        times = [
            HistogramMetricFamily(
                "mem0_api_response_time_seconds", "Time to answer a request.", labels=["operation"]
            ),
            HistogramMetricFamily(
                "memory_operation_duration_seconds", "Time that an operation took.", labels=["operation"]
            ),
        ]
        requests = CounterMetricFamily(
            "mem0_api_requests", "Requests answered, by status class.", labels=["operation", "status"]
        )
        errors = [
            CounterMetricFamily("mem0_api_errors", "Requests answered with 5xx.", labels=["operation"]),
            CounterMetricFamily("memory_operation_errors", "Operations that failed.", labels=["operation"]),
        ]
        for operation, calls in self._calls.items():
            buckets = self._cumulated(calls)
            for family in times:
                family.add_metric([operation], buckets, calls.seconds)
            for kind, count in calls.by_class.items():
                requests.add_metric([operation, f"{kind}xx"], count)
            for counter in errors:
                counter.add_metric([operation], calls.by_class.get(ERROR // 100, 0))
        yield from times
        yield requests
        yield from errors

    def _cumulated(self, calls: _Calls) -> list[tuple[str, float]]:
        total, buckets = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), calls.buckets, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets
