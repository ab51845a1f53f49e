"""Whether the dense arm keeps its time, and how much it is asked for while it does not.

Owns the budget. Comparing vectors one by one takes as long as the scope is large: where that takes too long again and
again, larger scopes are searched by their words alone for a while, and the answers say that they did without `dense`.
"""

from dataclasses import dataclass
from typing import Final

from memdeck_daemon.infra.resilience.modes import Modes

BUDGET: Final = 1.0
"""Seconds for proposing candidates."""
MISSES: Final = 3
"""Searches in a row beyond it."""
LESS: Final = 20_000
"""Memories whose vectors are compared one by one meanwhile, at most."""


@dataclass(slots=True)
class Pace:
    """Of all searches of one daemon."""

    modes: Modes
    less: int = LESS
    _late: int = 0

    def note(self, seconds: float) -> None:
        """Candidates were proposed within so long."""
        self._late = self._late + 1 if seconds > BUDGET else 0
        if self._late >= MISSES:
            self.modes.dense(slow=True)
        elif not self._late:
            self.modes.dense(slow=False)

    def most_exact(self, most: int) -> int:
        """Memories whose vectors are compared one by one, `most` where nothing is slow."""
        return min(most, self.less) if self.modes.dense_slow else most
