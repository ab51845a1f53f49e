"""One search: understand the question, score, hydrate.

Owns the order of the stages and their timings. A search in one owner's memories is scored over all of them, in a hot
block; one in the memories of an owner that is too big for that over candidates from the owner's vector index; any other
over the candidates that the database proposes. The formula is the same.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memdeck_common.clock import Clock
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory.embedding.local import SPACE_ID as LOCAL
from memdeck_daemon.memory.embedding.local import LocalEmbedder
from memdeck_daemon.memory.embedding.queries import Queries, RemoteQuery
from memdeck_daemon.memory.filters import Filter, names_only
from memdeck_daemon.memory.lexical.index import LexicalIndex
from memdeck_daemon.memory.lexical.tokens import query_terms, stop_words
from memdeck_daemon.memory.model import Found, Hit, Identifier, Memory, Stage
from memdeck_daemon.memory.projections.vectors import VectorIndexes
from memdeck_daemon.memory.recall import candidates, questions
from memdeck_daemon.memory.recall.big import BigOwners
from memdeck_daemon.memory.recall.block import Block
from memdeck_daemon.memory.recall.fusion import Asked, Scores, best, score
from memdeck_daemon.memory.recall.hotset import MOST_ROWS, HotBlock, HotSet
from memdeck_daemon.memory.recall.pace import Pace
from memdeck_daemon.memory.scopes import Scopes
from memdeck_daemon.memory.store import blocks, reads
from memdeck_daemon.memory.vectors.index import VectorIndex

LONGEST_QUERY: Final = 2_000
"""Characters of a query that are looked at; what an agent pastes behind that says nothing new."""

HISTORY: Final = "history"
"""What a search does without that looks at the memories at hand only."""
NOWHERE: Final = np.zeros(0, np.float32)
ATTEMPTS: Final = 5
"""Blocks that are tried while other daemons write; then the indexes are searched."""


@dataclass(frozen=True, slots=True)
class Question:
    """A search, checked."""

    query: str
    where: Filter
    branches: reads.Branches
    top_k: int
    threshold: float
    today: date | None
    explain: bool
    remote: RemoteQuery | None = None
    """The query in the primary space; None: the local one answers."""
    degraded: tuple[str, ...] = ()
    """What the search has to do without."""


@dataclass(slots=True)
class Stopwatch:
    """Stages in ms after the begin of the search."""

    clock: Clock
    begun: float
    stages: list[Stage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, *, parallel: bool = False) -> Iterator[None]:
        """Time what happens inside."""
        started = self.clock.monotonic()
        yield
        ended = self.clock.monotonic()
        self.stages.append(Stage(name, (started - self.begun) * 1e3, (ended - started) * 1e3, parallel))


@dataclass(frozen=True, slots=True)
class Ranked:
    """A search's result before and after the whole memories were read."""

    scores: Scores
    rows: list[int]
    places: list[tuple[str, uuid.UUID]]
    """Owner and id of the memories to read, best first."""

    @classmethod
    def of(cls, block: Block, scores: Scores, rows: list[int]) -> "Ranked":
        """The best rows of a block."""
        return cls(scores, rows, block.places(rows))

    def ids(self) -> list[uuid.UUID]:
        """The memories to read, best first."""
        return [memory_id for _, memory_id in self.places]

    def hits(self, memories: dict[uuid.UUID, Memory], *, explain: bool) -> tuple[Hit, ...]:
        """The hits, best first; what is gone meanwhile is left out."""
        scores = self.scores
        columns = (values[self.rows].tolist() for values in (scores.total, scores.cosine, scores.keyword))
        return tuple(
            Hit(memories[one], total, cosine, keyword, scores.parts(row) if explain else ())
            for one, row, total, cosine, keyword in zip(self.ids(), self.rows, *columns, strict=True)
            if one in memories
        )


