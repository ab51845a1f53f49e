"""What a daemon says and shows of itself while it suffers: lateness of its event loop, tasks, memory, descriptors."""

import http.client
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.faults.daemon import Victim
from bench.processes import resident_mb, usage

BUCKET: Final = re.compile(r'^memdeck_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)
TASKS: Final = re.compile(r"^memdeck_tasks (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Look:
    """One moment. `None` where the system does not tell."""

    lag: tuple[tuple[float, float], ...]
    """Upper bounds in seconds, and how many looks of the daemon's own were not later than that."""
    tasks: float
    resident_mb: float | None
    descriptors: int | None
    at: float = 0.0
    """Monotonic seconds."""
    waited: float = 0.0
    """Seconds so far for which its main thread was ready and others had the processors."""

    def disturbed(self, before: "Look") -> float:
        """Share of the time since then for which others had the processors: so far the machine is measured, not the daemon."""
        return round((self.waited - before.waited) / max(self.at - before.at, 1e-9), 3)

    def lag_ms(self, before: "Look", share: float = 0.99) -> float:
        """The lateness that so large a share of the looks since then did not exceed, in ms, between its bucket's bounds."""
        counts = [(bound, now - then) for (bound, now), (_, then) in zip(self.lag, before.lag, strict=True)]
        wanted, lower, below = counts[-1][1] * share, 0.0, 0.0
        for bound, count in counts:
            if count >= wanted and count > below:
                if bound == float("inf"):
                    return lower * 1e3
                return round((lower + (bound - lower) * (wanted - below) / (count - below)) * 1e3, 2)
            lower, below = bound, count
        return 0.0


def look(victim: Victim) -> Look:
    """Ask the daemon and the system; blocks."""
    address = urlsplit(json.loads((victim.home / "run" / "daemon.json").read_bytes())["metrics_url"])
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    try:
        connection.request("GET", address.path)
        told = connection.getresponse().read().decode()
    finally:
        connection.close()
    tasks = TASKS.search(told)
    return Look(
        tuple((float(bound), float(count)) for bound, count in BUCKET.findall(told)),
        float(tasks[1]) if tasks else 0.0,
        resident_mb(victim.pid),
        _descriptors(victim.pid),
        time.monotonic(),
        used.waited if (used := usage(victim.pid)) else 0.0,
    )


def _descriptors(pid: int | None) -> int | None:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return None


def slope(points: list[tuple[float, float]]) -> float:
    """How fast a figure grows: the least-squares line through `(seconds, value)`, per hour."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread * 3600 if spread else 0.0
