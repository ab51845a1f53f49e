"""The search in a big owner's memories: arms, score, the best.

Owns the order of these steps, all in memory. Runs in the search process, and in the daemon's own where there is none.
Refuses to read memories: the daemon hydrates what was found, and finds out what is gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.memory import filter_codec, filters
from memdeck_daemon.memory.embedding.queries import RemoteQuery
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.projections.vectors import VectorIndexes
from memdeck_daemon.memory.recall.big import BigOwners
from memdeck_daemon.memory.recall.candidates import Candidates, Wanted
from memdeck_daemon.memory.recall.ranking import asked_about, ranked_among
from memdeck_daemon.memory.searcher.wire import Answered, Asking, VectorsLook
from memdeck_daemon.memory.vectors.index import VectorIndex

FILTERING: Final = 2.0
"""Seconds that the database may take to filter. Nobody waits longer, and who answers nobody is taken for stuck."""
NOTHING: Final[filters.Filter] = filters.All(())
"""In place of a filter that need not be applied."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Searches in the vector indexes of this process."""

    vectors: VectorIndexes
    arms: BigOwners

    def known(self, owner: Identifier, space: int) -> tuple[int, int] | None:
        """How many memories the owner's index holds, and how many of them wait for their vector; None: there is none."""
        index = self.vectors.known(owner, space)
        return (index.rows.live, len(index.waiting)) if index is not None else None

    async def look(self) -> VectorsLook:
        """What the indexes hold and how far they are."""
        return await self.vectors.look()

    def rebuild_soon(self) -> None:
        """Have all of them made anew; they serve until then."""
        self.vectors.rebuild_soon()

    def at_once(self, askings: Sequence[Asking]) -> list[Answered | None]:
        """The answers that take nothing but memory; None in place of others. What is asked of one owner is searched together."""
        found: list[Answered | None] = [None] * len(askings)
        together: dict[tuple[str, str, int], tuple[VectorIndex, list[int]]] = {}
        for place, asking in enumerate(askings):
            index = self.vectors.of(Identifier(asking.kind, asking.value), asking.space)
            if index is None:
                found[place] = Answered(asking.number, "none")
            elif (
                asking.filter is not None
                or asking.generation is None
                or asking.generation != index.generation
            ):
                continue
            elif _lacks_local(asking, index):
                found[place] = Answered(asking.number, "local")
            else:
                key = (asking.kind, asking.value, asking.space)
                together.setdefault(key, (index, []))[1].append(place)
        for index, places in together.values():
            answers = self._together(index, [askings[place] for place in places])
            for place, answer in zip(places, answers, strict=True):
                found[place] = answer
        return found

    def _together(self, index: VectorIndex, askings: Sequence[Asking]) -> list[Answered]:
        begun, wanted = perf_counter(), [_wanted(asking) for asking in askings]
        proposed = self.arms.propose(index, wanted)
        return [
            _answered(asking, one, index, candidates, begun)
            for asking, one, candidates in zip(askings, wanted, proposed, strict=True)
        ]

    async def answer(self, asking: Asking) -> Answered:
        """The answer; of state `none` where no index can be used, up to what was committed before this call.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if (found := self.at_once([asking])[0]) is not None:
            return found
        index = self.vectors.of(Identifier(asking.kind, asking.value), asking.space)
        if index is None or not await self.vectors.fresh(index, asking.generation):
            return Answered(asking.number, "none")
        if _lacks_local(asking, index):
            return Answered(asking.number, "local")
        begun, wanted = perf_counter(), _wanted(asking)
        with deadline.within(FILTERING):
            proposed = await self.arms.gather(index, wanted, plain=asking.filter is None)
        if _lacks_local(asking, index):  # by now: something was written while the database filtered
            return Answered(asking.number, "local")
        return _answered(asking, wanted, index, proposed, begun)


def _lacks_local(asking: Asking, index: VectorIndex) -> bool:
    return not asking.local and (not asking.primary or bool(index.waiting))


def _wanted(asking: Asking) -> Wanted:
    where = NOTHING if asking.filter is None else filter_codec.read(msgspec.json.decode(asking.filter))
    return Wanted(
        where,
        filters.branches(where) if asking.filter is not None else (),
        asking.terms,
        np.frombuffer(asking.local, np.float32),
        asking.top_k,
        date.fromordinal(asking.today) if asking.today else None,
        _primary(asking),
    )


def _primary(asking: Asking) -> RemoteQuery | None:
    if not asking.primary:
        return None
    vector: NDArray[np.float16] = np.frombuffer(asking.primary, np.float16)
    # Whether all memories have their vector is what the index knows better.
    return RemoteQuery(asking.space, vector, asking.factor, asking.offset, complete=False)


def _answered(
    asking: Asking, wanted: Wanted, index: VectorIndex, proposed: Candidates, begun: float
) -> Answered:
    scoring = perf_counter()
    asked = asked_about(asking.query, wanted, proposed)
    ranked = ranked_among(proposed, asked, asking.threshold, asking.top_k, explain=asking.explain)
    return Answered(
        number=asking.number,
        ids=b"".join(memory_id.bytes for _, memory_id in ranked.places),
        totals=ranked.totals,
        cosines=ranked.cosines,
        keywords=ranked.keywords,
        parts=ranked.parts,
        total=proposed.total,
        waiting=len(index.waiting),
        without=proposed.degraded,
        candidates_ms=(scoring - begun) * 1e3,
        score_ms=(perf_counter() - scoring) * 1e3,
    )
