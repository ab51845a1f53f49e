"""Dialogue files: conversations of dated turns, and questions with the turns that answer them.

Owns reading them and turning a conversation into the block and the questions that recall scores, without a server. The
form is that of LoCoMo as JSON (`conversations` of `turns` and `questions` with `evidence`); no such file is part of the
project.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec
import numpy as np

from memdeck_daemon.memory.embedding.local import Vectors, rounded
from memdeck_daemon.memory.lexical.tokens import query_terms, stop_words
from memdeck_daemon.memory.recall import questions
from memdeck_daemon.memory.recall.block import Block, Line, prepare, spoken
from memdeck_daemon.memory.recall.fusion import Asked, best, score

KS: Final = (5, 10, 20)


class Embedder(Protocol):
    """What gives texts their vectors."""

    def embed_now(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text."""


class Turn(msgspec.Struct, frozen=True):
    """One turn of a dialogue."""

    id: str
    session: int | str
    time: str
    """ISO 8601."""
    speaker: str
    text: str


class Question(msgspec.Struct, frozen=True):
    """A question and the ids of the turns that answer it."""

    question: str
    evidence: list[str]
    category: str = ""


class Conversation(msgspec.Struct, frozen=True):
    """A dialogue of several sessions."""

    id: str
    turns: list[Turn]
    questions: list[Question]


class _File(msgspec.Struct, frozen=True):
    conversations: list[Conversation]


def read(path: Path) -> list[Conversation]:
    """The conversations of a dialogue file.

    Raises:
        msgspec.ValidationError: the file has another form.
    """
    return msgspec.json.decode(path.read_bytes(), type=_File).conversations


@dataclass(frozen=True, slots=True)
class Heard:
    """A conversation as recall knows it: one memory per turn, one run per session."""

    id: str
    block: Block
    asked: Sequence[Asked]
    evidence: Sequence[frozenset[int]]
    """Rows of the turns that answer each question."""
    categories: Sequence[str]


def heard(conversation: Conversation, embedder: Embedder) -> Heard:
    """Store a conversation in a block and take its questions apart, as the daemon does."""
    turns = conversation.turns
    vectors = rounded(embedder.embed_now([spoken(turn.speaker, turn.text) for turn in turns]))
    arrivals: Counter[int | str] = Counter()
    lines = []
    for number, (turn, vector) in enumerate(zip(turns, vectors, strict=True)):
        arrivals[turn.session] += 1
        lines.append(
            Line(
                id=uuid.UUID(int=number),
                text=turn.text,
                vector=vector,
                created_at=datetime.fromisoformat(turn.time),
                actor=turn.speaker,
                run=str(turn.session),
                arrival=arrivals[turn.session],
                owner=f"user:{conversation.id}",
            )
        )
    block = Block()
    block.extend(prepare(lines))
    rows = {turn.id: row for row, turn in enumerate(turns)}
    return Heard(
        conversation.id,
        block,
        [_asked(question.question, block, embedder) for question in conversation.questions],
        [frozenset(rows[turn] for turn in question.evidence) for question in conversation.questions],
        [question.category for question in conversation.questions],
    )


def _asked(question: str, block: Block, embedder: Embedder) -> Asked:
    named = questions.named_actors(question, block.actors)
    content = questions.content_of(question, stop_words(question), block.actors)
    return Asked(
        terms=query_terms(question),
        vector=embedder.embed_now([content])[0],
        today=None,
        actor=block.actors[named[0]] if len(named) == 1 else 0,
        date=questions.named_date(question),
        wants_time=questions.asks_when(question),
    )


def recall_of(found: Sequence[object], wanted: frozenset[object] | frozenset[int]) -> tuple[float, ...]:
    """The share of what was wanted among the first k, for each of `KS`."""
    return tuple(len(wanted & set(found[:k])) / len(wanted) for k in KS)


def answers(conversation: Heard) -> Iterable[list[int]]:
    """The best rows for each question, best first."""
    for asked in conversation.asked:
        scores = score(conversation.block, asked)
        yield best(conversation.block, scores, asked, 0.0, max(KS), None)


def mean(rows: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    """Recall over questions, in per cent with one decimal."""
    return tuple(round(100 * float(value), 1) for value in np.mean(list(rows), axis=0))
