"""One search: understand the question, score, hydrate.

Owns the order of the stages and their timings. A search in one owner's memories is scored over all of them, in a hot
block; one in the memories of an owner that is too big for that over candidates from the owner's vector index; any other
over the candidates that the database proposes. The formula is the same.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from memdeck_common.clock import Clock
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory import filter_codec
from memdeck_daemon.memory.embedding.local import SPACE_ID as LOCAL
from memdeck_daemon.memory.embedding.local import LocalEmbedder
from memdeck_daemon.memory.embedding.queries import Queries, RemoteQuery
from memdeck_daemon.memory.filters import Filter, names_only
from memdeck_daemon.memory.lexical.index import LexicalIndex
from memdeck_daemon.memory.lexical.tokens import query_terms, stop_words
from memdeck_daemon.memory.model import Found, Identifier, Memory, Stage
from memdeck_daemon.memory.recall import candidates, questions
from memdeck_daemon.memory.recall.block import Block
from memdeck_daemon.memory.recall.fusion import Asked, best, score
from memdeck_daemon.memory.recall.hotset import MOST_ROWS, HotBlock, HotSet
from memdeck_daemon.memory.recall.hydration import Hydration
from memdeck_daemon.memory.recall.pace import Pace
from memdeck_daemon.memory.recall.ranking import Ranked, asked_about, ranked_among
from memdeck_daemon.memory.scopes import Scopes
from memdeck_daemon.memory.searcher.wire import Answered, Asking
from memdeck_daemon.memory.store import blocks, reads

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
        self.took(name, started, self.clock.monotonic() - started, parallel=parallel)

    def took(self, name: str, started: float, seconds: float, *, parallel: bool = False) -> None:
        """Note what was timed elsewhere."""
        self.stages.append(Stage(name, (started - self.begun) * 1e3, seconds * 1e3, parallel))


class BigSearch(Protocol):
    """Searches in the memories of big owners, in this process or in one of their own."""

    def known(self, owner: Identifier, space: int) -> tuple[int, int] | None:
        """How many memories the owner's index holds, as far as is known, and how many of them wait for their vector."""

    async def answer(self, asking: Asking) -> Answered:
        """What is found; of state `none` where no index can be used; StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Searches over one database."""

    database: Database
    hydration: Hydration
    embedder: LocalEmbedder
    index: LexicalIndex
    scopes: Scopes
    hot: HotSet
    clock: Clock
    queries: Queries
    pace: Pace
    observe: Callable[[str, float], None] = lambda _name, _seconds: None
    """Told the seconds of the stages that are shown as operations of their own."""
    big: BigSearch | None = None
    current: Callable[[Sequence[Identifier]], tuple[int, ...] | None] = lambda _: None
    """The lineage and the generations of names, where this process alone writes and knows them; None otherwise."""
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
        if (
            self.big is not None
            and (found := await self._among_big(self.big, question, owner, watch)) is not None
        ):
            return found
        return await self._among_candidates(question, watch)

    def _is_big(self, question: Question, owner: Identifier) -> bool:
        """Whether it is known without a question to the database that the owner has too many memories for a hot block."""
        known = self.big.known(owner, _space(question)) if self.big is not None else None
        return known is not None and known[0] > MOST_ROWS

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
            rows = best(block, scores, asked, question.threshold, question.top_k, recent)
            ranked = Ranked.of(block, scores, rows, explain=question.explain)
        if not ranked.places:
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
        return Ranked.of(block, scores, rows, explain=question.explain)

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

    async def _among_big(
        self, big: BigSearch, question: Question, owner: Identifier, watch: Stopwatch
    ) -> Found | None:
        """What an index finds, in memory; the database is asked for the answer's memories alone. None: there is none."""
        known = big.known(owner, _space(question))
        answered = None
        if question.remote is not None and (known is None or not known[1]):
            answered = await self._searched(big, question, owner, NOWHERE, watch)
        if answered is None or answered.state == "local":
            with watch.stage("embed query"):
                local = (await self._asked(question, {})).vector
            answered = await self._searched(big, question, owner, local, watch)
        if answered.state != "found":
            return None
        ids = [uuid.UUID(bytes=answered.ids[start : start + 16]) for start in range(0, len(answered.ids), 16)]
        name = str(owner)
        ranked = Ranked(
            [(name, one) for one in ids], answered.totals, answered.cosines, answered.keywords, answered.parts
        )
        with watch.stage("hydrate"):
            memories = await self.hydration.memories(ranked.places)
        return self._found(question, ranked, memories, answered.total, answered.without, watch)

    async def _searched(
        self,
        big: BigSearch,
        question: Question,
        owner: Identifier,
        local: NDArray[np.float32],
        watch: Stopwatch,
    ) -> Answered:
        stamp = self.current((owner,))
        asking = _asking(question, owner, local, stamp[1] if stamp is not None else None)
        begun = self.clock.monotonic()
        answered = await big.answer(asking)
        found = answered.state == "found"
        watch.took("vector index" if found else "no vector index", begun, self.clock.monotonic() - begun)
        if found:
            watch.took("candidates", begun, answered.candidates_ms / 1e3)
            watch.took("score", begun + answered.candidates_ms / 1e3, answered.score_ms / 1e3)
        return answered

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
                ranked = ranked_among(
                    proposed,
                    asked_about(question.query, wanted, proposed),
                    question.threshold,
                    question.top_k,
                    explain=question.explain,
                )
            with watch.stage("hydrate"):
                memories = await reads.many(connection, ranked.places)
        return self._found(question, ranked, memories, proposed.total, proposed.degraded, watch)

    def _found(
        self,
        question: Question,
        ranked: Ranked,
        memories: dict[uuid.UUID, Memory],
        total: int,
        degraded: tuple[str, ...],
        watch: Stopwatch,
    ) -> Found:
        hits = ranked.hits(memories)
        return Found(hits, total, (*question.degraded, *degraded), tuple(watch.stages), question.threshold)


def _wanted(question: Question, asked: Asked) -> candidates.Wanted:
    return candidates.Wanted(
        question.where, question.branches, list(asked.terms), asked.vector, question.top_k, question.today,
        question.remote,
    )  # fmt: skip


def _space(question: Question) -> int:
    """The space in which the question is searched."""
    return question.remote.space if question.remote else LOCAL


def _asking(
    question: Question, owner: Identifier, local: NDArray[np.float32], generation: int | None
) -> Asking:
    remote = question.remote
    return Asking(
        kind=owner.kind,
        value=owner.value,
        space=_space(question),
        query=question.query,
        terms=query_terms(question.query),
        top_k=question.top_k,
        threshold=question.threshold,
        today=question.today.toordinal() if question.today else None,
        explain=question.explain,
        generation=generation,
        local=local.tobytes(),
        primary=remote.vector.tobytes() if remote else b"",
        factor=remote.factor if remote else 1.0,
        offset=remote.offset if remote else 0.0,
        filter=None
        if _names_owner_only(question)
        else msgspec.json.encode(filter_codec.plain(question.where)),
    )


def _sole_owner(branches: reads.Branches) -> Identifier | None:
    """The one owner that every branch names; None where there may be several."""
    users = {next((name for name in branch if name.kind == "user"), None) for branch in branches}
    return users.pop() if len(users) == 1 else None


def _names_owner_only(question: Question) -> bool:
    """Whether the filter asks for all memories of the owner."""
    return names_only(question.where) and all(len(branch) == 1 for branch in question.branches)
