"""Proactive retrieval: the memories of an owner whose session begins are made hot before they are asked for.

Owns a short queue and the one task that works on it. Which question comes next cannot be guessed (figures:
docs/decisions/0007-warming.md), but whose memories it will be asked of can: the first memory of a new run tells. Refuses to
compete with anybody: one owner at a time, and when many sessions begin at once, those without room are left to their first
search, which loads what it needs as ever.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from memdeck_common.errors import MemdeckError
from memdeck_common.log import action
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.recall.hotset import HotSet

log = logging.getLogger(__name__)

WAITING: Final = 32
"""Owners that wait at most; an import of many users must not fill the database with loads."""


@dataclass(slots=True)
class Warming:
    """Loads the blocks of owners whose sessions begin."""

    hot: HotSet
    _queue: asyncio.Queue[Identifier] = field(default_factory=lambda: asyncio.Queue(WAITING))

    def expect(self, user: str) -> None:
        """A session of this user has begun; never waits."""
        if not self._queue.full():
            self._queue.put_nowait(Identifier("user", user))

    async def run(self) -> None:
        """Load one after the other until cancelled."""
        while True:
            owner = await self._queue.get()
            try:
                await self.hot.get(owner)
            except MemdeckError as error:
                log.debug("a session was not prepared: %s", error, extra=action("warming_failed"))
