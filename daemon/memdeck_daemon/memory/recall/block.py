"""A set of memories as columns: what fusion needs of them, ready for numpy.

Owns the arrays, their growth, and the links between neighbours. A block holds all memories of one owner (the hot set
keeps such blocks), or the candidates of a search with their neighbours; scoring does not see the difference. Refuses to
hold whole memories: the few that are returned come from Postgres.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.embedding.local import DIMENSIONS
from memdeck_daemon.memory.lexical.tokens import term_keys
from memdeck_daemon.memory.recall.columns import Column
from memdeck_daemon.memory.recall.primary import NEIGHBOUR_SHARE, KnownCosines, PrimaryVectors
from memdeck_daemon.memory.recall.questions import has_time_word, is_question

Floats = NDArray[np.float32]

STEPS: Final = (-2, -1, 1, 2)
LONG: Final = 200
"""Characters from which a text counts as long."""
INLINE_LINES: Final = 200
INLINE_CHARACTERS: Final = 40_000
"""More is prepared in a thread: the loop must not stand still for more than a few ms."""
NEVER: Final = 0
"""The expiration day of a memory that does not expire."""


@dataclass(frozen=True, slots=True)
class Line:
    """One memory on its way into a block."""

    id: uuid.UUID
    text: str
    vector: Floats
    created_at: datetime
    actor: str | None = None
    run: str | None = None
    arrival: int | None = None
    expiration_date: date | None = None
    owner: str = ""
    primary: NDArray[np.float16] | None = None
    """Its vector in the primary space, where there is one already."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A line with what is costly to derive from its text; made off the loop when there are many."""

    line: Line
    keys: tuple[int, ...]
    time_word: bool
    question: bool


def prepare(lines: Iterable[Line]) -> list[Prepared]:
    """Derive what scoring needs of each text, about 30 µs a line."""
    return [
        Prepared(
            line,
            tuple(term_keys(spoken(line.actor, line.text))),
            has_time_word(line.text),
            is_question(line.text),
        )
        for line in lines
    ]


async def fill(block: "Block", lines: Sequence[Line]) -> None:
    """Append to a block that nobody else has yet, in a thread when it takes long."""
    if is_short(lines):
        block.extend(prepare(lines))
    else:
        await asyncio.to_thread(lambda: block.extend(prepare(lines)))


def is_short(lines: Sequence[Line]) -> bool:
    """Whether lines can be prepared on the loop."""
    return len(lines) <= INLINE_LINES and sum(len(line.text) for line in lines) <= INLINE_CHARACTERS


def spoken(actor: str | None, text: str) -> str:
    """The text under which a memory is embedded and indexed: who said it is part of what it says."""
    return f"{actor}: {text}" if actor else text


class LazyIds(Sequence[uuid.UUID]):
    """Ids that are made when they are asked for: of hundreds of candidates ten are."""

    def __init__(
        self, ids_of: Callable[[NDArray[np.int64]], list[uuid.UUID]], rows: NDArray[np.int64]
    ) -> None:
        """`ids_of` makes those of `rows`."""
        self._ids_of, self._rows = ids_of, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return self._ids_of(self._rows[place])
        return self.some([place])[0]

    def some(self, places: Sequence[int]) -> list[uuid.UUID]:
        """Several at once, a third of the time of one by one."""
        return self._ids_of(self._rows.take(np.asarray(places, np.int64)))


