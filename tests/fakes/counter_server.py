"""Counters, their locks and two kinds of connection to them, as a database would behave; steps can be held up.

Serves `memory.generations`: it understands the statements of `store/ownership.py` and `store/counters.py` and no others.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.store import counters, ownership
from memdeck_daemon.memory.store.counters import Counter


@dataclass(slots=True)
class CounterServer:
    """What all connections share."""

    generations: dict[Identifier, int] = field(default_factory=dict)
    lineage: uuid.UUID = field(default_factory=uuid.uuid4)
    company: bool = False
    """Another daemon is there."""
    waiting: bool = False
    """A write waits for the owner to step down."""
    reads: int = 0
    looks: int = 0
    as_writer: int = 0
    """Writes that took the writers' lock."""
    before_commit: Callable[[], Any] | None = None
    """Awaited while the server commits; it has the new values already."""
    after_read: Callable[[], Any] | None = None
    """Awaited between a read's snapshot and its answer."""
    locks: list["LockConnection"] = field(default_factory=list)

    # --- the pool -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["CounterServer"]:
        """A connection of the pool."""
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """A transaction: what was bumped becomes visible at its end."""
        transaction = Transaction(self)
        yield transaction
        self.generations.update(transaction.bumped)
        if self.before_commit is not None:
            await self.before_commit()

    async def fetchrow(self, query: str, *arguments: Any) -> dict[str, Any]:
        """`counters.generations` of few names."""
        assert "AS generations" in query
        assert len(arguments) <= 2 * counters.FEW
        self.reads += 1
        names = [Identifier(kind, value) for kind, value in zip(arguments[::2], arguments[1::2], strict=True)]
        found = {"lineage": self.lineage, "generations": [self.generations.get(name, 0) for name in names]}
        if self.after_read is not None:
            await self.after_read()
        return found

    async def fetch(self, query: str, kinds: list[Any], values: list[str]) -> list[dict[str, Any]]:
        """`counters.settled`."""
        assert "FOR SHARE" in query
        names = [Identifier(kind, value) for kind, value in zip(kinds, values, strict=True)]
        return [
            {"kind": name.kind, "value": name.value, "generation": self.generations[name]}
            for name in names
            if name in self.generations
        ]

    # --- the lock's connection ------------------------------------------------------------------------------------------

    def connect(self) -> AbstractAsyncContextManager["LockConnection"]:
        """One connection for the lock."""
        return self._connected()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["LockConnection"]:
        connection = LockConnection(self)
        self.locks.append(connection)
        yield connection


@dataclass(slots=True)
class Transaction:
    """A write under way."""

    server: CounterServer
    bumped: dict[Identifier, int] = field(default_factory=dict)

    def bump(self, *names: Identifier) -> list[Counter]:
        """What a write's last statement does and returns."""
        self.bumped |= {name: self.server.generations.get(name, 0) + 1 for name in names}
        return [Counter(name, generation, 1) for name, generation in self.bumped.items()]

    async def execute(self, query: str, *_: Any) -> None:
        """`ownership.enter_as_writer`."""
        assert "pg_advisory_xact_lock_shared" in query
        self.server.as_writer += 1


@dataclass(slots=True)
class LockConnection:
    """The connection that holds the lock."""

    server: CounterServer
    ended: Callable[[Any], None] = lambda _: None
    notified: Callable[..., None] = lambda *_: None
    exclusive: bool = False

    def get_server_pid(self) -> int:
        """A number of its own."""
        return 1

    def add_termination_listener(self, listener: Callable[[Any], None]) -> None:
        """Told when it is lost."""
        self.ended = listener

    async def add_listener(self, channel: str, listener: Callable[..., None]) -> None:
        """Told when somebody announces itself."""
        assert channel == ownership.CHANNEL
        self.notified = listener

    async def execute(self, query: str, *_: Any) -> None:
        """Announcing, joining, stepping down."""
        if "pg_advisory_unlock" in query:
            self.exclusive = False

    async def fetchval(self, query: str, *_: Any) -> bool:
        """Taking an exclusive lock."""
        assert "pg_try_advisory_lock" in query
        self.exclusive = not self.server.company
        return self.exclusive

    async def fetchrow(self, query: str, *_: Any, timeout: float) -> dict[str, Any]:  # noqa: ASYNC109 - the driver's
        """A look."""
        assert query == ownership.LOOK
        assert timeout > 0
        await asyncio.sleep(0)
        self.server.looks += 1
        return {
            "lineage": self.server.lineage,
            "company": self.server.company,
            "waiting": self.server.waiting,
        }
