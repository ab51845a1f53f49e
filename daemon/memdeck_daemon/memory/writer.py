"""Group commit: concurrent adds share a transaction.

Owns the queue of adds and the one task that stores them. While one transaction commits, the next ones gather, so a lone
writer never waits for company and a crowd pays for one commit together. When a batch fails, its members are tried
singly, so that one bad add harms nobody else.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import numpy as np
from numpy.typing import NDArray

from memdeck_common.errors import MemdeckError, OutcomeUnknown, StoreUnavailable
from memdeck_common.log import action
from memdeck_daemon.memory import intents
from memdeck_daemon.memory.embedding.local import LocalEmbedder, rounded
from memdeck_daemon.memory.generations import Generations
from memdeck_daemon.memory.model import Outcome
from memdeck_daemon.memory.recall.block import Line, spoken
from memdeck_daemon.memory.recall.hotset import HotSet
from memdeck_daemon.memory.scopes import Scopes
from memdeck_daemon.memory.store import writes
from memdeck_daemon.memory.store.rows import hash_of

log = logging.getLogger(__name__)

BATCH: Final = 50
QUEUE: Final = 2_000
"""Adds that wait at most; more are refused, so that a slow database does not fill the memory."""


@dataclass(slots=True)
class Waiting:
    """An add and who waits for it."""

    add: writes.Add
    done: asyncio.Future[tuple[Outcome, ...]]


@dataclass(slots=True)
class Writer:
    """The only task that stores adds."""

    generations: Generations
    scopes: Scopes
    hot: HotSet
    embedder: LocalEmbedder
    began: Callable[[str], None] = lambda _user: None
    """Told of each user of whom a new run began."""
    batches: list[int] = field(default_factory=list)
    """Sizes of the batches since `take_batches`."""
    _queue: asyncio.Queue[Waiting] = field(default_factory=lambda: asyncio.Queue(QUEUE))

    async def prepared(self, adds: Sequence[intents.Add]) -> list[writes.Add]:
        """Adds with the vectors of their memories."""
        spoken_lines = [spoken(message.actor, message.text) for add in adds for message in add.new.kept]
        vectors = iter(rounded(await self.embedder.embed(spoken_lines)))
        return [writes.Add(add, tuple(_rows(add, vectors))) for add in adds]

    async def store(self, add: writes.Add) -> tuple[Outcome, ...]:
        """Store an add; on return it is committed.

        Raises:
            StoreUnavailable: the database does not answer, or too many adds wait already: nothing was stored.
            OutcomeUnknown: the database went away during the commit.
            asyncpg.UniqueViolationError: its idempotency key was taken by another add.
        """
        done = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(Waiting(add, done))
        except asyncio.QueueFull:
            raise StoreUnavailable(
                "Too many writes are waiting; nothing was stored. Try again shortly."
            ) from None
        outcomes: tuple[Outcome, ...] = await done
        return outcomes

    def take_batches(self) -> list[int]:
        """The sizes of the batches since the last call."""
        taken, self.batches = self.batches, []
        return taken

    async def run(self) -> None:
        """Store batches until cancelled; whoever waits then is told."""
        batch: list[Waiting] = []
        try:
            while True:
                batch = [await self._queue.get()]
                while len(batch) < BATCH and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                await self._store([waiting for waiting in batch if not waiting.done.done()])
        finally:
            for waiting in batch:
                _fail(
                    waiting, OutcomeUnknown("The daemon is stopping; whether this was stored is not known.")
                )
            while not self._queue.empty():
                _fail(
                    self._queue.get_nowait(), StoreUnavailable("The daemon is stopping; nothing was stored.")
                )

    async def _store(self, batch: list[Waiting]) -> None:
        if not batch:
            return
        self.batches.append(len(batch))
        try:
            stored = await self.commit([waiting.add for waiting in batch])
        except Exception as error:  # noqa: BLE001 - every failure belongs to those who wait, not to this task
            await self._after_failure(batch, error)
            return
        for waiting, outcomes in zip(batch, stored.outcomes, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(outcomes)

    async def _after_failure(self, batch: list[Waiting], error: Exception) -> None:
        if len(batch) == 1 or isinstance(error, StoreUnavailable):
            if not isinstance(error, MemdeckError | asyncpg.UniqueViolationError):
                log.error(
                    "an add failed", exc_info=error, extra=action("memory_operation_failed", operation="add")
                )
            for waiting in batch:
                _fail(waiting, error)
            return
        for waiting in batch:
            await self._store([waiting])

    async def commit(self, adds: list[writes.Add]) -> writes.Stored:
        """Store adds in one transaction, all or none; errors as `store`, and whatever the database refuses."""
        async with self.hot.committing({add.new.identifiers.owner for add in adds}):
            async with self.generations.writing() as write:
                stored = await writes.insert(write.connection, adds)
                write.touched(stored.counters)
            self.scopes.learn(stored.counters)
            self.hot.added(stored.counters, _lines(adds, stored))
        for user in _beginners(adds, stored):
            self.began(user)
        return stored


def _rows(add: intents.Add, vectors: Iterator[NDArray[np.float32]]) -> Iterator[writes.Row]:
    for message, (memory_id, history_id) in zip(add.new.kept, add.ids, strict=True):
        yield writes.Row(memory_id, history_id, message, uuid.UUID(hash_of(message.text)), next(vectors))


def _lines(adds: list[writes.Add], stored: writes.Stored) -> dict[str, list[Line]]:
    """What was added, by owner, as blocks take it."""
    lines: dict[str, list[Line]] = {}
    for add in adds:
        names = add.new.identifiers
        lines.setdefault(names.owner, []).extend(
            Line(
                id=row.id,
                text=row.message.text,
                vector=row.vector,
                created_at=add.new.created_at or add.intent.at,
                actor=row.message.actor,
                run=names.run,
                arrival=stored.arrivals.get(row.id),
                expiration_date=add.new.expiration_date,
                owner=names.owner,
            )
            for row in add.rows
        )
    return lines


def _beginners(adds: list[writes.Add], stored: writes.Stored) -> set[str]:
    """Users of whom the first memory of a run was stored."""
    return {
        add.new.identifiers.user
        for add in adds
        if add.new.identifiers.user and add.rows and stored.arrivals.get(add.rows[0].id) == 1
    }


def _fail(waiting: Waiting, error: Exception) -> None:
    if not waiting.done.done():
        known = isinstance(error, MemdeckError | asyncpg.UniqueViolationError)
        waiting.done.set_exception(error if known else MemdeckError())
