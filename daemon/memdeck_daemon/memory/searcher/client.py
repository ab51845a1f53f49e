"""The daemon's end of its search process.

Owns the process: it is started when somebody first searches a big owner, or at once where files of indexes are there, and
started anew when it ends, less and less often. A search that it does not answer in time goes on without it, as one goes on
while an index is being made; a process that answers nobody for long is ended. Refuses to wait for its start.
"""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from memdeck_common.clock import Clock
from memdeck_common.log import action
from memdeck_common.settings import Database
from memdeck_common.wire.projections import VectorStatus
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.searcher.wire import (
    Answered,
    Asking,
    Channel,
    Look,
    Looked,
    Opening,
    PrimarySpace,
    Rebuild,
    Reply,
    Spaces,
    VectorsLook,
)

log = logging.getLogger(__name__)

DEADLINE: Final = 2.0
"""Seconds that a search waits for an answer; one takes a ms or two, and twenty may be before it. Where nobody was answered
for so long, nobody waits."""
UNDER_WAY: Final = 256
"""Searches that wait at once; more go without."""
SILENT: Final = 15.0
"""Seconds without any answer although somebody asked, after which the process is taken for stuck."""
START: Final = 60.0
"""As long it may take to begin."""
LOOKS: Final = 0.5
"""Seconds between looks at the process."""
FIRST_REST: Final = 0.5
LAST_REST: Final = 30.0
"""Seconds before it is started again; doubled each time until it has lasted a minute."""
LASTED: Final = 60.0
GRACE: Final = 2.0
"""Seconds that it may take to end."""
NONE: Final = Answered(0, "none")
FIRST: Final = 0
"""Number of the look by which it is found out that the process has started; nobody waits for it."""
MODULE: Final = "memdeck_daemon.memory.searcher.process"


@dataclass(frozen=True, slots=True)
class Reachable:
    """How another process reaches the database of this one."""

    dsn: Callable[[], str]
    """OSError while it has never been reached."""
    settings: Database


