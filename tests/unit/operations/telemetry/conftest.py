from datetime import UTC, datetime

import pytest

from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.operations.telemetry.service import Boot, Telemetry
from tests.fakes.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 20, 9, 30, tzinfo=UTC))


@pytest.fixture
def modes(clock: ManualClock) -> Modes:
    return Modes(clock)


@pytest.fixture
def telemetry(clock: ManualClock, modes: Modes) -> Telemetry:
    """Nothing to watch yet."""
    return Telemetry(Boot("test", "boot1", clock.now()), clock.now, modes)
