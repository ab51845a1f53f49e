"""Degradation modes: what the daemon does without right now, and since when.

Owns the one decision which mode it is in. Owners of facts report them here (the database's breaker and pulse, the spool,
the embedder, the dense arm) and nobody else decides. Hysteresis: a condition holds once it was reported without a break
for a while, and ends likewise, so that the mode does not flicker. Refuses to measure anything itself.

    normal               nothing is wrong
    reduced-precision    the embedder or the dense arm is slow: the local space answers at once
    essential-only       the database has been slow for a while: memories that are at hand come first
    cache-only           the database does not answer: kept answers, marked unverified
    read-only            the database takes no writes, or it does not answer and the spool is full or off
"""

import logging
from dataclasses import dataclass, field
from typing import Final, Literal

from memdeck_common.clock import Clock
from memdeck_common.log import action
from memdeck_common.wire.feed import Mode

log = logging.getLogger(__name__)

Database = Literal["well", "slow", "away"]

MODES: Final[tuple[Mode, ...]] = ("normal", "reduced-precision", "essential-only", "cache-only", "read-only")
"""From the best to the worst."""
MEANING: Final[dict[Mode, str]] = {
    "normal": "all parts work",
    "reduced-precision": "an embedder or the dense arm is slow; searches use the local vectors",
    "essential-only": "the database is slow; searches prefer the memories at hand",
    "cache-only": "the database does not answer; searches are answered from caches, unverified",
    "read-only": "the database takes no writes; they wait in the spool, or are refused where that is full or off",
}


@dataclass(slots=True)
class Condition:
    """A fact with hysteresis. Times in seconds."""

    clock: Clock
    enter: float
    """For so long it must have been reported before it holds."""
    leave: float
    """For so long its end must have been reported before it ends."""
    lapse: float = float("inf")
    """It ends when it was not reported for so long: nobody is there to see its end."""
    told: bool = False
    since: float = float("-inf")
    """Monotonic seconds of the last report that differed."""
    _heard: float = float("-inf")
    _holds: bool = False

    def tell(self, *, holds: bool) -> None:
        """What is so now."""
        self._heard = self.clock.monotonic()
        if holds != self.told:
            self.told, self.since = holds, self._heard

    @property
    def holds(self) -> bool:
        """Whether it counts."""
        if self._holds and self.clock.monotonic() - self._heard > self.lapse:
            self.told = self._holds = False
        if self.told != self._holds:
            wait = self.enter if self.told else self.leave
            if self.clock.monotonic() - self.since >= wait:
                self._holds = self.told
        return self._holds


@dataclass(slots=True)
class Modes:
    """The mode of one daemon."""

    clock: Clock
    transitions: dict[Mode, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))
    """How often each mode was entered since the start."""
    since: float = 0.0
    """Monotonic seconds of the last transition."""
    spool_full: bool = True
    """Until the spool reports room there is none: a daemon without one is read-only while its database is away."""
    _away: Condition = field(init=False)
    _slow: Condition = field(init=False)
    _read_only: Condition = field(init=False)
    _refusing: Condition = field(init=False)
    _embedder: Condition = field(init=False)
    _dense: Condition = field(init=False)
    _mode: Mode = "normal"

    def __post_init__(self) -> None:
        self.since = self.clock.monotonic()
        # The breaker has its own hysteresis: what it says holds at once.
        self._away = Condition(self.clock, 0.0, 0.0)
        self._slow = Condition(self.clock, 5.0, 10.0)
        self._read_only = Condition(self.clock, 0.0, 0.0)
        self._refusing = Condition(self.clock, 0.0, 0.0, lapse=60.0)
        self._embedder = Condition(self.clock, 1.0, 5.0)
        self._dense = Condition(self.clock, 1.0, 10.0, lapse=60.0)

    # --- what owners report -------------------------------------------------------------------------------------------

    def database(self, state: Database) -> None:
        """The database answers, answers slowly, or does not."""
        self._away.tell(holds=state == "away")
        if state != "away":  # one that is away is neither fast nor slow
            self._slow.tell(holds=state == "slow")

    def read_only(self, *, told: bool) -> None:
        """Whether the database says that its transactions only read, as a standby does."""
        self._read_only.tell(holds=told)

    def writes(self, *, refused: bool) -> None:
        """Whether the database refused the last write for a reason of its own: it is read-only, or its disk is full."""
        self._refusing.tell(holds=refused)

    def spool(self, *, full: bool) -> None:
        """Whether the spool takes no more writes; one that is off never does."""
        self.spool_full = full

    def embedder(self, *, slow: bool) -> None:
        """Whether the remote embedder misses its budget or is left alone."""
        self._embedder.tell(holds=slow)

    def dense(self, *, slow: bool) -> None:
        """Whether the dense arm misses its budget."""
        self._dense.tell(holds=slow)

    # --- what everybody may ask ---------------------------------------------------------------------------------------

    @property
    def current(self) -> Mode:
        """The worst mode that a condition calls for; the first who asks after a change logs it."""
        mode = self._called_for()
        if mode != self._mode:
            self._change(mode)
        return mode

    @property
    def away(self) -> bool:
        """Whether the database is known not to answer."""
        return self._away.holds

    @property
    def away_since(self) -> float:
        """Monotonic seconds at which the database was found away; the present while it is not."""
        return self._away.since if self._away.told else self.clock.monotonic()

    @property
    def essential(self) -> bool:
        """Whether what is at hand comes before the database, which is slow."""
        return self._slow.holds and not self._away.holds

    @property
    def embedder_slow(self) -> bool:
        """Whether nobody should wait for the remote embedder."""
        return self._embedder.holds

    @property
    def dense_slow(self) -> bool:
        """Whether the dense arm should do less."""
        return self._dense.holds

    @property
    def _unwritable(self) -> bool:
        """Whether the database answers and takes no writes."""
        return not self._away.holds and (self._read_only.holds or self._refusing.holds)

    def without(self) -> list[str]:
        """What is being done without, by the names that answers use in `degraded`, and `writes`."""
        named = {
            "postgres": self._away.holds,
            "history": self.essential,
            "embedder": self._embedder.holds,
            "dense": self._dense.holds,
            "writes": self._unwritable,
            "spool": (self._away.holds or self._unwritable) and self.spool_full,
        }
        return [name for name, holds in named.items() if holds]

    def _called_for(self) -> Mode:
        if self._away.holds:
            return "read-only" if self.spool_full else "cache-only"
        if self._unwritable:
            return "read-only"
        if self._slow.holds:
            return "essential-only"
        return "reduced-precision" if self._embedder.holds or self._dense.holds else "normal"

    def _change(self, mode: Mode) -> None:
        before, self._mode, now = self._mode, mode, self.clock.monotonic()
        lasted, self.since = now - self.since, now
        self.transitions[mode] += 1
        worse = MODES.index(mode) > MODES.index(before)
        log.log(
            logging.WARNING if worse else logging.INFO,
            "mode %s: %s",
            mode,
            MEANING[mode],
            extra=action(
                "mode_changed", mode=mode, before=before, lasted=round(lasted, 1), without=self.without()
            ),
        )
