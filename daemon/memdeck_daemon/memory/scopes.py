"""How many memories each name holds, as far as this process knows.

Owns a bounded cache of counters: it is fed by what committed writes return and by reads that are at most `FRESH`
seconds old. The numbers weigh terms and are shown to people; nothing that must be exact depends on them.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final

from memdeck_common.clock import Clock
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.store import counters

FRESH: Final = 10.0
ENTRIES: Final = 50_000


class Scopes:
    """Counters by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[Identifier, tuple[float, int]] = OrderedDict()

    def learn(self, found: Iterable[counters.Counter]) -> None:
        """Counters that a committed transaction or a read returned."""
        now = self._clock.monotonic()
        for counter in found:
            self._known[counter.identifier] = (now, counter.memories)
            self._known.move_to_end(counter.identifier)
        while len(self._known) > ENTRIES:
            self._known.popitem(last=False)

    async def totals(self, connection: Any, names: Iterable[Identifier]) -> dict[Identifier, int]:
        """How many memories each name holds; asks the database for those that are not known freshly."""
        asked, now = set(names), self._clock.monotonic()
        stale = [name for name in asked if name not in self._known or now - self._known[name][0] > FRESH]
        if stale:
            found = dict.fromkeys(stale, 0) | {
                counter.identifier: counter.memories for counter in await counters.read(connection, stale)
            }
            self.learn(counters.Counter(name, 0, memories) for name, memories in found.items())
        return {name: self._known[name][1] for name in asked if name in self._known}
