"""Generations: whether what was made from some names' memories still holds.

Owns what this process knows of the counters, and when it may rely on it. A daemon that is alone with its database owns
them: it keeps them in memory, and its own commits are all that changes them. With company it reads them for each question.
It starts in company and takes ownership after a while of solitude; it steps down before a newcomer's first write can
commit, and stops relying on its memory when its lock's connection is lost or has not been proven for `LEASE` seconds.

A value is taken from a commit after it, never before. From the moment at which a commit is sent until its outcome is known
the names that it touches have no generation; when the outcome stays unknown, not until they have been read behind it.
"""

import asyncio
import logging
import math
import uuid
from collections import Counter as Tally
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import asyncpg

from memdeck_common.clock import Clock
from memdeck_common.errors import OutcomeUnknown, StoreUnavailable
from memdeck_common.log import action
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.infra.postgres.dedicated import Connect
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.store import counters, ownership

log = logging.getLogger(__name__)

Standing = Literal["apart", "company", "sole"]
"""`apart`: without the lock; `company`: it is held shared; `sole`: exclusively."""
Stamp = tuple[int, ...]
"""The lineage, then the generations of some names in their order."""

FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""Of the lock's connection; the third is what the driver says when the server goes while it is about to write."""
LEASE: Final = 3.0
"""Seconds for which a round trip on the lock's connection proves that the lock is held."""
LINGER: Final = 5.0
"""Seconds of solitude before ownership is taken. More than LEASE: whoever lost its lock has noticed by then, and what it
was committing as the owner has ended."""
LOOK: Final = 1.0
"""Seconds between looks at the locks; a notification comes sooner."""
RETRY: Final = 0.5
DRAIN: Final = 0.5
"""Seconds that writes wait at most for ownership to be taken; where others need longer it is tried again later."""
NAMES: Final = 100_000
"""Names whose generation is known, at most."""
SUSPECTS: Final = 10_000
LINEAGE_BITS: Final = 63


@dataclass(slots=True)
class Writing:
    """A write transaction under way."""

    connection: Any
    names: list[Identifier] = field(default_factory=list)
    found: list[counters.Counter] = field(default_factory=list)

    def touched(self, found: Iterable[counters.Counter]) -> None:
        """What the transaction's last statement returned."""
        self.found.extend(found)
        self.names = [counter.identifier for counter in self.found]


