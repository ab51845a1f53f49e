"""From features to one score.

Owns the weights and the formula. Scores compare between queries: nothing is scaled by the best hit of a query. The
cosine's floor is 0; BM25 is open above, so it saturates as s / (s + HALF). What was said one or two turns before and
after is evidence for a turn: term frequencies of neighbours count in part (BM25F), and so do their vectors. Boosts are
bounded. The sum is divided by what a perfect memory would reach, so a score lies between 0 and 1.

Origin of the features and weights: fits on five LoCoMo conversations, each checked on those that were left out
(docs/decisions/0004-fusion.md; `python -m bench.fit_weights` repeats them).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.embedding.queries import RemoteQuery
from memdeck_daemon.memory.lexical.tokens import key_of
from memdeck_daemon.memory.model import Part
from memdeck_daemon.memory.recall import questions
from memdeck_daemon.memory.recall.block import NEVER, STEPS, Block
from memdeck_daemon.memory.recall.primary import NEIGHBOUR_SHARE

Floats = NDArray[np.float32]
Group = Literal["dense", "lexical", "graph", "recency"]

WEIGHTS: Final[Mapping[str, tuple[float, Group]]] = {
    "dense_cosine": (0.2, "dense"),
    "neighbour_cosine": (0.26, "dense"),
    "bm25": (0.5, "lexical"),
    "session": (0.23, "lexical"),
    "answers_question": (0.15, "lexical"),
    "speaker": (0.175, "lexical"),
    "length": (0.09, "lexical"),
    "is_question": (-0.05, "lexical"),
    "named_date": (0.23, "recency"),
    "time_word": (0.145, "recency"),
}
VERSION: Final = 3
"""Counts changes of the ranking, here or in an arm: answers that were kept under another one are not used."""
PERFECT: Final = sum(weight for weight, _ in WEIGHTS.values() if weight > 0)
K1: Final = 1.2
B: Final = 0.75
HALF: Final = 10.0
"""The BM25 score that counts half."""
WINDOW: Final = np.array([0.4, 0.7, 0.7, 0.4], np.float32)
"""How much a term two or one turns before, one or two turns after counts; the order is that of `STEPS`."""
MIXED: Final = np.array([0, NEIGHBOUR_SHARE, NEIGHBOUR_SHARE, 0], np.float32)
BEFORE: Final = np.array([0, 1, 0, 0], np.float32)
FLOOR: Final = 5.0
FEW: Final = 12
"""Terms that are counted one by one, which is faster than all at once."""
SESSION_BEST: Final = 3
"""A session is as good as the mean of its best turns."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, taken apart."""

    terms: Sequence[str]
    vector: Floats
    today: int | None
    """Ordinal of the day before which expired memories are hidden; None shows them."""
    actor: int = 0
    """The one person that it names; 0: none, or more than one."""
    date: questions.NamedDate | None = None
    wants_time: bool = False
    total: int | None = None
    """How many memories the scope holds, where the block holds candidates alone."""
    frequencies: Mapping[str, int] | None = None
    """How many of them hold each term, likewise."""
    primary: RemoteQuery | None = None
    """The question in the primary space; None: the local space alone answers."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Every memory of a block, scored."""

    total: Floats
    values: Mapping[str, Floats]
    """Each feature's value; features that say nothing about this question are absent."""
    raw: Mapping[str, Floats]
    """What people want to see: cosines and BM25 as they were measured."""
    cosine: Floats
    keyword: NDArray[np.bool_]
    """Whether its own text holds a word of the question."""

    def parts(self, row: int) -> tuple[Part, ...]:
        """What each feature adds to the score of a row; they sum to it."""
        return tuple(
            Part(name, group, *self._part(name, weight, row)) for name, (weight, group) in WEIGHTS.items()
        )

    def _part(self, name: str, weight: float, row: int) -> tuple[float, float]:
        values = self.values.get(name)
        if values is None:
            return 0.0, 0.0
        return float(self.raw.get(name, values)[row]), float(values[row]) * weight / PERFECT


@dataclass(frozen=True, slots=True)
class Features:
    """What a question finds in a block, before it is weighed."""

    values: dict[str, Floats]
    raw: dict[str, Floats]
    cosine: Floats
    keyword: NDArray[np.bool_]


