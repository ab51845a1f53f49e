"""The way of a write: tried at once, or kept on the disk.

Owns that ids are assigned before the first attempt, and the one decision behind every kind of write: what the database
did not take, or took nobody knows how far, goes to the spool under the same ids; so does what would overtake a write that
waits there.
"""

import asyncio
import math
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import asyncpg

from memdeck_common.clock import Clock, Identity
from memdeck_common.errors import DiskFull, OutcomeUnknown, StoreUnavailable
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.memory import filter_codec, intents
from memdeck_daemon.memory.changes import Changer
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.intents import AnyIntent, Changed
from memdeck_daemon.memory.model import Caller, Change, Memory, NewMemories, Receipt
from memdeck_daemon.memory.spool.service import Spool
from memdeck_daemon.memory.store import ledger
from memdeck_daemon.memory.writer import Writer

WITHOUT_LLM: Final = "No LLM is configured: the messages were stored as they are, nothing was extracted."
UNKNOWN: Final = (
    "The database went away during the commit: whether this was stored is not known. When it is back, "
    "GET /v1/receipts/{receipt} tells: 404 means that it was not."
)

PATIENCE: Final = 5.0
"""Seconds after which a write that the database has not answered goes to the disk; should it be committed after all, the
replay finds its receipt. Without a spool there is nothing better to do than to wait."""
MANY: Final = 50
"""Memories of one write for which it may take as long once more."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Writing:
    """Every write of one daemon."""

    database: Database
    writer: Writer
    changer: Changer
    spool: Spool
    clock: Clock
    identity: Identity
    patience: float = PATIENCE

    async def add(self, new: NewMemories, caller: Caller) -> Receipt:
        """Store messages; the receipt is `queued` where they wait on the disk."""
        intent = intents.Add(
            receipt_id=self.identity.uuid(),
            at=self.clock.now(),
            caller=caller,
            new=new,
            ids=tuple((self.identity.uuid(), self.identity.uuid()) for _ in new.kept),
            digest=ledger.digest_of(new) if new.idempotency_key else b"",
            note=WITHOUT_LLM if new.infer else "",
        )
        return await self._tried(intent, lambda: self._add(intent))

    async def _add(self, intent: intents.Add) -> Receipt:
        if known := await self._repeated(intent):
            return known
        [add] = await self.writer.prepared([intent])
        started = self.clock.monotonic()
        patience = deadline.left(self._patience(intent))
        try:
            # The writer is a task of its own, which knows nothing of our deadline.
            async with asyncio.timeout(None if patience == math.inf else patience):
                outcomes = await self.writer.store(add)
        except TimeoutError:
            raise OutcomeUnknown from None
        except asyncpg.UniqueViolationError:
            # Two adds with one idempotency key at the same moment: the other one stored it.
            if known := await self._repeated(intent):
                return known
            raise
        self.changer.wake()
        elapsed = (self.clock.monotonic() - started) * 1e3
        return Receipt(intent.receipt_id, "add", intent.at, outcomes, intent.note, len(add.rows), elapsed)

    async def _repeated(self, intent: intents.Add) -> Receipt | None:
        """The receipt of an earlier add with the same idempotency key."""
        if (key := intent.new.idempotency_key) is None:
            return None
        async with self.database.connection() as connection:
            known = await ledger.find_by_key(connection, intent.caller.key_id, key, intent.digest)
        return replace(known, replayed=True) if known else None

    async def update(
        self, changes: Sequence[tuple[uuid.UUID, Change]], caller: Caller
    ) -> tuple[Receipt, list[Memory]]:
        """Apply changes, all or none; the memories as they are now, none where they wait on the disk."""
        changed = tuple(Changed.of(memory_id, change) for memory_id, change in changes)
        intent = intents.Update(
            receipt_id=self.identity.uuid(), at=self.clock.now(), caller=caller, changes=changed
        )
        done = await self._tried(intent, lambda: self.changer.update(intent))
        return (done, []) if isinstance(done, Receipt) else done

    async def delete(self, ids: Sequence[uuid.UUID], caller: Caller) -> Receipt:
        """Delete memories, all or none."""
        intent = intents.Delete(
            receipt_id=self.identity.uuid(), at=self.clock.now(), caller=caller, ids=tuple(ids)
        )
        return await self._tried(intent, lambda: self.changer.delete(intent))

    async def delete_scope(self, where: Filter, caller: Caller) -> Receipt:
        """Delete every memory that matches."""
        intent = intents.DeleteScope(
            receipt_id=self.identity.uuid(),
            at=self.clock.now(),
            caller=caller,
            where=filter_codec.plain(where),
        )
        return await self._tried(intent, lambda: self.changer.delete_scope(intent))

    async def undo(self, memory_id: uuid.UUID, caller: Caller) -> tuple[str, Memory | None] | Receipt:
        """Revert a memory's last change."""
        intent = intents.Undo(
            receipt_id=self.identity.uuid(), at=self.clock.now(), caller=caller, memory_id=memory_id
        )
        return await self._tried(intent, lambda: self.changer.undo(intent))

    async def undo_event(self, event_id: uuid.UUID, caller: Caller) -> Receipt:
        """Bring back what a deletion took."""
        intent = intents.UndoEvent(
            receipt_id=self.identity.uuid(), at=self.clock.now(), caller=caller, event_id=event_id
        )
        return await self._tried(intent, lambda: self.changer.undo_event(intent))

    def _patience(self, intent: AnyIntent) -> float:
        """Seconds that the first attempt may take. Scopes have as long as they need: they go in parts."""
        if not self.spool.enabled or isinstance(intent, intents.DeleteScope | intents.UndoEvent):
            return math.inf
        return self.patience * max(1, len(intent.outcomes) // MANY)

    async def _tried(self, intent: AnyIntent, attempt: Callable[[], Awaitable[T]]) -> T | Receipt:
        if self.spool.takes(intent):
            return await self.spool.put(intent)
        try:
            with deadline.within(self._patience(intent)):
                done = await attempt()
        except OutcomeUnknown:
            unknown = OutcomeUnknown(
                UNKNOWN.format(receipt=intent.receipt_id), receipt_id=str(intent.receipt_id)
            )
            return await self.spool.put(intent, unknown)
        except StoreUnavailable as error:
            self.spool.heard(error)
            return await self.spool.put(intent, error)
        except DiskFull as error:
            self.spool.heard(error)
            raise
        self.spool.heard()
        return done