class Generations:
    """The counters of one database, as this process may rely on them. `run` for as long as it serves."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        connect: Connect | None = None,
        *,
        linger: float = LINGER,
        checked: bool = True,
    ) -> None:
        """`connect` opens the lock's connection; without one the counters are read for each question.

        `checked=False` takes every stamp for valid: the control run of the search for stale answers.
        """
        self._database, self._clock, self._connect = database, clock, connect
        self._linger, self._checked = linger, checked
        self._standing: Standing = "apart"
        self._trusted_until = -math.inf
        self._lineage: int | None = None
        self._known: OrderedDict[Identifier, int] = OrderedDict()
        self._latest: OrderedDict[Identifier, int] = OrderedDict()
        """What was last learnt of a counter, whether or not it may be relied on."""
        self._latest_lineage: int | None = None
        self._pending: Tally[Identifier] = Tally()
        self._suspect: set[Identifier] = set()
        # Reads under way: what has been learnt of their names meanwhile. A generation is at least that; infinite: what
        # is being read says nothing.
        self._reads: list[dict[Identifier, float]] = []
        self._terms = 0
        """How often the standing has changed."""
        self._wake = asyncio.Event()
        self._called = False
        """Somebody has announced itself."""
        self._entering = 0
        """Writes of this process that hold WRITERS or wait for it."""
        self._gate, self._idle = asyncio.Event(), asyncio.Event()
        self._gate.set()
        self._idle.set()

    @property
    def standing(self) -> Standing:
        """How this process stands right now."""
        return "sole" if self._owns() else "company" if self._standing == "sole" else self._standing

    def _owns(self) -> bool:
        return self._standing == "sole" and self._clock.monotonic() < self._trusted_until

    # --- asking -------------------------------------------------------------------------------------------------------

    def current(self, names: Sequence[Identifier]) -> Stamp | None:
        """The stamp of these names from memory; None: it has to be read."""
        if not self._checked:
            return (0,)
        if not self._owns() or self._lineage is None:
            return None
        known, pending = self._known, self._pending
        found = [self._lineage]
        for name in names:
            generation = known.get(name)
            if generation is None or name in pending:
                return None
            known.move_to_end(name)
            found.append(generation)
        return tuple(found)

    def latest(self, names: Sequence[Identifier]) -> Stamp | None:
        """What was last learnt of these names, which may be outdated: no answer from before it holds any more."""
        if self._latest_lineage is None:
            return None
        return (self._latest_lineage, *(self._latest.get(name, 0) for name in names))

    async def read(self, names: Sequence[Identifier]) -> Stamp | None:
        """The stamp of these names from the database; None: it cannot be told now, nothing may be kept or reused.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        terms, read = self._terms, dict.fromkeys(names, 0.0)
        self._reads.append(read)
        try:
            async with self._database.connection() as connection:
                if self._standing == "sole" and not self._suspect.isdisjoint(names):
                    await self._settle(connection, read)
                lineage, values = await counters.generations(connection, names)
            return self._stamp(lineage, dict(zip(names, values, strict=True)), read, terms)
        finally:
            self._reads = [other for other in self._reads if other is not read]

    async def _settle(self, connection: Any, read: dict[Identifier, float]) -> None:
        """Clear the suspicion of names whose transactions have ended; a name without a row stays suspect."""
        found = await counters.settled(connection, [name for name in read if name in self._suspect])
        self._suspect -= {name for name in found if read[name] != math.inf}

    def _stamp(
        self, lineage: uuid.UUID, values: dict[Identifier, int], read: dict[Identifier, float], terms: int
    ) -> Stamp | None:
        number = lineage.int & ((1 << LINEAGE_BITS) - 1)
        self._latest_lineage = number
        for name, value in values.items():
            self._note(name, value)
        if not self._owns():
            return (number, *values.values())
        if terms != self._terms:
            return None
        for name, value in values.items():
            least = max(value, read[name], self._known.get(name, 0))
            if name in self._pending or name in self._suspect or least == math.inf:
                return None
            values[name] = int(least)
        for name, value in values.items():
            self._keep(name, value)
        return (number, *values.values())

    def _note(self, name: Identifier, generation: int) -> None:
        self._latest[name] = max(generation, self._latest.pop(name, 0))
        while len(self._latest) > NAMES:
            self._latest.popitem(last=False)

    def _keep(self, name: Identifier, generation: int) -> None:
        self._known[name] = generation
        self._known.move_to_end(name)
        while len(self._known) > NAMES:
            self._known.popitem(last=False)

    # --- writing ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Writing]:
        """A transaction that writes memories; its body tells what it touched, as the last thing it does.

        Errors as `Database.transaction`, and OutcomeUnknown: the database went away during the commit.
        """
        write: Writing | None = None
        sent = entered = False
        try:
            async with self._database.transaction() as connection:
                write = Writing(connection)
                yield write
                await self._gate.wait()
                if write.names and not self._owns():
                    self._entering += 1
                    self._idle.clear()
                    entered = True
                    await ownership.enter_as_writer(connection)
                # From here on the server may have committed at any moment.
                self._pending.update(write.names)
                sent = True
        except BaseException as error:
            if write is not None and sent:
                self._doubt(write.names)
                if isinstance(error, StoreUnavailable):
                    raise OutcomeUnknown from error
            raise
        else:
            self._learn(write.found)
        finally:
            self._entering -= entered
            if not self._entering:
                self._idle.set()
            if write is not None and sent:
                self._land(write.names)

    def _land(self, names: Sequence[Identifier]) -> None:
        self._pending.subtract(names)
        for name in names:
            if self._pending[name] <= 0:
                del self._pending[name]

    def _learn(self, found: Sequence[counters.Counter]) -> None:
        for counter in found:
            name, generation = counter.identifier, counter.generation
            self._note(name, generation)
            for read in self._reads:
                if name in read:
                    read[name] = max(read[name], generation)
            # A commit behind one of unknown outcome: its counter was locked, so the other has ended.
            self._suspect.discard(name)
            # Not `_owns`: while the lock is held but not proven, commits must be noted nevertheless.
            if self._standing == "sole":
                self._keep(name, max(generation, self._known.get(name, 0)))

    def _doubt(self, names: Sequence[Identifier]) -> None:
        """Whether a transaction that touches these names was committed is not known."""
        for name in names:
            self._known.pop(name, None)
            self._suspect.add(name)
            for read in self._reads:
                if name in read:
                    read[name] = math.inf
        if len(self._suspect) > SUSPECTS:
            self._suspect.clear()
            self._become("apart")
            self._wake.set()
        log.warning(
            "the outcome of a write is not known; %d names are read again",
            len(names),
            extra=action("outcome_unknown", names=len(names)),
        )

    # --- the locks ----------------------------------------------------------------------------------------------------

    def _become(self, standing: Standing) -> None:
        if standing == self._standing:
            return
        fields = action("standing_changed", standing=standing, before=self._standing)
        log.info("counters: %s", _SENTENCES[standing], extra=fields)
        self._standing = standing
        self._terms += 1
        self._known.clear()

    async def run(self) -> None:
        """Hold the lock, again whenever it is lost, until cancelled."""
        told = ""
        try:
            while self._connect is not None:
                try:
                    async with self._connect() as connection:
                        await self._hold(connection)
                except FAULTS as error:
                    reason = type(error).__name__
                    # A standby takes the connection and gives no lock, again and again.
                    if self._standing != "apart" or reason != told:
                        fields = action("presence_lost", error=reason)
                        log.warning("the lock of the counters is not held (%s)", reason, extra=fields)
                    told = reason
                self._become("apart")
                await asyncio.sleep(RETRY)
            await asyncio.Event().wait()
        finally:
            self._become("apart")

    async def _hold(self, connection: Any) -> None:
        """Join, then look after the lock until its connection is lost."""
        own_pid = connection.get_server_pid()

        def called(_connection: Any, pid: int, _channel: str, _payload: object) -> None:
            if pid != own_pid:
                self._called = True
                self._wake.set()

        connection.add_termination_listener(lambda _: self._lost())
        await connection.add_listener(ownership.CHANNEL, called)
        await ownership.announce(connection)
        await ownership.join(connection)
        self._become("company")
        alone_since = self._clock.monotonic()
        while self._standing != "apart":
            self._wake.clear()
            asked = self._clock.monotonic()
            seen = await ownership.look(connection, timeout=LEASE)
            self._lineage = self._latest_lineage = seen.lineage.int & ((1 << LINEAGE_BITS) - 1)
            called_meanwhile, self._called = self._called, False
            if seen.company or seen.waiting or called_meanwhile:
                alone_since = self._clock.monotonic()
                await self._step_down(connection)
            elif self._standing == "sole":
                self._trusted_until = asked + LEASE
            elif asked - alone_since >= self._linger:
                await self._take(connection, asked)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK)

    async def _step_down(self, connection: Any) -> None:
        if self._standing == "sole":
            self._become("company")
            await ownership.step_down(connection)

    async def _take(self, connection: Any, asked: float) -> None:
        """Own the counters, unless somebody is quicker."""
        # Writes wait here for the answer: one that asked for WRITERS now would wait for this very process. Those that
        # hold it have nothing left to do but their commit.
        self._gate.clear()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), DRAIN)
            if self._entering:
                return
            async with asyncio.timeout(LEASE):  # beyond it the connection is given up
                owned = await ownership.own(connection)
            if owned and self._standing == "company":
                self._trusted_until = asked + LEASE
                self._become("sole")
        finally:
            self._gate.set()

    def _lost(self) -> None:
        self._become("apart")
        self._wake.set()


_SENTENCES: Final[dict[Standing, str]] = {
    "apart": "not held, each question reads them",
    "company": "shared with other daemons, each question reads them",
    "sole": "owned, kept in memory",
}
