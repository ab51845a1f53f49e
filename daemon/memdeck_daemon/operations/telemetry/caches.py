"""One look at the caches: how often they answer, and what they hold.

Owns the window of the hit ratio: a day, in steps of a minute.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from memdeck_common.wire.feed import Service
from memdeck_daemon.infra.caching.tiered import Figures, Tiered
from memdeck_daemon.operations.telemetry.metrics import Metrics

MINUTES: Final = 24 * 60
MEGABYTE: Final = 1024 * 1024


class Window:
    """Hits and questions of the last day."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._marks: deque[tuple[int, int, int]] = deque([(-1, 0, 0)], maxlen=MINUTES + 1)

    def ratio(self, figures: Figures) -> float | None:
        """The share of hits; None without questions."""
        minute = int(self._monotonic() // 60)
        hits = figures.l1 + figures.l2
        asked = hits + figures.made + figures.joined
        while len(self._marks) > 1 and self._marks[1][0] <= minute - MINUTES:
            self._marks.popleft()
        _, hits_before, asked_before = self._marks[0]
        if self._marks[-1][0] != minute:
            self._marks.append((minute, hits, asked))
        return (hits - hits_before) / (asked - asked_before) if asked > asked_before else None


def cache_probe(
    tiers: Tiered, metrics: Metrics, monotonic: Callable[[], float]
) -> Callable[[], Awaitable[Service]]:
    """The answers that are kept; a look also brings the metrics up to date."""
    window = Window(monotonic)

    async def cache() -> Service:
        ratio, entries, size = window.ratio(tiers.figures), len(tiers.l1), tiers.l1.nbytes
        metrics.cache_hit_ratio.set(ratio or 0.0)
        metrics.cache_entries.set(entries)
        metrics.cache_bytes.set(size)
        note = f"{size / MEGABYTE:.1f} MB" if ratio is None else f"hit {ratio:.0%}"
        return Service(name="cache", state="ok", in_use=entries, note=note)

    return cache
