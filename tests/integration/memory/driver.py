"""The memory wing over a real database, and short words for what tests do with it."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench.synthetic import Synthetic
from memdeck_common.clock import Clock, SystemClock, SystemIdentity
from memdeck_common.settings import Database as DatabaseSettings
from memdeck_common.settings import Embedding as EmbeddingSettings
from memdeck_common.settings import Memory as MemorySettings
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.infra.postgres.pool import open_pool
from memdeck_daemon.infra.postgres.pulse import Pulse
from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.infra.tasks import Tasks
from memdeck_daemon.memory import filters
from memdeck_daemon.memory import wing as wings
from memdeck_daemon.memory.embedding.desk import SpacesDesk
from memdeck_daemon.memory.embedding.filler import Filler
from memdeck_daemon.memory.embedding.local import LocalEmbedder
from memdeck_daemon.memory.lexical.index import LexicalIndex
from memdeck_daemon.memory.model import (
    EVERYTHING,
    Caller,
    Change,
    Found,
    Identifiers,
    Memory,
    NewMemories,
    NewMessage,
    Reach,
    Receipt,
)
from memdeck_daemon.memory.projections.lexical import LexicalProjection
from memdeck_daemon.memory.projections.vectors import VectorIndexes
from memdeck_daemon.memory.searcher.client import Reachable, SearchProcess
from memdeck_daemon.memory.searcher.engine import Engine
from memdeck_daemon.memory.service import MemoryService
from memdeck_daemon.memory.sessions.service import SessionService
from memdeck_daemon.memory.spool.replay import Replay
from memdeck_daemon.memory.spool.service import Spool
from tests.support.waiting import eventually

EVERY_TASK = ("writer", "spool", "lexical projection", "spaces", "embedding", "purge")
OWNER, OTHER = "bench_user_00001", "bench_user_00002"
"""The owners of the loaded database, and what they remember."""
LIFE = Synthetic(3, 256)
ADMIN = Caller("admin", "key-admin", EVERYTHING)


def caller(name: str, *, users: tuple[str, ...] = (), agents: tuple[str, ...] = ()) -> Caller:
    """A key that is no administrator's, pinned where patterns are given."""
    return Caller(name, f"key-{name}", Reach(users=users, agents=agents))


