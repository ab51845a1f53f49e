"""The spool: where writes wait while Postgres cannot take them.

Owns when a write goes there: while the database does not answer, when nobody knows whether its commit was one, and behind
another one that concerns the same names. What is acknowledged from here is on the disk, and is carried out in order by
`replay` or shown as parked; it is never lost and, by its receipt, never done twice.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from memdeck_common.clock import Clock
from memdeck_common.errors import (
    Conflict,
    DiskFull,
    OutcomeUnknown,
    PartlyDone,
    SpoolFull,
    StoreReadOnly,
    StoreUnavailable,
)
from memdeck_common.log import action
from memdeck_daemon.memory.intents import Add, AnyIntent
from memdeck_daemon.memory.model import Caller, Event, Receipt
from memdeck_daemon.memory.spool.journal import Journal
from memdeck_daemon.memory.spool.parked import ParkedWrite

log = logging.getLogger(__name__)
QUEUED: Final = (
    "The database takes no writes right now: this is kept on the disk and is carried out as soon as it does."
)
REFUSING: Final = (StoreReadOnly, DiskFull)
"""By these the database says that no write is to blame but itself."""
BEHIND: Final = "Earlier writes are still kept on the disk; this is kept behind them."


@dataclass(slots=True)
class Spool:
    """The way onto the disk, and what is known of what waits there."""

    journal: Journal
    clock: Clock
    report: Callable[[bool], None] = lambda _full: None
    """Told when the spool takes no writes (it is full, or off), and when it takes them again."""
    refuses: Callable[[bool], None] = lambda _refused: None
    """Told when the database, which answers, refuses a write for a reason of its own, and when it takes one."""
    away: Callable[[], bool] = lambda: False
    """Whether the database is known not to answer: then nobody waits to find out."""
    down: bool = False
    """The database did not take the last write: until a replay goes through, none is tried directly."""
    trouble: str = ""
    """Why the replay waits."""
    replayed: int = 0
    """Writes carried out since the start."""
    parked: set[uuid.UUID] = field(default_factory=set)
    damaged: int = 0
    _full: bool = False

    @property
    def enabled(self) -> bool:
        """Whether it is there at all."""
        return self.journal.limit > 0

    @property
    def full(self) -> bool:
        """Whether it takes no more writes."""
        return self._full

    @property
    def parked_or_damaged(self) -> int:
        """How much was set aside."""
        return len(self.parked) + self.damaged

    async def open(self) -> None:
        """Read what is on the disk.

        Raises:
            OSError: the folder or a file cannot be used.
        """
        await self.journal.open()
        await self.journal.run(self._tidy)
        await self.recount()
        # What waits was acknowledged before anything that comes now.
        self.down = len(self.journal) > 0
        self._tell(full=not self.enabled)

    async def recount(self) -> None:
        """Look at what is parked."""
        parked, before = self.journal.parked, self.journal.nbytes
        await self.journal.run(parked.measure)
        self.parked, damaged = await self.journal.run(lambda: (parked.names(), parked.damaged()))
        self.damaged = len(damaged)
        if self.journal.nbytes < before:
            self.room_again()

    def _tidy(self) -> None:
        """A write that waits is not parked as well: a crash came between the two."""
        parked = self.journal.parked
        for receipt_id in parked.names() & set(self.journal.receipts()):
            parked.remove(receipt_id)

    def _tell(self, *, full: bool) -> None:
        self._full = full
        self.report(full)

    # --- writing ------------------------------------------------------------------------------------------------------

    def takes(self, intent: AnyIntent) -> bool:
        """Whether a write goes here without being tried: the database is down, or others wait before it."""
        return (self.enabled and (self.down or self.away())) or self.journal.holds(intent)

    async def put(self, intent: AnyIntent, error: StoreUnavailable | None = None) -> Receipt:
        """Keep a write on the disk; its receipt. `error` is that of a first attempt.

        Raises:
            SpoolFull, OutcomeUnknown, PartlyDone: it could not be kept; nothing was stored, or nobody knows, or a part was.
            StoreUnavailable: the spool is off; the first attempt's error.
            Conflict: another body waits under the same idempotency key.
        """
        if error is not None and not self.enabled:
            raise error
        if isinstance(intent, Add) and (known := await self._same(intent)):
            return known
        try:
            await self.journal.append(intent)
        except SpoolFull:
            self._tell(full=True)
            if isinstance(error, OutcomeUnknown | PartlyDone):
                raise error from None  # not "nothing was stored"
            raise
        if self._full:
            self._tell(full=False)
        if (error is not None or self.away()) and not self.down:
            self.down = True
            fields = action("spool_opened", error=type(error).__name__ if error else "left alone")
            log.warning("the database does not take writes: they are kept on the disk", extra=fields)
        return self._receipt(intent)

    async def _same(self, new: Add) -> Receipt | None:
        """The receipt of a waiting add with the same idempotency key."""
        receipt_id = self.journal.same(new)
        known = await self.journal.find(receipt_id) if receipt_id else None
        if not isinstance(known, Add):
            return None
        if known.digest != new.digest:
            raise Conflict(
                "This Idempotency-Key was used for another body within the last 24 hours; send a new one."
            )
        return replace(self._receipt(known), replayed=True)

    def heard(self, error: Exception | None = None) -> None:
        """What the database said to a write; None: it took it."""
        cause = error.__cause__ if isinstance(error, PartlyDone) else error
        if error is None or isinstance(cause, REFUSING):
            self.refuses(error is not None)

    def went_through(self) -> None:
        """The database takes writes again."""
        self.heard()
        if self.down:
            log.info("the database takes writes again", extra=action("spool_closed"))
        self.down, self.trouble = False, ""

    def room_again(self) -> None:
        """Files were removed."""
        if self._full and self.journal.nbytes < self.journal.limit:
            self._tell(full=False)

    # --- looking ------------------------------------------------------------------------------------------------------

    async def receipt(self, receipt_id: uuid.UUID, caller: Caller) -> Receipt | None:
        """What is known here of a write; None: nothing, or nothing that the caller may see."""
        intent = await self.journal.find(receipt_id)
        if intent is not None:
            return self._receipt(intent) if _may_see(caller, intent) else None
        if receipt_id not in self.parked:
            return None
        write = await self.journal.run(lambda: self.journal.parked.find(receipt_id))
        return told_parked(write) if write is not None and _may_see(caller, write.intent) else None

    def _receipt(self, intent: AnyIntent) -> Receipt:
        note = QUEUED if self.down else BEHIND
        if isinstance(intent, Add) and intent.note:
            note = f"{note} {intent.note}"
        return Receipt(intent.receipt_id, intent.kind, intent.at, intent.outcomes, note, status="PENDING")


def told_parked(write: ParkedWrite) -> Receipt:
    """The receipt of a write that the database refuses."""
    outcomes = tuple(
        replace(outcome, event=Event.NONE, id=None, reason=outcome.reason or write.reason)
        for outcome in write.intent.outcomes
    )
    return Receipt(
        write.intent.receipt_id, write.intent.kind, write.intent.at, outcomes, status="FAILED",
        error=f"Set aside: {write.reason}",
    )  # fmt: skip


def _may_see(caller: Caller, intent: AnyIntent) -> bool:
    """As for receipts in the database: they name memories, so a pinned key sees its own alone."""
    return not caller.reach.pinned or caller.key_id == intent.caller.key_id