class Block:
    """Memories as columns; rows are only ever appended."""

    def __init__(self, primary: PrimaryVectors | None = None) -> None:
        """`primary`: room for the vectors of the primary space, where searches ask for it."""
        self.primary = primary
        self.known: KnownCosines | None = None
        """Instead: cosines of the primary space that are known already."""
        self._appended: list[uuid.UUID] = []
        self.ids: Sequence[uuid.UUID] = self._appended
        self.owners: list[str] = []
        self.vectors = Column(np.float32, (DIMENSIONS,))
        self.mixed_norm = Column(np.float32)
        self.links = Column(np.int32, (len(STEPS),))
        """Rows of the neighbours at `STEPS`; −1, which is the sentinel behind the last row, where there is none."""
        self.linked = False
        """Whether any row has a neighbour."""
        self.run = Column(np.int32)
        """Number of the run; 0: none."""
        self.actor = Column(np.int32)
        """Number of the actor; 0: none."""
        self.day = Column(np.int32)
        """Proleptic ordinal of the day on which it was made."""
        self.expires = Column(np.int32)
        self.terms = Column(np.float32)
        """Terms of its own text."""
        self.length = Column(np.float32)
        self.time_word = Column(np.float32)
        self.question = Column(np.float32)
        self.token_key = Column(np.uint32, capacity=128)
        self.token_row = Column(np.int32, capacity=128)
        self.actors: dict[str, int] = {}
        self.runs: dict[str, int] = {}
        self._places: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        """How many memories it holds."""
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Roughly what it occupies."""
        columns = (self.vectors, self.token_key, self.token_row, self.links)
        primary = self.primary.nbytes if self.primary is not None else 0
        return sum(column.array.nbytes for column in columns) + primary + 400 * len(self.ids)

    def places(self, rows: Sequence[int]) -> list[tuple[str, uuid.UUID]]:
        """Owner and id of the memories in some rows."""
        ids = self.ids.some(rows) if isinstance(self.ids, LazyIds) else [self.ids[row] for row in rows]
        return [(self.owners[row], memory_id) for row, memory_id in zip(rows, ids, strict=True)]

    def extend(self, lines: Sequence[Prepared]) -> None:
        """Append memories that it does not hold yet."""
        if not lines:
            return
        first = len(self.ids)
        self._appended.extend(item.line.id for item in lines)
        self.owners.extend(item.line.owner for item in lines)
        self.vectors.extend(np.stack([item.line.vector for item in lines]))
        self.run.extend([self._number(self.runs, _run_key(item.line)) for item in lines])
        self.actor.extend([self._number(self.actors, item.line.actor) for item in lines])
        self.day.extend([item.line.created_at.toordinal() for item in lines])
        self.expires.extend([_expires(item.line) for item in lines])
        self.terms.extend([len(item.keys) for item in lines])
        self.length.extend([min(len(item.line.text) / LONG, 1.0) for item in lines])
        self.time_word.extend([item.time_word for item in lines])
        self.question.extend([item.question for item in lines])
        self.token_key.extend(np.fromiter((key for item in lines for key in item.keys), np.uint32))
        counts = [len(item.keys) for item in lines]
        self.token_row.extend(np.repeat(np.arange(first, first + len(lines), dtype=np.int32), counts))
        self._link(first, lines)
        if self.primary is not None:
            self.primary.extend([(item.line.id, item.line.primary) for item in lines], self.links.values)

    @staticmethod
    def _number(known: dict[str, int], name: str | None) -> int:
        return known.setdefault(name, len(known) + 1) if name else 0

    def _link(self, first: int, lines: Sequence[Prepared]) -> None:
        self.links.extend(np.full((len(lines), len(STEPS)), -1, np.int32))
        self.mixed_norm.extend(np.ones(len(lines), np.float32))
        links, touched = self.links.array, set[int]()
        for row, item in enumerate(lines, first):
            if item.line.arrival is None:
                continue
            run = int(self.run.array[row])
            self._places[run, item.line.arrival] = row
            for column, step in enumerate(STEPS):
                other = self._places.get((run, item.line.arrival + step))
                if other is not None:
                    self.linked = True
                    links[row, column] = other
                    links[other, len(STEPS) - 1 - column] = row
                    touched |= {row, other} if abs(step) == 1 else set()
        if touched:
            rows = np.fromiter(touched, np.int64)
            mixed = self.vectors.array[rows] + NEIGHBOUR_SHARE * sum(
                self._neighbour_vectors(rows, column) for column in (1, 2)
            )
            self.mixed_norm.array[rows] = np.maximum(np.linalg.norm(mixed, axis=1), 1e-6)

    def _neighbour_vectors(self, rows: NDArray[np.int64], column: int) -> Floats:
        other = self.links.array[rows, column]
        vectors: Floats = self.vectors.array[other] * (other >= 0)[:, None]
        return vectors


def _run_key(line: Line) -> str | None:
    # The same run id under two owners is two runs.
    return f"{line.owner}\x00{line.run}" if line.run else None


def _expires(line: Line) -> int:
    return line.expiration_date.toordinal() if line.expiration_date else NEVER