def score(block: Block, asked: Asked) -> Scores:
    """Score every memory of a block. Shapes: (rows,)."""
    found = features(block, asked)
    values = found.values
    total = np.zeros(len(block), np.float32)
    for name, value in values.items():
        total += value * np.float32(WEIGHTS[name][0] / PERFECT)
    # No score is below 0: the one feature that takes away takes no more than there is.
    missing = np.minimum(total, 0)
    taken: Floats = missing * np.float32(PERFECT / WEIGHTS["is_question"][0])
    values["is_question"] = values["is_question"] - taken
    return Scores(total - missing, values, found.raw, found.cosine, found.keyword)


def features(block: Block, asked: Asked, *, half: float = HALF, window: Floats = WINDOW) -> Features:
    """Every feature that says something about this question; `half` and `window` are given only to fit them."""
    cosine, around = _cosines(block, asked)
    words = _bm25(block, asked, window)
    lexical = words.window / (words.window + np.float32(half))
    values = {
        "dense_cosine": np.maximum(cosine, 0),
        "neighbour_cosine": np.maximum(around, 0),
        "bm25": lexical,
        "length": block.length.values,
        "is_question": block.question.values,
    }
    raw = {
        "dense_cosine": cosine,
        "neighbour_cosine": around,
        "bm25": words.window,
        "is_question": block.question.values,
    }
    if block.runs:
        values["session"] = _session(block, lexical)
    if block.linked and block.question.values.any():
        answers = _spread(block, words.own * block.question.values, BEFORE)
        values["answers_question"] = answers / (answers + np.float32(half))
    if asked.actor:
        values["speaker"] = (block.actor.values == asked.actor).astype(np.float32)
    if asked.date is not None:
        values["named_date"] = _dated(block, asked.date)
    if asked.wants_time:
        values["time_word"] = block.time_word.values
    return Features(values, raw, cosine, words.keyword)


def _cosines(block: Block, asked: Asked) -> tuple[Floats, Floats]:
    """Each row's cosine, and that of its vector mixed with its neighbours'.

    In the primary space where the vectors are there, else in the local one; calibrated, so that they compare.
    """
    query = asked.primary
    primary = block.primary if block.known is None else block.known
    if primary is None or query is None or primary.space != query.space:
        return _local_cosines(block, asked)
    near = primary.cosines(query.vector)
    around = near
    if block.linked:
        around = (near + _spread(block, near, MIXED)) / primary.mixed_norm
    factor, offset = np.float32(query.factor), np.float32(query.offset)
    near, around = factor * near + offset, factor * around + offset
    if primary.missing:
        local, local_around = _local_cosines(block, asked)
        near = np.where(primary.present(), near, local)
        around = np.where(primary.surrounded(block.links.values), around, local_around)
    return near, around


def _local_cosines(block: Block, asked: Asked) -> tuple[Floats, Floats]:
    cosine: Floats = block.vectors.values @ asked.vector
    if not block.linked:
        return cosine, cosine
    return cosine, (cosine + _spread(block, cosine, MIXED)) / block.mixed_norm.values


def best(
    block: Block,
    scores: Scores,
    asked: Asked,
    threshold: float,
    top_k: int,
    allowed: NDArray[np.bool_] | None,
) -> list[int]:
    """The rows of the best memories that pass, best first; equal scores: the newer first.

    `threshold` applies to the cosine; memories that hold a word of the question are exempt.
    """
    passed = scores.keyword | (np.maximum(scores.cosine, 0) >= threshold)
    if asked.today is not None:
        passed &= (block.expires.values == NEVER) | (block.expires.values >= asked.today)
    if allowed is not None:
        passed &= allowed
    rows = np.flatnonzero(passed)
    if len(rows) > top_k:
        rows = rows[np.argpartition(-scores.total[rows], top_k - 1)[:top_k]] if top_k else rows[:0]
    order = np.lexsort((-rows, -scores.total[rows]))
    found: list[int] = rows[order].tolist()
    return found


