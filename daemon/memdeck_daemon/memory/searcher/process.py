"""The search process, as the daemon starts it: `python -m memdeck_daemon.memory.searcher.process`, a socket as its standard input.

Owns the vector indexes of big owners, their files, and few connections of its own to the database. Ends at once when the
socket does, whatever it is doing: what it writes is whole at every moment. Refuses everything but the socket.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

import asyncpg
from msgspec.structs import replace

from memdeck_common import log as logs
from memdeck_common.clock import SystemClock
from memdeck_common.errors import MemdeckError
from memdeck_common.log import action
from memdeck_daemon.infra import heap, interpreter
from memdeck_daemon.infra.postgres.database import Database, guard_of
from memdeck_daemon.infra.postgres.pool import open_pool
from memdeck_daemon.infra.resilience.policies import POSTGRESQL_UNWATCHED
from memdeck_daemon.memory.lexical.reader import IndexBroken, LexicalReader
from memdeck_daemon.memory.projections.vectors import VectorIndexes
from memdeck_daemon.memory.recall.big import BigOwners
from memdeck_daemon.memory.searcher.engine import Engine
from memdeck_daemon.memory.searcher.wire import (
    Answered,
    Asking,
    Channel,
    Look,
    Looked,
    Opening,
    PrimarySpace,
    Rebuild,
    Request,
    Spaces,
    VectorsLook,
)
from memdeck_daemon.memory.vectors.maker import Maker

log = logging.getLogger(__name__)

CONNECTIONS: Final = 3
"""Filters, changes, pages of an index that is made."""
TOGETHER: Final = 8
"""Searches that are answered together: the first of them waits for the last one."""
REFRESH: Final = 0.25
"""Seconds between looks for what the daemon has committed to the keyword index. Meanwhile the tail stands in for it."""
TRY_AGAIN: Final = 1.0
"""Seconds between tries to reach the database."""


class Process:
    """One daemon's searches in big owners."""

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._engine: Engine | None = None
        self._primary: PrimarySpace | None = None
        self._openings = asyncio.Queue[Opening](1)
        self._asked: list[Asking] = []
        """What came in the piece that is being read."""
        self._rebuild_wanted = False
        """Before there was anything to rebuild."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the daemon is gone."""
        loop = asyncio.get_running_loop()
        end = socket.socket(fileno=os.dup(sys.stdin.fileno()))
        channel = self._channel = Channel(Request, self._received, lambda: os._exit(0), self._ask)
        await loop.create_connection(lambda: channel, sock=end)
        opening = await self._openings.get()
        logging.getLogger().setLevel(opening.level)
        await _alone(opening.vectors)
        clock = SystemClock()
        settings = replace(opening.database, pool_min=1, pool_max=CONNECTIONS)
        patience = settings.acquire_timeout
        guard = guard_of(clock, CONNECTIONS, patience, policy=POSTGRESQL_UNWATCHED)
        database = Database(await _pool(opening.dsn, settings), acquire_timeout=patience, guard=guard)
        reader = LexicalReader(Path(opening.lexical))
        vectors = VectorIndexes(
            database,
            lambda: self._primary,
            Maker(database, Path(opening.vectors), clock),
            opening.name,
            opening.room,
            clock,
            lambda: reader.position,
            lambda: _refreshed(reader),
        )
        self._engine = Engine(vectors, BigOwners(database, reader))
        if self._rebuild_wanted:
            self._engine.rebuild_soon()
        heap.settle()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(vectors.follow())
            tasks.create_task(vectors.work())
            tasks.create_task(_follow(reader))

    def _received(self, message: Any) -> None:
        match message:
            case Asking():
                self._asked.append(message)
            case Look(number):
                self._start(self._look(number))
            case Spaces(primary):
                self._primary = primary
                if self._engine is not None:
                    self._engine.vectors.try_again()
            case Rebuild() if self._engine is not None:
                self._engine.rebuild_soon()
            case Rebuild():
                self._rebuild_wanted = True
            case Opening():
                self._primary = message.primary
                self._openings.put_nowait(message)

    def _ask(self) -> None:
        """What came together is answered together, a few at a time: nobody waits for all others."""
        asked, self._asked = self._asked, []
        for begin in range(0, len(asked), TOGETHER):
            self._answer_some(asked[begin : begin + TOGETHER])

    def _answer_some(self, asked: list[Asking]) -> None:
        engine = self._engine
        if engine is None:
            self._send(*[Answered(asking.number, "none") for asking in asked])
            return
        try:
            found = engine.at_once(asked)
        except Exception:  # one question must not end the process for all others
            if len(asked) > 1:
                fields = action("searches_apart", searches=len(asked))
                log.warning("searches that came together are done one by one", exc_info=True, extra=fields)
                for asking in asked:
                    self._answer_some([asking])
                return
            log.exception("a search failed", extra=action("searcher_failed"))
            found = [Answered(asked[0].number, "none")]
        self._send(*[one for one in found if one is not None])
        for asking, one in zip(asked, found, strict=True):
            if one is None:
                self._start(self._answer(engine, asking))

    async def _answer(self, engine: Engine, asking: Asking) -> None:
        found = Answered(asking.number, "none")
        try:
            found = await engine.answer(asking)
        except MemdeckError:
            pass  # the daemon asks the database itself, and finds out
        finally:
            self._send(found)

    async def _look(self, number: int) -> None:
        nothing = VectorsLook([], settled=False, rebuilds=0)
        self._send(Looked(number, await self._engine.look() if self._engine else nothing))

    def _send(self, *replies: Answered | Looked) -> None:
        if self._channel is not None and replies:
            self._channel.send(*replies)

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a search failed", exc_info=task.exception(), extra=action("searcher_failed"))


async def _alone(folder: str) -> None:
    """Be the only one that writes there: one of a daemon that was killed may take a moment to end. Held until the end."""
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - nobody waits for this process
    held = os.open(folder, os.O_RDONLY)
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(TRY_AGAIN / 10)
        else:
            return


async def _pool(dsn: str, settings: Any) -> Any:
    while True:
        try:
            return await open_pool(dsn, settings)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            await asyncio.sleep(TRY_AGAIN)


async def _refreshed(reader: LexicalReader) -> None:
    with contextlib.suppress(IndexBroken):  # without a position nothing relies on it
        await asyncio.to_thread(reader.refresh)


async def _follow(reader: LexicalReader) -> None:
    while True:
        await _refreshed(reader)
        await asyncio.sleep(REFRESH)


def main() -> None:
    """Run until the daemon is gone."""
    # What a terminal or a supervisor sends to the whole group reaches the daemon's children too: the daemon decides when
    # this one ends.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)
    interpreter.share()
    heap.economise()
    logs.configure()
    import uvloop  # late: after the settings of the heap

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Process().run())


if __name__ == "__main__":
    main()
