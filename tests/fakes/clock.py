"""A clock that a test moves."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """Stands still until it is told to go on."""

    def __init__(self, at: datetime = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)) -> None:
        self._now, self._monotonic = at, 1000.0

    def now(self) -> datetime:
        """The instant."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
