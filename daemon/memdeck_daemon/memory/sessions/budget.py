"""Tokens: counting them, and packing a context into a budget.

Owns the order in which sources get their share. First the window, newest first, up to its share; then the memories, best
first; then the traces, newest first; what is left goes to the rest of the window. An entry is taken whole or not at all.
Counts are those of the local tokenizer; another model's differ by some per cent.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tokenizers import Tokenizer

from memdeck_daemon.memory.embedding.local import INLINE_CHARACTERS
from memdeck_daemon.memory.sessions.model import Piece, Said, Source, Trace

TITLES: Final[dict[Source, str]] = {
    "window": "Recent conversation:",
    "memories": "Memories:",
    "traces": "Earlier decisions:",
}
"""Headings of the assembled text, in its order."""
WINDOW_SHARE: Final = 0.5
"""Of the budget that the window may take while other sources have something to say."""


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts tokens as the local space sees them."""

    tokenizer: Tokenizer

    async def count(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has; large amounts are counted off the loop."""
        if sum(map(len, texts)) <= INLINE_CHARACTERS:
            return self.count_now(texts)
        return await asyncio.to_thread(self.count_now, texts)

    def count_now(self, texts: Sequence[str]) -> list[int]:
        """As `count`, at once."""
        found = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False) if texts else []
        return [len(encoding.ids) for encoding in found]


@dataclass(slots=True)
class Packing:
    """A budget that is being filled."""

    budget: int
    titles: dict[Source, int]
    """What each heading costs."""
    tokens: int = 0
    taken: dict[Source, list[Piece]] = field(default_factory=dict)

    def take(self, pieces: Iterable[Piece], limit: int) -> list[Piece]:
        """Take what fits while the total stays within `limit`; what did not fit."""
        refused = []
        for piece in pieces:
            cost = piece.tokens + (0 if piece.source in self.taken else self.titles[piece.source])
            if self.tokens + cost > min(limit, self.budget):
                refused.append(piece)
                continue
            self.tokens += cost
            self.taken.setdefault(piece.source, []).append(piece)
        return refused


def packed(
    budget: int,
    titles: dict[Source, int],
    window: Sequence[Piece],
    memories: Sequence[Piece],
    traces: Sequence[Piece],
) -> tuple[Packing, dict[Source, int]]:
    """The budget filled in order of priority, and how many of each source had no room.

    `window` and `traces` newest first, `memories` best first.
    """
    packing = Packing(budget, titles)
    share = int(budget * WINDOW_SHARE) if memories or traces else budget
    waiting = packing.take(window, share)
    left = {
        "memories": len(packing.take(memories, budget)),
        "traces": len(packing.take(traces, budget)),
        "window": len(packing.take(waiting, budget)),
    }
    # Said in order: what came late into the budget may be older or newer than what came first.
    place = {piece.id: number for number, piece in enumerate(reversed(window))}
    packing.taken.get("window", []).sort(key=lambda piece: place[piece.id])
    return packing, {source: left[source] for source in TITLES if left[source]}


def assembled(taken: dict[Source, list[Piece]]) -> str:
    """The context as text: a heading for each source that has something to say, then a line per entry."""
    lines = []
    for source, title in TITLES.items():
        if pieces := taken.get(source):
            lines += [title, *(piece.text for piece in pieces)]
    return "\n".join(lines)


def said_line(said: Said) -> str:
    """`Ada: …`: who said it, and what."""
    speaker = said.actor or said.role
    return f"{speaker}: {said.text}" if speaker else said.text


def trace_line(trace: Trace) -> str:
    """What happened, was decided, why, and what came of it, as far as it is known."""
    named = (
        ("", trace.event),
        ("decided: ", trace.decision),
        ("because: ", trace.rationale),
        ("outcome: ", trace.outcome),
    )
    said = "; ".join(label + " ".join(text.split()) for label, text in named if text)
    return f"[{trace.created_at:%Y-%m-%d}] {said}"
