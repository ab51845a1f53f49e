"""What the console knows: everything that the daemon told, since when it has been so, and how old it is.

Owns the window of calls, gaps, services, counts, log and the age of facts. Times are the daemon's epoch; how much of it
has passed since the last event is measured with the console's monotonic clock, so that a clock that is off between two
machines ages nothing. Refuses to forget when the link goes: what was true is kept, and `View.age` says how long ago.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import count

from memdeck_common.clock import Clock
from memdeck_common.wire.feed import Caller, Counts, Event, LogLine, Service, Slot, Snapshot, Tick, Vitals
from memdeck_console.core.facts import Fact, facts_of
from memdeck_console.core.formatting import clock
from memdeck_console.core.line import plain
from memdeck_console.core.window import SECONDS, Operation, Window

TICK_LATE = 2.5
"""Seconds without an event after which what is shown counts as stale; ticks come once a second."""
LOG_KEPT = 500


class LinkState(Enum):
    """How the console stands to the daemon; the value is the word in the header."""

    CONNECTING = "CONNECTING"
    LIVE = "LIVE"
    STALE = "STALE"
    RECONNECTING = "RECONNECTING"
    AUTH_FAILED = "AUTH FAILED"
    VERSION_MISMATCH = "VERSION MISMATCH"


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """The link as it is now."""

    state: LinkState = LinkState.CONNECTING
    tries: int = 0
    """Failed tries since it was last live."""
    retry_at: float | None = None
    """Monotonic second of the next try."""
    reason: str = ""
    round_trip_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of the daemon's time of which nothing is known."""

    begin: float
    end: float | None
    """None while it lasts."""
    cause: str
    """`gap`, `no link` or `restart`."""


@dataclass(frozen=True, slots=True)
class View:
    """All that a refresh draws, fixed at one instant."""

    now: float
    """The console's own clock, epoch seconds: what the header shows."""
    at: float
    """The daemon's clock now, as far as it can be known, epoch seconds."""
    true_at: float | None
    """When what is shown was true; None before the first snapshot."""
    age: float | None
    link: LinkStatus
    retry_in: float | None
    facts: tuple[Fact, ...]
    services: tuple[Service, ...]
    operations: tuple[Operation, ...]
    slots: tuple[Slot, ...]
    gaps: tuple[Gap, ...]
    log: tuple[LogLine, ...]
    vitals: Vitals
    mode_since: float | None
    snapshot: Snapshot | None

    @property
    def live(self) -> bool:
        """Whether values may be shown as current."""
        return self.link.state is LinkState.LIVE

    @property
    def stale(self) -> bool:
        """Whether there are values and they are old."""
        return not self.live and self.snapshot is not None

    @property
    def counts(self) -> Counts:
        """How much there is."""
        return self.vitals.counts

    @property
    def caller(self) -> Caller | None:
        """Who the daemon takes us for."""
        return self.snapshot.caller if self.snapshot else None

    @property
    def edge(self) -> float:
        """Right end of time axes: the last whole second."""
        return float(int(self.at))


