"""Puts this wing together.

Owns the order in which its parts are built and the list of what runs beside the requests; the composition root gives it
a database and takes the service.
"""

import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from memdeck_common.clock import Clock, Identity
from memdeck_common.errors import ConfigurationError
from memdeck_common.settings import Embedding as EmbeddingSettings
from memdeck_common.settings import Memory as MemorySettings
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.infra.postgres.dedicated import Connect
from memdeck_daemon.infra.postgres.tuning import this_machine
from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.memory.changes import Changer
from memdeck_daemon.memory.embedding.desk import SpacesDesk
from memdeck_daemon.memory.embedding.filler import Filler
from memdeck_daemon.memory.embedding.local import LocalEmbedder
from memdeck_daemon.memory.embedding.queries import Queries, SharedCache
from memdeck_daemon.memory.embedding.spaces import Spaces
from memdeck_daemon.memory.generations import Generations
from memdeck_daemon.memory.lexical.index import LexicalIndex
from memdeck_daemon.memory.projections.desk import ProjectionsDesk, VectorProjection
from memdeck_daemon.memory.projections.lexical import LexicalProjection
from memdeck_daemon.memory.projections.vectors import VectorIndexes
from memdeck_daemon.memory.recall.big import BigOwners
from memdeck_daemon.memory.recall.hotset import HotSet
from memdeck_daemon.memory.recall.hydration import Hydration
from memdeck_daemon.memory.recall.hydration import read as hydrated
from memdeck_daemon.memory.recall.pace import Pace
from memdeck_daemon.memory.recall.search import Recall
from memdeck_daemon.memory.scopes import Scopes
from memdeck_daemon.memory.searcher.client import Reachable, SearchProcess
from memdeck_daemon.memory.searcher.engine import Engine
from memdeck_daemon.memory.searcher.wire import Opening, PrimarySpace
from memdeck_daemon.memory.service import MemoryService
from memdeck_daemon.memory.sessions.budget import TokenCounter
from memdeck_daemon.memory.sessions.service import SessionService
from memdeck_daemon.memory.sessions.warming import Warming
from memdeck_daemon.memory.sessions.windows import KeptWindows, OwnShelf
from memdeck_daemon.memory.spool.desk import SpoolDesk
from memdeck_daemon.memory.spool.journal import Journal
from memdeck_daemon.memory.spool.parked import Parked
from memdeck_daemon.memory.spool.replay import Replay
from memdeck_daemon.memory.spool.segments import Segments
from memdeck_daemon.memory.spool.service import Spool
from memdeck_daemon.memory.unverified import Unverified
from memdeck_daemon.memory.upkeep import purge
from memdeck_daemon.memory.vectors.maker import Maker
from memdeck_daemon.memory.writer import Writer
from memdeck_daemon.memory.writing import Writing


@dataclass(frozen=True, slots=True)
class Wing:
    """The memory wing, ready."""

    service: MemoryService
    sessions: SessionService
    generations: Generations
    writer: Writer
    projection: LexicalProjection
    big: Engine | SearchProcess
    """Searches in big owners, in this process or in one of their own."""
    projections: ProjectionsDesk
    desk: SpacesDesk
    filler: Filler
    spool: SpoolDesk
    unverified: Unverified
    background: dict[str, Callable[[], Coroutine[Any, Any, None]]]
    """What has to run as long as requests are served, by name."""


def load_embedder() -> LocalEmbedder:
    """The local space; about half a second of imports and reading, so it is done beside the database's start."""
    return LocalEmbedder.load()


