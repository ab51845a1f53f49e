"""Carries out what waits in the spool, in order, as soon as the database takes it.

Owns the one task that does. It may be killed at any point: what it did has a receipt in the same transaction, and whatever
has one is passed over by the next process. A write that the database refuses for its own sake is parked, but only after the
database took another one (which is rolled back); one that came too late (its memory is gone) gets a receipt that says so.
"""

import asyncio
import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import asyncpg
import numpy as np

from memdeck_common.errors import Conflict, MemdeckError, NotFound, StoreUnavailable, Unavailable
from memdeck_common.log import action
from memdeck_daemon.infra.postgres.database import Database, StatementRefused
from memdeck_daemon.memory.changes import Changer
from memdeck_daemon.memory.embedding.local import DIMENSIONS
from memdeck_daemon.memory.intents import Add, AnyIntent, DeleteScope
from memdeck_daemon.memory.model import Caller, Event, Identifiers, NewMemories, NewMessage, Outcome, Reach
from memdeck_daemon.memory.spool.journal import Journal
from memdeck_daemon.memory.spool.parked import ParkedWrite
from memdeck_daemon.memory.spool.service import Spool
from memdeck_daemon.memory.store import ledger, writes
from memdeck_daemon.memory.writer import Writer

log = logging.getLogger(__name__)

BATCH: Final = 50
"""Adds that share a transaction."""
ROWS: Final = 500
"""Memories that they hold together, at most, unless one add alone holds more."""
FIRST_REST: Final = 0.2
LAST_REST: Final = 2.0
"""Seconds of rest after the database did not answer."""
TRIAL: Final = uuid.UUID(int=1)
"""Every id of the write that is tried and taken back."""
KNOWN_BEFORE: Final = "Stored before under the same Idempotency-Key."


