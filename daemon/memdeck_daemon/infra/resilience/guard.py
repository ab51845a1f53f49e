"""All that stands between the daemon and one dependency: its breaker, its bulkhead, and a log record per transition.

Owns the order. A dependency that is left alone refuses before anybody queues for it; who waits in the bulkhead takes no
trial of the breaker and is not slow.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from memdeck_common.clock import Chance, Clock, system_chance
from memdeck_common.log import action
from memdeck_daemon.infra.resilience.breaker import Breaker, BreakerOpen, Policy
from memdeck_daemon.infra.resilience.bulkhead import Bulkhead

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much of a dependency may be asked for: calls at once, calls that wait, seconds that they wait."""

    calls: int
    queue: int
    patience: float


class Guard:
    """The guard of one dependency."""

    def __init__(
        self,
        name: str,
        policy: Policy,
        faults: tuple[type[BaseException], ...],
        clock: Clock,
        room: Room,
        *,
        chance: Chance = system_chance,
        tell: Callable[[Breaker], None] = lambda _: None,
    ) -> None:
        """`name`, `policy` and `faults` as `Breaker` takes them; `tell` is called after each transition."""
        self.breaker = Breaker(name, policy, faults, clock, chance)
        self.breaker.listen = self._changed
        self.bulkhead = Bulkhead(name, room.calls, room.queue, room.patience)
        self.tell = tell

    def call(self) -> "Guarded":
        """Around one call; entering it raises BreakerOpen where the dependency is left alone, Overloaded in a crowd."""
        return Guarded(self.breaker, self.bulkhead)

    def _changed(self, breaker: Breaker) -> None:
        match breaker.state:
            case "open":
                log.warning(
                    "%s is left alone for %.1f s: %s", breaker.name, breaker.retry_after, breaker.reason,
                    extra=action("breaker_opened", dependency=breaker.name, reason=breaker.reason),
                )  # fmt: skip
            case "closed":
                log.info(
                    "%s is used again", breaker.name, extra=action("breaker_closed", dependency=breaker.name)
                )
            case "half-open":
                log.info(
                    "%s is tried", breaker.name, extra=action("breaker_half_open", dependency=breaker.name)
                )
        self.tell(breaker)


class Guarded:
    """One call between breaker and bulkhead."""

    __slots__ = ("_breaker", "_bulkhead", "_call")

    def __init__(self, breaker: Breaker, bulkhead: Bulkhead) -> None:
        self._breaker, self._bulkhead, self._call = breaker, bulkhead, breaker.call()

    async def __aenter__(self) -> None:
        """Raises BreakerOpen, Overloaded."""
        self._breaker.check()
        await self._bulkhead.__aenter__()
        try:
            self._call.__enter__()
        except BreakerOpen:
            await self._bulkhead.__aexit__(None, None, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Counts it and frees its place."""
        self._call.__exit__(kind, error, trace)
        await self._bulkhead.__aexit__(kind, error, trace)