class Store:
    """Takes events and link changes, gives views."""

    def __init__(self, time: Clock) -> None:
        self._clock = time
        self._window = Window()
        self._gaps: list[Gap] = []
        self._log: deque[LogLine] = deque(maxlen=LOG_KEPT)
        self._link = LinkStatus()
        self._snapshot: Snapshot | None = None
        self._vitals = Vitals()
        self._at = 0.0
        self._heard = time.monotonic()
        self._seq = 0
        self._facts: tuple[Fact, ...] = ()
        self._operations: tuple[Operation, ...] = ()
        self._mode_since: float | None = None
        self._own_lines = count(-1, -1)
        self.last_event_id: str | None = None
        """Where the stream is to be taken up again."""

    def take(self, event_id: str, event: Event) -> None:
        """A snapshot or a tick arrived."""
        first = self._snapshot is None
        if isinstance(event, Snapshot):
            self._take_snapshot(event)
        else:
            self._take_tick(event)
        self.last_event_id = event_id or self.last_event_id
        self._seq, self._at, self._heard = event.seq, event.at, self._clock.monotonic()
        self._vitals = event.vitals
        self._link = replace(self._link, state=LinkState.LIVE, tries=0, retry_at=None, reason="")
        self._derive(seen=not first)

    def link_is(
        self, state: LinkState, *, tries: int = 0, retry_in: float | None = None, reason: str = ""
    ) -> None:
        """The link changed; a loss opens a gap and is written to the console's part of the log."""
        retry_at = None if retry_in is None else self._clock.monotonic() + retry_in
        self._link = LinkStatus(state, tries, retry_at, plain(reason), self._link.round_trip_ms)
        open_gap = self._gaps and self._gaps[-1].end is None
        if self._snapshot and state is not LinkState.LIVE and not open_gap:
            self._gaps.append(Gap(self._at, None, "no link"))
        if tries:
            self._say("WARNING", f"try {tries} failed: {reason}")
        elif reason:
            self._say("INFO", f"{reason} Last sequence {self._seq:,}, resume from there.")

    def round_trip(self, milliseconds: float) -> None:
        """How long an answer takes."""
        self._link = replace(self._link, round_trip_ms=milliseconds)

    def view(self) -> View:
        """Everything, as it is now."""
        now = self._clock.monotonic()
        passed = max(0.0, now - self._heard)
        link = self._link
        if link.state is LinkState.LIVE and passed > TICK_LATE:
            link = replace(link, state=LinkState.STALE)
        gaps = self._gaps
        if link.state is LinkState.STALE:
            gaps = [*gaps, Gap(self._at, None, "gap")]
        return View(
            now=self._clock.now().timestamp(),
            at=self._at + passed if self._snapshot else self._clock.now().timestamp(),
            true_at=self._at if self._snapshot else None,
            age=passed if self._snapshot else None,
            link=link,
            retry_in=None if link.retry_at is None else max(0.0, link.retry_at - now),
            facts=self._facts,
            services=tuple(self._vitals.services),
            operations=self._operations,
            slots=self._window.slots(),
            gaps=tuple(gaps),
            log=tuple(self._log),
            vitals=self._vitals,
            mode_since=self._mode_since,
            snapshot=self._snapshot,
        )

    def _take_snapshot(self, new: Snapshot) -> None:
        known = self._snapshot
        same_life = known is not None and known.boot_id == new.boot_id
        if known is not None and not same_life:
            self._close_gap(new.started_at, "restart")
            self._say("WARNING", f"the daemon was restarted at {clock(new.started_at)}")
        elif known is not None:
            self._close_resumed(new)
        if not new.since:
            self._log = deque((line for line in self._log if line.seq < 0), maxlen=LOG_KEPT)
            if same_life:
                self._window.clear()
        self._snapshot = new
        self._window.add(new.slots)
        self._take_log(new.log)
        self._log = deque(sorted(self._log, key=lambda line: line.at), maxlen=LOG_KEPT)
        self._window.forget_before(new.at - SECONDS)

    def _take_tick(self, tick: Tick) -> None:
        if tick.at - self._at > TICK_LATE:
            self._gaps.append(Gap(self._at, tick.at - 1, "gap"))
        self._window.add((tick.slot,))
        self._take_log(tick.log)
        self._window.forget_before(tick.at - SECONDS)
        self._gaps = [gap for gap in self._gaps if gap.end is None or gap.end > tick.at - SECONDS]

    def _close_resumed(self, new: Snapshot) -> None:
        """The same life of the daemon: it kept the seconds that we missed, unless it stood still itself."""
        away = new.at - self._at
        if new.seq - self._seq >= away / 2:
            self._gaps = [gap for gap in self._gaps if gap.end is not None]
        else:
            self._close_gap(new.at - 1, "gap")

    def _close_gap(self, end: float, cause: str) -> None:
        if not self._gaps or self._gaps[-1].end is not None:
            self._gaps.append(Gap(self._at, None, cause))
        self._gaps[-1] = replace(self._gaps[-1], end=max(end, self._gaps[-1].begin + 1), cause=cause)

    def _take_log(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            self._log.append(_clean(line))

    def _say(self, level: str, message: str) -> None:
        """A line of the console's own; negative numbers tell it from the daemon's."""
        at = self._clock.now().timestamp()
        line = LogLine(seq=next(self._own_lines), at=at, level=level, service="link", message=message)
        self._log.append(_clean(line))

    def _derive(self, *, seen: bool) -> None:
        snapshot = self._snapshot
        slo = snapshot.slo_ms if snapshot else {}
        vitals = self._vitals
        self._operations = tuple(self._window.operation(name, limit, self._at) for name, limit in slo.items())
        known = {fact.key: fact for fact in self._facts}
        found = facts_of(vitals.services, self._operations, vitals.mode, vitals.degraded, vitals.counts)
        self._facts = tuple(
            fact.began(known[fact.key].since or self._at, seen=known[fact.key].seen_begin)
            if fact.key in known
            else fact.began(self._at, seen=seen)
            for fact in found
        )
        self._mode_since = next((f.since for f in self._facts if f.key.startswith("mode ")), None)


def _clean(line: LogLine) -> LogLine:
    return LogLine(
        seq=line.seq, at=line.at, level=line.level.upper(), service=plain(line.service), message=plain(line.message),
        milliseconds=line.milliseconds, request_id=None if line.request_id is None else plain(line.request_id),
    )  # fmt: skip
