"""When to leave a remote embedder alone.

Owns one number: until when. Each failure in a row doubles the pause, from half a second to a minute; a time that the
embedder asked for counts when it is longer. The first success ends it. Everybody who asks the embedder shares it, so that
a search does not wait for one that is known to be away.
"""

from dataclasses import dataclass
from typing import Final

from memdeck_common.clock import Clock

FIRST: Final = 0.5
LONGEST: Final = 60.0
MOST_ASKED: Final = 900.0
"""Seconds of a Retry-After that are believed."""


@dataclass(slots=True)
class Outage:
    """Failures in a row."""

    clock: Clock
    failures: int = 0
    reason: str = ""
    """Of the last failure, in a few words; empty while all is well."""
    _until: float = float("-inf")

    @property
    def remaining(self) -> float:
        """Seconds until the embedder may be asked again; 0: now."""
        return max(0.0, self._until - self.clock.monotonic())

    def failed(self, reason: str, asked: float = 0.0) -> None:
        """It failed; `asked`: seconds that it wants to be left alone.

        Failures of requests that were under way together count once.
        """
        self.reason = reason
        if self.remaining and not asked:
            return
        pause = min(FIRST * 2.0 ** min(self.failures, 10), LONGEST)
        self.failures += 1
        self._until = max(self._until, self.clock.monotonic() + max(pause, min(asked, MOST_ASKED)))

    def succeeded(self) -> None:
        """It answered."""
        self.failures, self.reason, self._until = 0, "", float("-inf")
