"""What a kept answer is worth while nobody can tell whether it still holds.

Owns the rule: it may be given, as unverified, unless something is known against it. Known against it is a later commit of
this process or one that it has read of, and a write that waits in the spool and changes or removes a memory of it: what
was acknowledged as deleted must not come back. Refuses to look into the database.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.memory.generations import Generations, Stamp
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.spool.journal import Journal

IDS: Final = re.compile(rb'"id":"([0-9a-f-]{36})"')


@dataclass(frozen=True, slots=True)
class Unverified:
    """Judges kept answers, which are JSON."""

    generations: Generations
    journal: Journal
    modes: Modes

    def latest(self, names: Sequence[Identifier]) -> Stamp | None:
        """The newest counters that are known of these names; None: not even the database's lineage is."""
        return self.generations.latest(names)

    def since(self) -> float:
        """The moment (monotonic seconds) from which on nothing could be verified: what was kept then has not aged."""
        return self.modes.away_since

    def contradicted(self, names: Sequence[Identifier], answer: bytes) -> bool:
        """Whether a write that waits in the spool says otherwise."""
        if not len(self.journal):
            return False
        return self.journal.contradicts(map(str, names), (found.decode() for found in IDS.findall(answer)))

    def lacking(self, names: Sequence[Identifier], answer: bytes) -> bool:
        """Whether an answer that holds by the database's counters lacks what waits in the spool."""
        if not len(self.journal):
            return False
        return self.journal.concerns([*map(str, names)], (found.decode() for found in IDS.findall(answer)))