@dataclass(slots=True)
class Replay:
    """The task."""

    spool: Spool
    database: Database
    writer: Writer
    changer: Changer
    _asked: asyncio.Event = field(default_factory=asyncio.Event)
    _moving: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while writes go aside or come back: one that is refused again at once must not be removed with its first file."""

    @property
    def _journal(self) -> Journal:
        return self.spool.journal

    def soon(self) -> None:
        """Do not rest any longer."""
        self._asked.set()

    async def run(self) -> None:
        """Carry out what waits until cancelled."""
        rest = FIRST_REST
        while True:
            try:
                await self.drain()
            except (MemdeckError, asyncpg.PostgresError, OSError) as error:
                self.spool.heard(error)
                if not self.spool.trouble:
                    log.warning("the spool waits: %s", error, extra=action("replay_waits"))
                self.spool.trouble = "the database" if isinstance(error, StoreUnavailable) else str(error)
                await self._pause(rest)
                rest = min(2 * rest, LAST_REST)
            else:
                rest = FIRST_REST
                await self._journal.added.wait()

    async def _pause(self, seconds: float) -> None:
        self._asked.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), seconds)

    async def drain(self) -> None:
        """Carry out everything that waits now.

        Raises:
            Unavailable: the database does not answer; what was done is done.
            OSError: a file cannot be read or written.
        """
        while (found := await self._journal.first()) is not None:
            segment, intents = found
            for group in _groups(intents):
                await self._carry_out(group)
                self.spool.went_through()
            await self._journal.drop(segment)
            self.spool.room_again()

    async def _carry_out(self, group: Sequence[AnyIntent]) -> None:
        adds = [intent for intent in group if isinstance(intent, Add)]
        done = await self._existing(group)
        if adds:
            await self._add([add for add in adds if add.receipt_id not in done])
        else:
            await self._change(group[0], begun=group[0].receipt_id in done)
        for intent in group:
            self._done(intent)

    def _done(self, intent: AnyIntent) -> None:
        self._journal.done(intent)
        self.spool.replayed += 1

    async def _existing(self, intents: Sequence[AnyIntent]) -> set[uuid.UUID]:
        """The receipts that are there: those writes were committed, whatever became of the answer."""
        async with self.database.connection() as connection:
            return await ledger.existing(connection, [intent.receipt_id for intent in intents])

    # --- adds ---------------------------------------------------------------------------------------------------------

    async def _add(self, adds: Sequence[Add]) -> None:
        if not adds:
            return
        try:
            await self.writer.commit(await self.writer.prepared(adds))
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - each add is to blame for itself alone
            if len(adds) == 1:
                await self._refused_add(adds[0], error)
                return
            for add in adds:
                await self._add([add])
        self.changer.wake()

    async def _refused_add(self, add: Add, error: Exception) -> None:
        if isinstance(error, asyncpg.UniqueViolationError):
            if await self._existing([add]):  # its first attempt was still being committed
                return
            if await self._known_by_key(add):
                return
        await self._park(add, error)

    async def _known_by_key(self, add: Add) -> bool:
        """Whether another add took its idempotency key; its own receipt says which memories those are."""
        if (key := add.new.idempotency_key) is None:
            return False
        async with self.database.connection() as connection:
            try:
                known = await ledger.find_by_key(connection, add.caller.key_id, key, add.digest)
            except Conflict as conflict:
                await self._drop(add, conflict)
                return True
        if known is None:
            return False
        outcomes = [
            replace(outcome, event=Event.NONE, id=None, duplicate_of=outcome.id, reason=KNOWN_BEFORE)
            for outcome in known.outcomes
        ]
        await self._tell(add, outcomes)
        return True

    # --- changes ------------------------------------------------------------------------------------------------------

    async def _change(self, intent: AnyIntent, *, begun: bool) -> None:
        if begun and not isinstance(intent, DeleteScope):
            return
        try:
            await self.changer.perform(intent, begun=begun)
        except (NotFound, Conflict) as error:
            await self._drop(intent, error)
        except Unavailable:
            raise
        except asyncpg.UniqueViolationError as error:
            if begun or not await self._existing([intent]):
                await self._park(intent, error)
            else:
                await self._change(intent, begun=True)
        except Exception as error:  # noqa: BLE001 - shown as the reason; others go on
            await self._park(intent, error)

    # --- what cannot be carried out -----------------------------------------------------------------------------------

    async def _drop(self, intent: AnyIntent, error: MemdeckError) -> None:
        """It came too late: there is nothing to change (any more)."""
        log.warning("a queued %s was not carried out: %s", intent.kind, error, extra=action("write_dropped"))
        told = intent.outcomes or (Outcome(Event.NONE, ""),)
        await self._tell(intent, [replace(o, event=Event.NONE, reason=o.reason or str(error)) for o in told])

    async def _tell(self, intent: AnyIntent, outcomes: Sequence[Outcome]) -> None:
        # Its first attempt may have been committed this moment.
        with suppress(asyncpg.UniqueViolationError):
            async with self.database.connection() as connection:
                await ledger.insert(connection, [ledger.Entry.of(intent, outcomes)])

    async def _park(self, intent: AnyIntent, error: Exception) -> None:
        """Set a write aside, once it is certain that it is to blame and not the database."""
        await self._check_database()
        write = ParkedWrite(reason=_reason(error), parked_at=self.spool.clock.now(), intent=intent)
        async with self._moving:
            await self._journal.run(lambda: self._journal.parked.keep(write))
        await self.spool.recount()
        log.error(
            "a write was set aside: the database refuses it (%s)", type(error).__name__,
            extra=action("write_parked", receipt=str(intent.receipt_id)),
        )  # fmt: skip

    async def _check_database(self) -> None:
        """See that the database takes a write.

        Raises:
            StoreUnavailable: it refuses every write (it is read-only, say); nobody is to blame but itself.
        """
        try:
            async with self.database.connection() as connection:
                trial = connection.transaction()
                await trial.start()
                try:
                    await writes.insert(connection, [_trial(self.spool)])
                finally:
                    await trial.rollback()
        except Unavailable:
            raise
        except Exception as error:
            raise StoreUnavailable("The database refuses every write; its log says why.") from error

    async def again(self) -> int:
        """Put parked writes back into the spool; how many. One that waits has only just been parked: it stays so.

        Raises:
            SpoolFull: the disk takes no more; the rest stays parked.
        """
        parked = self._journal.parked
        async with self._moving:
            written = await self._journal.run(parked.writes)
            found = [write for write in written if not self._journal.waits(write.intent.receipt_id)]
            for write in found:
                await self._journal.append(write.intent, parked=True)
                await self._journal.run(partial(parked.remove, write.intent.receipt_id))
        await self.spool.recount()
        return len(found)


def _reason(error: Exception) -> str:
    """Why a write was refused, without what drivers quote: operators see it, and it may be anybody's text."""
    if isinstance(error, StatementRefused):
        return error.reason
    driver = error if isinstance(error, asyncpg.PostgresError) else error.__cause__
    if isinstance(driver, asyncpg.PostgresError):
        words = (type(driver).__name__, driver.sqlstate, driver.constraint_name)
        return " ".join(word for word in words if word)
    return f"{type(error).__name__}: {error}" if isinstance(error, MemdeckError) else type(error).__name__


def _groups(intents: Sequence[AnyIntent]) -> Iterator[list[AnyIntent]]:
    """Neighbouring adds together, everything else by itself, in order."""
    group: list[AnyIntent] = []
    rows = 0
    for intent in intents:
        size = len(intent.ids) if isinstance(intent, Add) else 0
        together = isinstance(intent, Add) and len(group) < BATCH and rows + size <= ROWS
        if group and not (together and isinstance(group[-1], Add)):
            yield group
            group, rows = [], 0
        group.append(intent)
        rows += size
    if group:
        yield group


def _trial(spool: Spool) -> writes.Add:
    """An add that nobody will see."""
    message, at = NewMessage("trial"), spool.clock.now()
    new = NewMemories((message,), Identifiers(app="memdeck-trial"))
    row = writes.Row(TRIAL, TRIAL, message, TRIAL, np.zeros(DIMENSIONS, np.float32))
    intent = Add(receipt_id=TRIAL, at=at, caller=Caller("memdeck", "", Reach()), new=new, ids=())
    return writes.Add(intent, (row,))