@dataclass(frozen=True, slots=True)
class Memories:
    """A wing that runs; unless a test says otherwise, everything is done by an administrator."""

    service: MemoryService
    sessions: SessionService
    projection: LexicalProjection
    writer: Any
    database: Database
    folder: Path
    desk: SpacesDesk
    replay: Replay
    big: Engine | SearchProcess
    filler: Filler

    @property
    def vectors(self) -> VectorIndexes:
        """The vector indexes, where they are in this process."""
        assert isinstance(self.big, Engine), "they are in another process"
        return self.big.vectors

    @property
    def spool(self) -> Spool:
        """Where writes wait."""
        return self.replay.spool

    @property
    def index(self) -> LexicalIndex:
        """The derived index."""
        return self.projection.index

    async def receipt(self, *texts: str | NewMessage, by: Caller = ADMIN, **rest: Any) -> Receipt:
        """Add one memory per text; `user`, `agent`, `app`, `run` say where, the rest is of `NewMemories`."""
        names = {kind: rest.pop(kind) for kind in ("user", "agent", "app", "run") if kind in rest}
        messages = tuple(NewMessage(text) if isinstance(text, str) else text for text in texts)
        return await self.service.add(NewMemories(messages, Identifiers.of(**names), **rest), by)

    async def add(self, *texts: str | NewMessage, by: Caller = ADMIN, **rest: Any) -> list[uuid.UUID]:
        """As `receipt`; the ids of what was stored."""
        told = await self.receipt(*texts, by=by, **rest)
        return [outcome.id for outcome in told.outcomes if outcome.id is not None]

    async def search(self, query: str, where: dict[str, Any], by: Caller = ADMIN, **rest: Any) -> Found:
        """Search, without a threshold and explained."""
        given = {"top_k": 10, "threshold": 0.0, "show_expired": False, "explain": True, **rest}
        return await self.service.search(query, filters.parse(where), by, **given)

    async def texts(self, query: str, where: dict[str, Any], by: Caller = ADMIN, **rest: Any) -> list[str]:
        """The texts of what a search finds, best first."""
        return [hit.memory.text for hit in (await self.search(query, where, by, **rest)).hits]

    async def page(self, where: dict[str, Any], by: Caller = ADMIN, **rest: Any) -> list[Memory]:
        """Everything that matches, expired ones too, newest first."""
        given = {"page": 1, "size": 100_000, "show_expired": True, **rest}
        return (await self.service.page(filters.parse(where), by, **given))[1]

    async def delete_scope(self, where: dict[str, Any], by: Caller = ADMIN) -> Receipt:
        """Delete everything that matches."""
        return await self.service.delete_scope(filters.parse(where), by)

    async def change(self, memory_id: uuid.UUID, by: Caller = ADMIN, **fields: Any) -> Memory:
        """Update a memory; `fields` are those of `Change`."""
        changed = await self.service.update(memory_id, Change(**fields), by)
        assert isinstance(changed, Memory), "it waits in the spool"
        return changed

    async def undo(self, memory_id: uuid.UUID, by: Caller = ADMIN) -> tuple[str, Memory | None]:
        """Revert a memory's last change."""
        undone = await self.service.undo(memory_id, by)
        assert isinstance(undone, tuple), "it waits in the spool"
        return undone

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Rows of a statement of the test's own."""
        async with self.database.connection() as connection:
            return list(await connection.fetch(query, *arguments))

    async def value(self, query: str, *arguments: Any) -> Any:
        """One value of a statement of the test's own."""
        return (await self.rows(query, *arguments))[0][0]

    async def arrivals(self, run: str) -> list[tuple[int, str]]:
        """Arrival number and text of a run's memories, in order."""
        rows = await self.rows(
            "SELECT arrival, text FROM memory.memories WHERE run_id = $1 ORDER BY owner, arrival", run
        )
        return [(row["arrival"], row["text"]) for row in rows]

    async def catch_up(self) -> None:
        """Let the index read all that can be read now."""
        while await self.projection.step():
            pass

    async def waits_for_a_lock(self) -> None:
        """Come back as soon as some session waits for a lock."""

        async def found() -> bool:
            return bool(await self.value("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await eventually(found, what="a session that waits for a lock")

    async def age(self, hours: float) -> None:
        """Make all that was written so far older."""
        await self.rows(
            "UPDATE memory.history SET changed_at = changed_at - make_interval(secs => $1)", hours * 3600
        )
        await self.rows(
            "UPDATE memory.receipts SET created_at = created_at - make_interval(secs => $1)", hours * 3600
        )


MakeMemories = Callable[..., Awaitable[Memories]]


@asynccontextmanager
async def opened(
    dsn: str,
    embedder: LocalEmbedder,
    folder: Path,
    *,
    background: Collection[str] = EVERY_TASK,
    name: str = "lexical:test",
    pool: DatabaseSettings | None = None,
    settings: MemorySettings | None = None,
    clock: Clock | None = None,
    embedding: EmbeddingSettings | None = None,
    spool: Path | None = None,
    apart: bool = False,
) -> AsyncIterator[Memories]:
    """The wing over a database, with some of its background tasks. `apart`: big owners are searched in another process."""
    pool_settings = pool or DatabaseSettings(pool_min=1, pool_max=4)
    connections = await open_pool(dsn, pool_settings)
    clock = clock or SystemClock()
    try:
        database = Database(connections, acquire_timeout=pool_settings.acquire_timeout)
        async with (
            wings.opened(
                database,
                embedder,
                settings or MemorySettings(index_interval=0.02),
                folder=folder,
                spool_folder=spool or folder.with_name(f"{folder.name}-spool"),
                name=name,
                clock=clock,
                identity=SystemIdentity(clock),
                observe=lambda _name, _seconds: None,
                embedding=embedding,
                apart=Reachable(lambda: dsn, pool_settings) if apart else None,
            ) as wing,
            Tasks(asyncio.Event()) as tasks,
        ):
            pulse = Pulse(lambda: dsn, database.guard.breaker, Modes(clock), clock.monotonic)
            tasks.start("pulse", pulse.run())
            for task in background:
                tasks.start(task, wing.background[task]())
            yield Memories(
                wing.service,
                wing.sessions,
                wing.projection,
                wing.writer,
                database,
                folder,
                wing.desk,
                wing.spool.replay,
                wing.big,
                wing.filler,
            )
    finally:
        await asyncio.wait_for(connections.close(), 10)


async def execute(dsn: str, statement: str) -> None:
    """One statement on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def fresh_name(prefix: str) -> str:
    """A name that nobody has."""
    return f"{prefix}_{os.urandom(4).hex()}"
