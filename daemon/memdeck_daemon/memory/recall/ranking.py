"""The best of some memories, as a search returns them.

Owns what is left of a search's columns once it is known which rows are returned: all the rest can be forgotten.
"""

import uuid
from dataclasses import dataclass, field

from memdeck_daemon.memory.model import Hit, Memory, Part
from memdeck_daemon.memory.recall import questions
from memdeck_daemon.memory.recall.block import Block
from memdeck_daemon.memory.recall.candidates import Candidates, Wanted
from memdeck_daemon.memory.recall.fusion import Asked, Scores, best, score


@dataclass(frozen=True, slots=True)
class Ranked:
    """A search's result before the whole memories are read. All lists are of one length, best first."""

    places: list[tuple[str, uuid.UUID]]
    """Owner and id of the memories to read."""
    totals: list[float]
    cosines: list[float]
    keywords: list[bool]
    parts: list[tuple[Part, ...]] = field(default_factory=list)
    """What each feature added; empty unless it was asked for."""

    @classmethod
    def of(cls, block: Block, scores: Scores, rows: list[int], *, explain: bool = False) -> "Ranked":
        """The best rows of a block."""
        totals, cosines, keywords = (
            values[rows].tolist() for values in (scores.total, scores.cosine, scores.keyword)
        )
        parts = [scores.parts(row) for row in rows] if explain else []
        return cls(block.places(rows), totals, cosines, keywords, parts)

    def ids(self) -> list[uuid.UUID]:
        """The memories to read."""
        return [memory_id for _, memory_id in self.places]

    def hits(self, memories: dict[uuid.UUID, Memory]) -> tuple[Hit, ...]:
        """The hits; what is gone meanwhile is left out."""
        parts = self.parts or [()] * len(self.places)
        return tuple(
            Hit(memories[one], total, cosine, keyword, part)
            for (_, one), total, cosine, keyword, part in zip(
                self.places, self.totals, self.cosines, self.keywords, parts, strict=True
            )
            if one in memories
        )


def asked_about(query: str, wanted: Wanted, proposed: Candidates) -> Asked:
    """A question about candidates."""
    named = questions.named_actors(query, proposed.block.actors)
    return Asked(
        terms=wanted.terms,
        vector=wanted.vector,
        today=wanted.today.toordinal() if wanted.today else None,
        actor=proposed.block.actors[named[0]] if len(named) == 1 else 0,
        date=questions.named_date(query),
        wants_time=questions.asks_when(query),
        total=proposed.total,
        frequencies=proposed.frequencies,
        primary=wanted.primary,
    )


def ranked_among(
    proposed: Candidates, asked: Asked, threshold: float, top_k: int, *, explain: bool
) -> Ranked:
    """The best candidates."""
    scores = score(proposed.block, asked)
    rows = best(proposed.block, scores, asked, threshold, top_k, proposed.allowed)
    return Ranked.of(proposed.block, scores, rows, explain=explain)
