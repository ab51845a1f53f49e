"""Trying again what was lost on the way, where that changes nothing.

Owns how often and how long after (requirement R2: three attempts, 50 to 500 ms apart, with jitter), and the budget: calls
earn a tenth of a retry each, so that when everything fails the load grows by a tenth and not threefold. It happens at one
layer only, around whole requests that read; no client of a store retries below it, but for redis-py's one. Refuses to
repeat what timed out: whoever is slow does not get faster by being asked twice.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from memdeck_common.errors import StoreLost
from memdeck_daemon.infra.resilience import deadline

T = TypeVar("T")

ATTEMPTS: Final = 3
FIRST: Final = 0.05
LONGEST: Final = 0.5
"""Seconds between attempts."""
PATIENCE: Final = 2.0
"""Seconds for all attempts, or what is left of the request's time."""
SHARE: Final = 0.1
"""Of a retry that each call earns."""
SAVED: Final = 20.0
"""Retries that may be saved up."""


@dataclass(slots=True)
class Retries:
    """The retries of one daemon and their budget."""

    budget: float = SAVED
    made: int = 0
    """Since the start."""
    refused: int = 0
    """For want of budget."""

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns, which must change nothing; its error when that is no loss on the way, or the last one's."""
        self.budget = min(SAVED, self.budget + SHARE)
        try:
            return await work()
        except StoreLost as error:
            lost: StoreLost | None = error
        # The first attempt was made without stamina, which costs as much as a search that is kept, and 60 ms to import.
        import stamina

        # It would count into a registry of its own and write log records of another form.
        stamina.instrumentation.set_on_retry_hooks(())
        async for attempt in stamina.retry_context(
            on=self._worth_it,
            attempts=ATTEMPTS,
            timeout=deadline.left(PATIENCE),
            wait_initial=FIRST,
            wait_max=LONGEST,
            wait_jitter=FIRST,
        ):
            with attempt:
                if lost is not None:
                    first, lost = lost, None
                    raise first
                return await work()
        raise AssertionError("stamina returns or raises")

    def _worth_it(self, error: Exception) -> bool:
        if not isinstance(error, StoreLost):
            return False
        if self.budget < 1:
            self.refused += 1
            return False
        self.budget -= 1
        self.made += 1
        return True
