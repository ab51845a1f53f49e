"""Latencies of the last minutes, second by second, as mergeable histograms.

Owns the ring of slots. Recording costs a dictionary update; percentiles are computed by who looks.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from memdeck_common.wire.feed import Slot
from memdeck_common.wire.latency import Histogram, bucket_of, from_counts, merged, percentile_ms

KEPT: Final = 300
"""Seconds."""


@dataclass(slots=True)
class Latencies:
    """Calls by operation and second."""

    now: Callable[[], float]
    """Epoch seconds."""
    slots: deque[Slot] = field(default_factory=lambda: deque(maxlen=KEPT))
    closed: int = 0
    """Slots with calls since the start; those kept are the last of them."""
    _counts: dict[str, dict[int, int]] = field(default_factory=dict)
    _errors: dict[str, int] = field(default_factory=dict)

    def record(self, operation: str, seconds: float, *, failed: bool = False) -> None:
        """One call that just ended."""
        counts = self._counts.setdefault(operation, {})
        bucket = bucket_of(seconds * 1e3)
        counts[bucket] = counts.get(bucket, 0) + 1
        if failed:
            self._errors[operation] = self._errors.get(operation, 0) + 1

    def close_slot(self) -> Slot:
        """The calls since the last time, kept if there were any."""
        ops = {name: from_counts(counts) for name, counts in self._counts.items()}
        slot = Slot(at=int(self.now()), ops=ops, errors=self._errors)
        self._counts, self._errors = {}, {}
        if ops:
            self.slots.append(slot)
            self.closed += 1
        return slot

    def after(self, closed: int) -> list[Slot]:
        """The kept slots that came after so many."""
        return list(self.slots)[max(0, len(self.slots) - (self.closed - closed)) :]

    def p95_ms(self, operation: str, seconds: int = 60) -> float | None:
        """95th percentile of the last `seconds`, in ms; None without calls."""
        return percentile_ms(self._recent(operation, seconds), 0.95)

    def calls(self, operation: str, seconds: int = 60) -> int:
        """How many there were in the last `seconds`."""
        return self._recent(operation, seconds).count

    def _recent(self, operation: str, seconds: int) -> Histogram:
        since = self.now() - seconds
        return merged(
            slot.ops[operation] for slot in self.slots if slot.at >= since and operation in slot.ops
        )
