"""Modes and breakers as Prometheus families, read from where they are when somebody asks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from memdeck_daemon.infra.resilience.breaker import Breaker, State
from memdeck_daemon.infra.resilience.modes import MODES, Modes

STATES: Final[dict[State, int]] = {"closed": 0, "half-open": 1, "open": 2}
EVERY_DAEMON: Final = "postgresql"
"""The dependency that has samples before its breaker is there."""


class ResilienceCollector:
    """Register it where it is to be exported."""

    def __init__(self, modes: Modes) -> None:
        self._modes = modes
        self.breakers: Callable[[], Sequence[Breaker]] = list
        """The breakers that there are; dependencies come and go."""

    def collect(self) -> Iterator[Metric]:
        """The families, as the registry wants them."""
        yield from self._mode()
        yield from self._breakers()

    def _mode(self) -> Iterator[Metric]:
        current = self._modes.current
        active = GaugeMetricFamily(
            "degradation_mode_active", "1 for the mode that the daemon is in.", labels=["mode"]
        )
        entered = CounterMetricFamily(
            "degradation_mode_transitions", "How often a mode was entered.", labels=["mode"]
        )
        for mode in MODES:
            active.add_metric([mode], mode == current)
            entered.add_metric([mode], self._modes.transitions[mode])
        yield active
        yield entered

    def _breakers(self) -> Iterator[Metric]:
        state = GaugeMetricFamily(
            "circuit_breaker_state", "0 closed, 1 half-open, 2 open.", labels=["dependency"]
        )
        opened = CounterMetricFamily(
            "circuit_breaker_transitions", "How often a state was entered.", labels=["dependency", "state"]
        )
        calls = CounterMetricFamily(
            "circuit_breaker_calls", "Calls by what became of them.", labels=["dependency", "outcome"]
        )
        breakers = {breaker.name: breaker for breaker in self.breakers()}
        for name in dict.fromkeys((EVERY_DAEMON, *breakers)):
            breaker = breakers.get(name)
            state.add_metric([name], STATES[breaker.state] if breaker else 0)
            for entered in STATES:
                opened.add_metric([name, entered], breaker.counts.transitions[entered] if breaker else 0)
            for outcome in ("succeeded", "failed", "slow", "refused"):
                calls.add_metric([name, outcome], getattr(breaker.counts, outcome) if breaker else 0)
        yield state
        yield opened
        yield calls