@dataclass(slots=True)
class SearchProcess:
    """Searches in big owners, in another process. `run` for as long as it serves."""

    opening: Callable[[], Opening]
    """What the process works with; OSError while the database has never been reached."""
    primary: Callable[[], PrimarySpace | None]
    clock: Clock
    pid: int | None = None
    _channel: Channel | None = None
    _waiting: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    _number: int = 0
    _known: dict[tuple[Identifier, int], tuple[int, int]] = field(default_factory=dict)
    _told: PrimarySpace | None = None
    _asked_at: float | None = None
    """Since when somebody has waited without any answer to anybody. Monotonic seconds."""
    _state: str = "not started"
    _rebuilds: int = 0
    """Of nothing, while there is no process, and of those that have ended."""
    _rebuilt: int = 0
    """Of this process, as far as it has told."""
    _rebuilding: bool = False
    """It has been asked for a rebuild and has not told of one since."""
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)

    # --- for searches -------------------------------------------------------------------------------------------------

    def known(self, owner: Identifier, space: int) -> tuple[int, int] | None:
        """How many memories the owner's index held in the last answer, and how many of them waited for their vector."""
        return self._known.get((owner, space))

    async def answer(self, asking: Asking) -> Answered:
        """What is found; of state `none` where there is no index, or no answer in time."""
        self._wanted.set()
        self._tell_spaces()
        found: Answered = await self._exchanged(lambda number: replace(asking, number=number), NONE)
        key = (Identifier(asking.kind, asking.value), asking.space)
        if found.state == "none":
            self._known.pop(key, None)
        elif found.state == "found":
            self._known[key] = (found.total, found.waiting)
        return found

    def _tell_spaces(self) -> None:
        primary = self.primary()
        if primary != self._told and self._channel is not None and self._channel.send(Spaces(primary)):
            self._told = primary

    async def _exchanged(self, message: Callable[[int], Any], otherwise: Any) -> Any:
        if self._channel is None or len(self._waiting) >= UNDER_WAY or self._silent_for() > DEADLINE:
            return otherwise
        self._number += 1
        number = self._number
        if not self._channel.send(message(number)):
            return otherwise
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        if self._asked_at is None:
            self._asked_at = self.clock.monotonic()
        try:
            async with asyncio.timeout(deadline.left(DEADLINE)):
                return await future
        except TimeoutError:
            return otherwise
        finally:
            self._waiting.pop(number, None)

    def _silent_for(self) -> float:
        """Seconds for which somebody has waited and nobody was answered."""
        return self.clock.monotonic() - self._asked_at if self._asked_at is not None else 0.0

    def _received(self, reply: Any) -> None:
        # Taken out here: whoever waited for it runs later, and several answers may come in one piece.
        future = self._waiting.pop(reply.number, None)
        self._asked_at = self.clock.monotonic() if self._waiting else None
        if future is not None and not future.done():
            future.set_result(reply.look if isinstance(reply, Looked) else reply)

    def _lost(self) -> None:
        self._channel, self._asked_at = None, None
        # One that was under way could not be done: whoever waits for it must not wait for ever.
        self._rebuilds += self._rebuilt + self._rebuilding
        self._rebuilt, self._rebuilding = 0, False
        self._known.clear()
        for future in self._waiting.values():
            if not future.done():
                future.set_result(NONE)

    # --- for people ---------------------------------------------------------------------------------------------------

    async def look(self) -> VectorsLook:
        """What its indexes hold and how far they are."""
        if self._channel is None and not self._wanted.is_set():
            return VectorsLook([], settled=True, rebuilds=self._rebuilds)
        found = await self._exchanged(Look, None)
        if isinstance(found, VectorsLook):
            if found.rebuilds > self._rebuilt:
                self._rebuilt, self._rebuilding = found.rebuilds, False
            return replace(found, rebuilds=found.rebuilds + self._rebuilds)
        state = f"search process: {self._state}"
        return VectorsLook(
            [VectorStatus(owner="", space=0, state=state, memories=0, waiting=0, unsaved=0, bytes=0)],
            settled=False,
            rebuilds=self._rebuilds,
        )

    def rebuild_soon(self) -> None:
        """Have all of them made anew; they serve until then."""
        if self._channel is not None and self._channel.send(Rebuild()):
            self._rebuilding = True
        else:
            self._rebuilds += 1  # done already

    # --- the process --------------------------------------------------------------------------------------------------

    async def run(self, files: Path) -> None:
        """Keep it running until cancelled, once it is wanted; it is at once where `files` holds indexes."""
        if await asyncio.to_thread(lambda: any(files.glob("*/"))):
            self._wanted.set()
        await self._wanted.wait()
        rest = FIRST_REST
        while True:
            begun = self.clock.monotonic()
            try:
                self._state = await self._lived()
            except OSError as error:  # no database yet, no room for a process, …
                self._state = (
                    f"cannot be started: {error.strerror or 'the database has not been reached yet'}"
                )
            else:
                log.warning("the search process %s", self._state, extra=action("searcher_ended"))
            rest = FIRST_REST if self.clock.monotonic() - begun > LASTED else min(2 * rest, LAST_REST)
            await asyncio.sleep(rest)

    async def _lived(self) -> str:
        """One life of the process; how it ended."""
        opening = self.opening()
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as until_connected, theirs:
            until_connected.callback(ours.close)
            ours.setblocking(False)
            channel = Channel(Reply, lambda reply: self._heard(channel, reply), self._lost)
            await asyncio.get_running_loop().create_connection(lambda: channel, sock=ours)
            until_connected.pop_all()
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-m", MODULE, stdin=theirs.fileno()
                )
            except BaseException:
                channel.close()
                raise
        # One task for its whole life: each wait of its own would stay in the loop's list until the process ends.
        ended = asyncio.create_task(process.wait())
        try:
            self.pid, self._state, self._told = process.pid, "starting", opening.primary
            channel.send(opening)
            channel.send(Look(FIRST))
            self._asked_at = self.clock.monotonic()
            return await self._watched(ended)
        finally:
            await self._ended(process, channel, ended)

    def _heard(self, channel: Channel, reply: Any) -> None:
        """It says something, so it has started: from now on it is asked."""
        if self._channel is None:
            self._channel, self._state = channel, "busy"
        self._received(reply)

    async def _watched(self, ended: asyncio.Task[int]) -> str:
        while not (await asyncio.wait([ended], timeout=LOOKS))[0]:
            self._tell_spaces()
            if self._silent_for() > (START if self._channel is None else SILENT):
                return "does not answer"
        return f"ended with code {ended.result()}"

    async def _ended(
        self, process: asyncio.subprocess.Process, channel: Channel, ended: asyncio.Task[int]
    ) -> None:
        """Without it, however it was left."""
        self.pid = None
        channel.close()
        if not (await asyncio.wait([ended], timeout=GRACE))[0]:
            process.kill()
            await ended