def _spread(block: Block, values: Floats, weights: Floats) -> Floats:
    """The weighted sum of what a row's neighbours have; `weights` by `STEPS`. Shape of `values`: (…, rows)."""
    padded = np.concatenate([values, np.zeros((*values.shape[:-1], 1), np.float32)], axis=-1)
    # `take` is three times as fast as an index in brackets.
    spread: Floats = padded.take(block.links.values, axis=-1) @ weights
    return spread


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of a question find. Shapes: (rows,)."""

    window: Floats
    """BM25F over the window of neighbours."""
    own: Floats
    """BM25 of the own text."""
    keyword: NDArray[np.bool_]


def _bm25(block: Block, asked: Asked, around: Floats) -> Words:
    rows, terms = len(block), len(asked.terms)
    if not rows or not terms:
        nothing = np.zeros(rows, np.float32)
        return Words(nothing, nothing, np.zeros(rows, np.bool_))
    counts = _counts(block, asked.terms)
    length = block.terms.values
    own_norm = _length_norm(length)
    window, window_norm = counts, own_norm
    if block.linked:
        window = counts + _spread(block, counts, around)
        wide = length + _spread(block, length, np.ones(len(STEPS), np.float32))
        window_norm = _length_norm(wide)
    found = np.count_nonzero(window, axis=1)
    idf = np.array(
        [_idf(asked, term, int(n), rows) for term, n in zip(asked.terms, found, strict=True)], np.float32
    )
    idf *= K1 + 1
    return Words(
        window=idf @ (window / (window + window_norm)),
        own=idf @ (counts / (counts + own_norm)) if block.linked else np.zeros(rows, np.float32),
        keyword=np.any(counts, axis=0),
    )


def _length_norm(length: Floats) -> Floats:
    """BM25's k1 · (1 − b + b · length / mean length)."""
    norm: Floats = np.float32(K1 * (1 - B)) + np.float32(K1 * B / max(float(length.mean()), 1.0)) * length
    return norm


def _counts(block: Block, terms: Sequence[str]) -> Floats:
    """How often each term stands in each text. Shape: (terms, rows)."""
    keys = np.array([key_of(term) for term in terms], np.uint32)
    if len(keys) <= FEW:
        held = block.token_key.values
        terms_of, places = np.divmod(np.flatnonzero(held == keys[:, None]), max(len(held), 1))
        cells = terms_of * len(block) + block.token_row.values.take(places)
        counts = np.bincount(cells, minlength=len(terms) * len(block))
        return counts.reshape(len(terms), len(block)).astype(np.float32)
    order = np.argsort(keys)
    place = np.searchsorted(keys[order], block.token_key.values)
    place[place == len(keys)] = 0
    match = keys[order][place] == block.token_key.values
    cells = order[place[match]] * len(block) + block.token_row.values[match]
    counts = np.bincount(cells, minlength=len(terms) * len(block))
    return counts.reshape(len(terms), len(block)).astype(np.float32)


def _idf(asked: Asked, term: str, found: int, rows: int) -> float:
    """Robertson and Spärck Jones' weight. A term that most windows hold says next to nothing, and is held at a floor.

    The floor sinks as the scope grows: among a handful of memories every word stands in most windows and must count.
    """
    total = rows if asked.total is None else max(asked.total, rows)
    if asked.frequencies is not None:
        found = min(total, max(found, asked.frequencies.get(term, 0)))
    return max(math.log((total - found + 0.5) / (found + 0.5)), FLOOR / (total + 2 * FLOOR))


def _session(block: Block, lexical: Floats) -> Floats:
    """The mean of the best turns of each row's run; 0 without a run."""
    runs = block.run.values
    # By run, within it the best first: scores lie below 1, and one key sorts in a third of the time of two.
    order = np.argsort(runs - 0.5 * lexical.astype(np.float64))
    ordered = runs.take(order)
    first = np.ones(len(order), np.bool_)
    # Who has the same run as the one SESSION_BEST places before it is not among its best.
    np.not_equal(ordered[SESSION_BEST:], ordered[:-SESSION_BEST], out=first[SESSION_BEST:])
    sums = np.bincount(ordered, lexical.take(order) * first)
    sizes = np.bincount(ordered, first)
    means = sums / np.maximum(sizes, 1)
    means[0] = 0
    session: Floats = means.take(runs).astype(np.float32)
    return session


def _dated(block: Block, named: questions.NamedDate | None) -> Floats:
    if named is None:
        return np.zeros(len(block), np.float32)
    days, places = np.unique(block.day.values, return_inverse=True)
    hits = np.array([named.matches(date.fromordinal(int(day))) for day in days], np.float32)
    dated: Floats = hits[places]
    return dated
