"""A circuit breaker: a dependency that fails is left alone, then tried by a few, then used again.

Owns the decision whether a call may be made, and the counts from which it follows: a ring of time buckets (rate of
failures, rate of slow calls), a small rule of failures in a row, and the trials after an open period. Refuses to make
calls, to log and to read a clock of its own. What counts as the dependency's failure is given as exception types; a
cancellation and a caller's mistake say nothing of it. Results of calls that began before the last transition say nothing
either: after an outage they come in for as long as the longest timeout.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal

from memdeck_common.clock import Chance, Clock

State = Literal["closed", "open", "half-open"]

BUCKETS: Final = 10
"""Of a window; the oldest tenth is forgotten at once."""
GROWTH: Final = 1.25
"""By how much each open period in a row is longer than the one before it."""
JITTER: Final = 0.1
"""Share by which an open period is longer at random, so that daemons do not come back together."""
LONGEST: Final = 2.0
"""Times the first open period that none exceeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When a breaker opens and how it closes again. Times in seconds, rates from 0 to 1."""

    consecutive: int
    """Failures in a row that open it."""
    open_seconds: float
    """The first open period; later ones in a row grow to twice of it at most."""
    half_open: int
    """Trials at once after an open period."""
    slow_seconds: float
    """A call that takes longer is slow."""
    window: float = 30.0
    """What the rates are taken over."""
    minimum: int = 20
    """Calls in the window before the rates say anything."""
    failure_rate: float = 0.5
    slow_rate: float = 0.8


class BreakerOpen(Exception):
    """The dependency failed a moment ago and is left alone."""

    def __init__(self, name: str, retry_after: float) -> None:
        """`retry_after`: seconds until it is tried again."""
        super().__init__(f"{name} is left alone for {retry_after:.1f} s")
        self.retry_after = retry_after


@dataclass(slots=True)
class Counts:
    """Calls since the start, by what became of them."""

    succeeded: int = 0
    failed: int = 0
    slow: int = 0
    """Of those that succeeded."""
    refused: int = 0
    """Not made, because the breaker was open."""
    transitions: dict[State, int] = field(default_factory=lambda: {"closed": 0, "open": 0, "half-open": 0})
    """By the state that was entered."""


@dataclass(slots=True)
class _Bucket:
    calls: int = 0
    failures: int = 0
    slow: int = 0


class Breaker:
    """The breaker of one dependency; one event loop uses it."""

    def __init__(
        self, name: str, policy: Policy, faults: tuple[type[BaseException], ...], clock: Clock, chance: Chance
    ) -> None:
        """`faults`: exceptions that are the dependency's failure; any other one is neutral."""
        self.name, self.policy, self.counts = name, policy, Counts()
        self.reason = ""
        """Of the last failure, in a few words. Empty while all is well."""
        self.listen: Callable[[Breaker], None] = lambda _: None
        """Called after each transition; must not raise."""
        self._faults, self._clock, self._chance = faults, clock, chance
        self._state: State = "closed"
        self._changed_at = clock.monotonic()
        self._until = 0.0
        self._openings = 0
        self._era = 0
        self._trials = 0
        self._in_a_row = 0
        self._buckets: dict[int, _Bucket] = {}

    # --- looking ----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Closed: calls are made. Open: none is. Half-open: a few are."""
        return self._state

    @property
    def closed(self) -> bool:
        """Whether calls are made."""
        return self._state == "closed"

    @property
    def retry_after(self) -> float:
        """Seconds until a call may be tried; 0: now."""
        return max(0.0, self._until - self._clock.monotonic()) if self._state == "open" else 0.0

    @property
    def failures_in_a_row(self) -> int:
        """Since the last success."""
        return self._in_a_row

    # --- calling ----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Whether it is worth while to prepare a call; takes no trial.

        Raises:
            BreakerOpen: it is not.
        """
        if self.retry_after:
            self.counts.refused += 1
            raise BreakerOpen(self.name, self.retry_after)

    def call(self) -> "Call":
        """Around one call of the dependency; entering it raises BreakerOpen when it may not be made now."""
        return Call(self)

    @contextmanager
    def probe(self) -> Iterator[None]:
        """Around a look that is made anyway: it is never refused, and its success closes the breaker at once.

        While the breaker is closed it counts like any other call; while it is not, its failure changes nothing.
        """
        begun = self._clock.monotonic()
        try:
            yield
        except self._faults as error:
            if self.closed:
                self._failed(self._era, _reason(error))
            raise
        if self.closed:
            self._succeeded(self._era, self._clock.monotonic() - begun)
        else:
            self._close()

    def open(self, reason: str, seconds: float | None = None) -> None:
        """Open it now, whatever was counted; `seconds`: as long as the dependency asked to be left alone."""
        self.reason = reason
        self._open(seconds)

    # --- what became of it --------------------------------------------------------------------------------------------

    def ended(self, era: int, begun: float, error: BaseException | None) -> None:
        """A call of `era`, begun at `begun`, came to this."""
        if error is None:
            self._succeeded(era, self._clock.monotonic() - begun)
        elif isinstance(error, self._faults):
            self._failed(era, _reason(error))
        else:
            self._abandoned(era)

    def began(self) -> tuple[int, float]:
        """The era and the begin of a call.

        Raises:
            BreakerOpen: it may not be made now.
        """
        return self._entered(), self._clock.monotonic()

    def _entered(self) -> int:
        if self._state == "open" and self._clock.monotonic() >= self._until:
            self._enter("half-open")
        if self._state == "open" or (self._state == "half-open" and self._trials >= self.policy.half_open):
            self.counts.refused += 1
            raise BreakerOpen(self.name, self.retry_after)
        if self._state == "half-open":
            self._trials += 1
        return self._era

    def _abandoned(self, era: int) -> None:
        if era == self._era and self._state == "half-open":
            self._trials -= 1

    def _failed(self, era: int, reason: str) -> None:
        self.counts.failed += 1
        if era != self._era:
            return
        self.reason = reason
        if self._state == "half-open":
            self._open()
            return
        self._in_a_row += 1
        bucket = self._bucket()
        bucket.calls += 1
        bucket.failures += 1
        if self._in_a_row >= self.policy.consecutive or self._broken():
            self._open()

    def _succeeded(self, era: int, seconds: float) -> None:
        slow = seconds > self.policy.slow_seconds
        self.counts.succeeded += 1
        self.counts.slow += slow
        if era != self._era:
            return
        if self._state == "half-open":
            if slow:
                self.open("slow")
            else:
                self._close()
            return
        self._in_a_row = 0
        self.reason = ""
        bucket = self._bucket()
        bucket.calls += 1
        bucket.slow += slow
        if slow and self._broken():
            self.open("slow")

    # --- deciding -----------------------------------------------------------------------------------------------------

    def _bucket(self) -> _Bucket:
        number = int(self._clock.monotonic() / self.policy.window * BUCKETS)
        if number not in self._buckets:
            self._buckets = {n: b for n, b in self._buckets.items() if n > number - BUCKETS}
            self._buckets[number] = _Bucket()
        return self._buckets[number]

    def _broken(self) -> bool:
        # The caller has just added to the newest bucket, so those that are too old are gone.
        calls = sum(bucket.calls for bucket in self._buckets.values())
        if calls < self.policy.minimum:
            return False
        failures = sum(bucket.failures for bucket in self._buckets.values())
        slow = sum(bucket.slow for bucket in self._buckets.values())
        return failures >= self.policy.failure_rate * calls or slow >= self.policy.slow_rate * calls

    def _open(self, seconds: float | None = None) -> None:
        now = self._clock.monotonic()
        if self.closed and now - self._changed_at > self.policy.window:
            self._openings = 0  # it had been well for a while
        base, longest = self.policy.open_seconds, LONGEST * self.policy.open_seconds
        if seconds is None:
            grown = base * min(GROWTH**self._openings, LONGEST)
            seconds = min(grown * (1 + JITTER * self._chance()), longest)
        self._openings += 1
        self._until = now + seconds
        self._enter("open")

    def _close(self) -> None:
        self.reason = ""
        self._enter("closed")

    def _enter(self, state: State) -> None:
        self._era += 1
        self._trials = self._in_a_row = 0
        self._buckets.clear()
        self._state, self._changed_at = state, self._clock.monotonic()
        self.counts.transitions[state] += 1
        self.listen(self)


class Call:
    """One call; a class because a generator costs three times as much, and each search makes several."""

    __slots__ = ("_begun", "_breaker", "_era")

    def __init__(self, breaker: Breaker) -> None:
        self._breaker, self._era, self._begun = breaker, 0, 0.0

    def __enter__(self) -> None:
        """Raises BreakerOpen."""
        self._era, self._begun = self._breaker.began()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Counts what became of it."""
        self._breaker.ended(self._era, self._begun, error)


def _reason(error: BaseException) -> str:
    """The words that an exception has for the state of its dependency, or its name; never its message."""
    words: str = getattr(error, "state", "") or type(error).__name__
    return words
