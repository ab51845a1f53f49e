"""Candidates, for searches that no hot block answers: big owners, several owners, an agent, app or run alone.

Owns the arms. The dense arm is exact cosine in Postgres, the lexical arm BM25 in the derived index; memories written
after the index' last commit (the tail of the outbox) are candidates by themselves, so that a search sees every write
that was answered before it began. Candidates come with their neighbours, as a block.
"""

import uuid
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.embedding.queries import RemoteQuery
from memdeck_daemon.memory.filters import Filter, names_only
from memdeck_daemon.memory.lexical.index import LexicalIndex
from memdeck_daemon.memory.lexical.reader import IndexBroken
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.recall.block import Block, fill
from memdeck_daemon.memory.recall.primary import PrimaryVectors
from memdeck_daemon.memory.store import blocks, reads

LEAST_DENSE: Final = 60
LEAST_LEXICAL: Final = 100
PER_HIT: Final = 4
"""Candidates of an arm per memory asked for, as mem0 has it."""
FILTERED: Final = 5
"""Times as many lexical candidates when the filter looks at more than names: the index cannot apply it."""
LEXICAL_SCOPES: Final = 16
TAIL: Final = 2_000
"""Memories of the tail that become candidates; the index is far behind when there are more."""
REACH: Final = 2
MOST_WITH_NEIGHBOURS: Final = 500
"""Candidates that are looked at with their neighbours; who asks for hundreds of memories gets them without."""
MOST_EXACT: Final = 200_000
"""Memories whose vectors are compared one by one, in half a second or so. Beyond, keyword hits alone are candidates, and
the answer says that it had to do without the dense arm."""
SPREAD: Final = 3
"""A term stands in about so many windows of five turns for each text that holds it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What candidates are wanted for."""

    where: Filter
    branches: reads.Branches
    terms: list[str]
    vector: NDArray[np.float32]
    top_k: int
    today: date | None
    primary: RemoteQuery | None = None
    """The question in the primary space."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """A block of candidates and their neighbours."""

    block: Block
    allowed: NDArray[np.bool_]
    """Which rows are candidates; the others are only there to be their neighbours."""
    total: int
    frequencies: dict[str, int]
    degraded: tuple[str, ...]


async def gather(
    connection: Any,
    index: LexicalIndex,
    wanted: Wanted,
    totals: dict[Identifier, int],
    most_exact: int = MOST_EXACT,
) -> Candidates:
    """What the arms propose; the dense one has nothing to say of scopes with more than `most_exact` memories."""
    remote = wanted.primary
    position = index.position
    try:
        lexical, frequencies, complete = _lexical(index, wanted, totals)
    except IndexBroken:
        # It has lost its position and is rebuilt; meanwhile the dense arm answers, and the answer says so.
        lexical, frequencies, complete = [], {}, False
    total = sum(
        min((totals.get(name, 0) for name in branch), default=index.held) for branch in wanted.branches
    )
    exact = total <= most_exact
    found, whole_tail = await reads.candidates(
        connection,
        wanted.where,
        wanted.branches,
        query=wanted.vector,
        lexical=lexical,
        tail_after=(position.xid, position.id) if position else (0, 0),
        limit=max(PER_HIT * wanted.top_k, LEAST_DENSE) if exact else 0,
        tail_limit=TAIL,
        today=wanted.today,
        primary=reads.PrimaryArm(remote.space, remote.vector, remote.complete) if remote else None,
    )
    places = list(dict.fromkeys((candidate.owner, candidate.id) for candidate in found))
    lines = await blocks.with_neighbours(
        connection,
        places,
        REACH if len(places) <= MOST_WITH_NEIGHBOURS else 0,
        remote.space if remote else None,
    )
    block = Block(PrimaryVectors(remote.space, len(remote.vector)) if remote else None)
    await fill(block, lines)
    ids = {candidate.id for candidate in found}
    current = position is not None and whole_tail
    return Candidates(
        block,
        np.fromiter((memory_id in ids for memory_id in block.ids), np.bool_, len(block)),
        total,
        frequencies,
        (*(() if exact else ("dense",)), *(() if complete and current else ("lexical",))),
    )


def _lexical(
    index: LexicalIndex, wanted: Wanted, totals: dict[Identifier, int]
) -> tuple[list[uuid.UUID], dict[str, int], bool]:
    """The keyword hits of the narrowest name of each branch, how often each term occurs, and whether that is all."""
    narrowest = {
        min(branch, key=lambda name: totals.get(name, 0), default=None) for branch in wanted.branches
    }
    if len(narrowest) > LEXICAL_SCOPES:
        return [], {}, False
    limit = max(PER_HIT * wanted.top_k, LEAST_LEXICAL) * (1 if names_only(wanted.where) else FILTERED)
    hits: dict[uuid.UUID, float] = {}
    frequencies = dict.fromkeys(wanted.terms, 0)
    for scope in sorted(narrowest, key=str):
        total = totals.get(scope, 0) if scope else index.held
        weights = index.weights(scope, wanted.terms, total)
        hits.update(index.search(scope, weights, limit))
        for term, count in weights.frequencies.items():
            frequencies[term] += SPREAD * count
    return list(hits), frequencies, True