@dataclass(frozen=True, slots=True)
class Recall:
    """Searches over one database."""

    database: Database
    embedder: LocalEmbedder
    index: LexicalIndex
    scopes: Scopes
    hot: HotSet
    clock: Clock
    queries: Queries
    pace: Pace
    observe: Callable[[str, float], None] = lambda _name, _seconds: None
    """Told the seconds of the stages that are shown as operations of their own."""
    vectors: VectorIndexes | None = None
    """The vector indexes of big owners."""
    big: BigOwners | None = None
    """Searches in them."""
    most_exact: int = candidates.MOST_EXACT
    """As `candidates.gather` takes it."""

    async def search(self, question: Question) -> Found:
        """The best memories for a question.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if len(question.query) > LONGEST_QUERY:
            question = replace(question, query=question.query[:LONGEST_QUERY])
        watch = Stopwatch(self.clock, self.clock.monotonic())
        if self.queries.spaces.primary is not None:
            with watch.stage("embed query remotely"):
                question = await self._embedded(question)
            self.observe("embed", watch.stages[-1].milliseconds / 1e3)
        owner = _sole_owner(question.branches)
        if owner is not None:
            if (found := await self._at_hand(question, owner, watch)) is not None:
                return found
            return await self._of_owner(question, owner, watch)
        return await self._among_candidates(question, watch)

    async def _of_owner(self, question: Question, owner: Identifier, watch: Stopwatch) -> Found:
        hot = None
        if not self._is_big(question, owner):
            with watch.stage("hot set"):
                hot = await self.hot.get(owner)
        if hot is not None:
            return await self._among_all(question, owner, hot, watch)
        with watch.stage("vector index"):
            index = await self._indexed(question, owner)
        if index is not None:
            return await self._among_big(question, index, watch)
        return await self._among_candidates(question, watch)

    def _is_big(self, question: Question, owner: Identifier) -> bool:
        """Whether it is known without a question to the database that the owner has too many memories for a hot block."""
        index = None
        if self.vectors is not None:
            index = self.vectors.known(owner, question.remote.space if question.remote else LOCAL)
        return index is not None and index.rows.live > MOST_ROWS

    async def _indexed(self, question: Question, owner: Identifier) -> VectorIndex | None:
        """The owner's vector index, up to date; None: there is none yet, or it is too far behind."""
        if self.vectors is None or self.big is None:
            return None
        index = self.vectors.of(owner, question.remote.space if question.remote else LOCAL)
        return index if index is not None and await self.vectors.fresh(index) else None

    async def _embedded(self, question: Question) -> Question:
        """With its vector in the primary space, if that can be had in time."""
        remote, missed = await self.queries.get(question.query)
        return replace(question, remote=remote, degraded=("embedder",) if missed else ())

    async def _among_all(
        self, question: Question, owner: Identifier, hot: HotBlock, watch: Stopwatch
    ) -> Found:
        """Score every memory of one owner."""
        for _ in range(ATTEMPTS):
            generation = hot.generation
            ranked = await self._ranked(question, hot.block, watch)
            if (known := self.hot.kept(owner, hot, ranked.ids())) is not None:
                return self._found(question, ranked, known, len(hot.block), (), watch)
            with watch.stage("hydrate"):
                async with self.database.connection() as connection:
                    met, memories = await blocks.hydrate(connection, owner, ranked.ids())
            if met == generation:
                self.hot.keep(owner, hot, memories.values())
            if met == generation or await self.hot.explained(owner, hot, met):
                return self._found(question, ranked, memories, len(hot.block), (), watch)
            # Another daemon wrote. The next block may have been read before that too, by a load that was under way.
            fresh = await self.hot.newer(owner, hot)
            if fresh is None:
                break
            hot = fresh
        return await self._among_candidates(question, watch)

    async def _at_hand(self, question: Question, owner: Identifier, watch: Stopwatch) -> Found | None:
        """While the database is slow: the best of the memories that were read of late, without a question to it.

        None where it is not slow, the filter needs it, or none of them fits.
        """
        hot = self.hot.at_hand(owner) if self.queries.spaces.modes.essential else None
        if hot is None or not _names_owner_only(question):
            return None
        block, kept = hot.block, dict(hot.memories)
        recent = np.fromiter((memory_id in kept for memory_id in block.ids), np.bool_, len(block))
        with watch.stage("embed query"):
            asked = await self._asked(question, block.actors)
        with watch.stage("score"):
            scores = score(block, asked)
            recent = np.pad(recent, (0, len(block) - len(recent)))
            ranked = Ranked.of(
                block, scores, best(block, scores, asked, question.threshold, question.top_k, recent)
            )
        if not ranked.rows:
            return None
        return self._found(question, ranked, kept, len(block), (HISTORY,), watch)

    async def _ranked(self, question: Question, block: Block, watch: Stopwatch) -> Ranked:
        allowed = await self._allowed(question, block)
        with watch.stage("embed query"):
            asked = await self._asked(question, block.actors)
        if self.queries.spaces.primary is None:
            self.observe("embed", watch.stages[-1].milliseconds / 1e3)
        with watch.stage("score"):
            scores = score(block, asked)
            if allowed is not None and len(allowed) < len(block):
                allowed = np.pad(allowed, (0, len(block) - len(allowed)))
            rows = best(block, scores, asked, question.threshold, question.top_k, allowed)
        return Ranked.of(block, scores, rows)

    async def _allowed(self, question: Question, block: Block) -> NDArray[np.bool_] | None:
        """Which rows match the filter; None: all, because it names nothing but the owner."""
        if _names_owner_only(question):
            return None
        async with self.database.connection() as connection:
            ids = await blocks.allowed(connection, question.where, question.branches, today=question.today)
        return np.fromiter((memory_id in ids for memory_id in block.ids), np.bool_, len(block))

    async def _asked(self, question: Question, actors: dict[str, int], *, needed: bool = True) -> Asked:
        """`needed`: whether anything is compared in the local space."""
        query = question.query
        known = actors if len(actors) <= questions.ACTORS else {}
        named = questions.named_actors(query, known)
        vector = NOWHERE
        if needed:
            vector = (await self.embedder.embed([questions.content_of(query, stop_words(query), known)]))[0]
        return Asked(
            terms=query_terms(query),
            vector=vector,
            today=question.today.toordinal() if question.today else None,
            actor=known[named[0]] if len(named) == 1 else 0,
            date=questions.named_date(query),
            wants_time=questions.asks_when(query),
            primary=question.remote,
        )

    async def _among_big(self, question: Question, index: VectorIndex, watch: Stopwatch) -> Found:
        """Score what the arms propose from memory; the database is asked for the answer's memories alone."""
        if self.big is None:
            raise TypeError
        plain = _names_owner_only(question)
        with watch.stage("embed query"):
            asked = await self._asked(question, {}, needed=question.remote is None or bool(index.waiting))
        with watch.stage("candidates"):
            proposed = await self.big.gather(index, _wanted(question, asked), plain=plain)
        with watch.stage("score"):
            ranked = self._among(question, asked, proposed)
        with watch.stage("hydrate"):
            async with self.database.connection() as connection:
                memories = await reads.many(connection, ranked.places)
        return self._found(question, ranked, memories, proposed.total, proposed.degraded, watch)

    async def _among_candidates(self, question: Question, watch: Stopwatch) -> Found:
        """Score what the arms propose."""
        with watch.stage("embed query"):
            asked = await self._asked(question, {})
        wanted = _wanted(question, asked)
        async with self.database.connection() as connection:
            names = {name for branch in question.branches for name in branch}
            totals = await self.scopes.totals(connection, names)
            with watch.stage("candidates"):
                most = self.pace.most_exact(self.most_exact)
                proposed = await candidates.gather(connection, self.index, wanted, totals, most)
            self.pace.note(watch.stages[-1].milliseconds / 1e3)
            with watch.stage("score"):
                ranked = self._among(question, asked, proposed)
            with watch.stage("hydrate"):
                memories = await reads.many(connection, ranked.places)
        return self._found(question, ranked, memories, proposed.total, proposed.degraded, watch)

    def _among(self, question: Question, asked: Asked, proposed: candidates.Candidates) -> Ranked:
        named = questions.named_actors(question.query, proposed.block.actors)
        asked = replace(
            asked,
            actor=proposed.block.actors[named[0]] if len(named) == 1 else 0,
            total=proposed.total,
            frequencies=proposed.frequencies,
        )
        scores = score(proposed.block, asked)
        rows = best(proposed.block, scores, asked, question.threshold, question.top_k, proposed.allowed)
        return Ranked.of(proposed.block, scores, rows)

    def _found(
        self,
        question: Question,
        ranked: Ranked,
        memories: dict[uuid.UUID, Memory],
        total: int,
        degraded: tuple[str, ...],
        watch: Stopwatch,
    ) -> Found:
        hits = ranked.hits(memories, explain=question.explain)
        return Found(hits, total, (*question.degraded, *degraded), tuple(watch.stages), question.threshold)


def _wanted(question: Question, asked: Asked) -> candidates.Wanted:
    return candidates.Wanted(
        question.where, question.branches, list(asked.terms), asked.vector, question.top_k, question.today,
        question.remote,
    )  # fmt: skip


def _sole_owner(branches: reads.Branches) -> Identifier | None:
    """The one owner that every branch names; None where there may be several."""
    users = {next((name for name in branch if name.kind == "user"), None) for branch in branches}
    return users.pop() if len(users) == 1 else None


def _names_owner_only(question: Question) -> bool:
    """Whether the filter asks for all memories of the owner."""
    return names_only(question.where) and all(len(branch) == 1 for branch in question.branches)