@asynccontextmanager
async def opened(
    database: Database,
    embedder: LocalEmbedder,
    settings: MemorySettings,
    *,
    folder: Path,
    spool_folder: Path,
    name: str,
    clock: Clock,
    identity: Identity,
    observe: Callable[[str, float], None],
    connect: Connect | None = None,
    checked: bool = True,
    instance: str = "",
    embedding: EmbeddingSettings | None = None,
    shared: SharedCache | None = None,
    modes: Modes | None = None,
    vectors_folder: Path | None = None,
    apart: Reachable | None = None,
) -> AsyncIterator[Wing]:
    """The wing over a database. `folder` holds the keyword index, `name` is its reader's name in the outbox.

    `vectors_folder` holds the vector indexes of big owners, beside the keyword index if None; they are searched in a process
    of their own, where it can be told how it reaches the database (`apart`), else in this one. In `spool_folder` writes wait while the database does not take them. `observe` is told the stages of searches and their
    seconds. `connect` and `checked` are those of `Generations`; `shared` keeps vectors of queries and windows of sessions
    for the other daemons of this `instance` too; `modes` hears what is slow, and whether the spool is full.
    """
    async with AsyncExitStack() as stack:
        index = LexicalIndex(folder)
        stack.callback(index.close)
        modes = modes or Modes(clock)
        spaces = Spaces(database, embedding or EmbeddingSettings(), clock, modes)
        stack.push_async_callback(spaces.close)
        await spaces.open()
        queries = Queries(spaces, observe, clock.monotonic, shared)
        stack.push_async_callback(queries.close)
        filler = Filler(database, spaces, name, clock, observe)
        scopes = Scopes(clock)
        generations = Generations(database, clock, connect, checked=checked)
        current = generations.current if checked else lambda _: None
        hot = HotSet(database, settings.hot_bytes, spaces, current)
        warming = Warming(hot)
        writer = Writer(generations, scopes, hot, embedder, warming.expect)
        projection = LexicalProjection(database, index, name, settings.index_interval)

        def wake() -> None:
            projection.wake()
            filler.wake()

        changer = Changer(
            database, generations, embedder, scopes, hot, clock, identity, settings.undo_hours, wake
        )
        kept_at = vectors_folder or folder.with_name(f"{folder.name}-vectors")
        room = settings.vector_bytes if settings.vector_bytes is not None else this_machine().memory // 4
        primary = partial(_primary, spaces)
        big: Engine | SearchProcess
        for_vectors: dict[str, Callable[[], Coroutine[Any, Any, None]]]
        if apart is not None and room:

            def opening() -> Opening:
                return Opening(
                    apart.dsn(), apart.settings, str(folder), str(kept_at), f"vectors of {name}", room, primary(), logging.getLogger().level
                )  # fmt: skip

            big = SearchProcess(opening, primary, clock)
            for_vectors = {"search process": partial(big.run, kept_at)}
        else:
            maker = Maker(database, kept_at, clock)
            stack.callback(maker.close)
            vectors = VectorIndexes(
                database, primary, maker, f"vectors of {name}", room, clock, lambda: index.position
            )
            big = Engine(vectors, BigOwners(database, index))
            for_vectors = {"vector indexes": vectors.follow, "vector files": vectors.work}
        pace = Pace(modes)
        hydration = Hydration(partial(hydrated, database))
        recall = Recall(
            database, hydration, embedder, index, scopes, hot, clock, queries, pace, observe, big, current
        )
        spool = await _spool(stack, spool_folder, settings.spool_bytes, clock, modes)
        replay = Replay(spool, database, writer, changer)
        writing = Writing(database, writer, changer, spool, clock, identity)
        service = MemoryService(database, writing, spool, recall, settings, clock, identity)
        own = OwnShelf(clock)
        kept = KeptWindows(instance, [own] if shared is None else [shared, own])
        sessions = SessionService(database, service, TokenCounter(embedder.tokenizer), kept, clock, identity)
        desk = SpacesDesk(spaces, database)
        background: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "generations": generations.run,
            "writer": writer.run,
            "spool": replay.run,
            "lexical projection": projection.run,
            **for_vectors,
            "spaces": spaces.run,
            "embedding": filler.run,
            "warming": warming.run,
            "purge": partial(purge.run, database, settings.undo_hours, sessions.purge),
        }
        yield Wing(
            service,
            sessions,
            generations,
            writer,
            projection,
            big,
            ProjectionsDesk([projection, VectorProjection(big)]),
            desk,
            filler,
            SpoolDesk(replay, clock),
            Unverified(generations, spool.journal, modes),
            background,
        )


def _primary(spaces: Spaces) -> PrimarySpace | None:
    live = spaces.primary
    return PrimarySpace(live.space.id, live.space.dimensions) if live is not None else None


async def _spool(stack: AsyncExitStack, folder: Path, limit: int, clock: Clock, modes: Modes) -> Spool:
    journal = Journal(Segments(folder), Parked(folder / "parked"), limit)
    stack.push_async_callback(journal.close)
    spool = Spool(
        journal,
        clock,
        lambda full: modes.spool(full=full),
        lambda refused: modes.writes(refused=refused),
        lambda: modes.away,
    )
    try:
        await spool.open()
    except OSError as error:
        raise ConfigurationError(
            f"The spool {folder} cannot be used ({error.strerror or error}); check who owns it and its permissions."
        ) from None
    return spool
