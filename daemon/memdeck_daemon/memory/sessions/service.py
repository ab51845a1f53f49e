"""What can be done with sessions: append a trace, build a context.

Owns how the sources of a context are asked: side by side, each with its own time, so that one that is away costs its
part and not the answer. Refuses to guess: without Postgres a window is told as it was kept last, and the answer says so.
"""

import asyncio
import logging
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from msgspec import structs

from memdeck_common.clock import Clock, Identity
from memdeck_common.errors import BadRequest, Conflict, StoreUnavailable
from memdeck_common.log import action
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.model import Caller, Found, Identifiers, check_storable
from memdeck_daemon.memory.service import MemoryService
from memdeck_daemon.memory.sessions import store
from memdeck_daemon.memory.sessions.budget import (
    TITLES,
    TokenCounter,
    assembled,
    packed,
    said_line,
    trace_line,
)
from memdeck_daemon.memory.sessions.model import (
    KEPT,
    Context,
    NewTrace,
    Piece,
    Said,
    Source,
    Trace,
    Wanted,
)
from memdeck_daemon.memory.sessions.windows import KeptWindows
from memdeck_daemon.memory.store.ledger import digest_of

log = logging.getLogger(__name__)

SOURCE_SECONDS: Final = 2.0
"""A source that takes longer is left out, and the answer says so."""
ASKED_OF_WINDOW: Final = 3
"""Without a query, memories are searched for what was said last: so many entries."""
PURGE_BATCH: Final = 5_000
TRACE_IDS: Final = uuid.UUID("5f0c1f0e-7d0c-5d8b-9a7e-2d1a63d2c7b4")
"""Namespace of the ids of traces that carry an idempotency key."""

T = TypeVar("T")


class SessionService:
    """Sessions of one database."""

    def __init__(
        self,
        database: Database,
        memories: MemoryService,
        counter: TokenCounter,
        kept: KeptWindows,
        clock: Clock,
        identity: Identity,
    ) -> None:
        self._database, self._memories, self._counter, self._kept = database, memories, counter, kept
        self._clock, self._identity = clock, identity

    async def append(self, new: NewTrace, caller: Caller) -> Trace:
        """Keep a trace; on return it is committed. The same idempotency key keeps nothing again.

        Raises:
            Forbidden: the identifiers are outside the caller's pins.
            BadRequest: it says nothing, or holds a character that cannot be stored.
            Conflict: the idempotency key was used for another trace.
            StoreUnavailable, DiskFull: nothing was kept.
        """
        filters.check_scope(filters.of_identifiers(new.identifiers), caller.reach)
        if not any(text and text.strip() for text in new.texts):
            raise BadRequest(
                "A trace says something: event, decision, rationale or outcome.", field="decision"
            )
        check_storable(new.texts, "the trace")
        check_storable(new.metadata, "metadata")
        made = new.created_at or self._clock.now()
        stamp = store.Stamp(
            self._trace_id(new, caller), digest_of(new), caller.name, made, made + KEPT[new.kind]
        )
        async with self._database.connection() as connection:
            trace, differs = await store.append(connection, new, stamp)
        if differs:
            raise Conflict("This Idempotency-Key was used for another trace.")
        return trace

    def _trace_id(self, new: NewTrace, caller: Caller) -> uuid.UUID:
        if new.idempotency_key is None:
            return self._identity.uuid()
        return uuid.uuid5(TRACE_IDS, f"{caller.key_id}\x00{new.idempotency_key}")

    async def context(self, wanted: Wanted, caller: Caller) -> Context:
        """What an agent should have in mind: the session's window, memories, traces, within the budget.

        With a run, the window is that run's; without one, the newest memories of the scope. Memories are searched in the
        whole scope, in the run alone only where nothing else is named.

        Raises:
            Forbidden: the identifiers are outside the caller's pins.
            BadRequest: the query holds a character that cannot be stored.
            StoreUnavailable: no source answered.
        """
        filters.check_scope(filters.of_identifiers(wanted.identifiers), caller.reach)
        check_storable(wanted.query, "query")
        degraded: list[str] = []
        window, traces = await asyncio.gather(
            self._window(wanted, caller, degraded),
            self._source("traces", self._traces(wanted), degraded) if wanted.traces else _nothing(),
        )
        query = (wanted.query or "").strip() or "\n".join(
            said.text for said in (window or [])[-ASKED_OF_WINDOW:]
        )
        searched = bool(wanted.memories and query.strip())
        found = (
            await self._source("memories", self._found(wanted, query, caller), degraded) if searched else None
        )
        asked = (wanted.window > 0) + searched + (wanted.traces > 0)
        if asked and len({"window", "memories", "traces"} & set(degraded)) == asked and not window:
            raise StoreUnavailable
        if found is not None:
            degraded.extend(found.degraded)
        return await self._packed(wanted, query if searched else "", (window, found, traces), degraded)

    async def _source(self, name: str, work: Coroutine[Any, Any, T], degraded: list[str]) -> T | None:
        """What a source answers; None, and a note, when it does not."""
        try:
            async with asyncio.timeout(SOURCE_SECONDS):
                return await work
        except (StoreUnavailable, TimeoutError):
            log.warning("a context goes without its %s", name, extra=action("context_degraded", source=name))
            degraded.append(name)
            return None

    async def _window(self, wanted: Wanted, caller: Caller, degraded: list[str]) -> list[Said] | None:
        if not wanted.window:
            return None
        # The caller's reach was checked for these very names, so what was kept under them is within it.
        scope = [*map(str, wanted.identifiers.named()), str(wanted.window)]
        window = await self._source("window", self._read_window(wanted, caller), degraded)
        if window is None:
            return await self._kept.find(scope)
        await self._kept.keep(scope, window)
        return window

    async def _read_window(self, wanted: Wanted, caller: Caller) -> list[Said]:
        where = filters.of_identifiers(wanted.identifiers)
        branches = filters.check_scope(where, caller.reach)
        async with self._database.connection() as connection:
            return await store.window(
                connection,
                where,
                branches,
                run=wanted.identifiers.run is not None,
                limit=wanted.window,
                today=self._clock.now().date(),
            )

    async def _traces(self, wanted: Wanted) -> list[Trace]:
        async with self._database.connection() as connection:
            return await store.traces(
                connection, wanted.identifiers, "replay", limit=wanted.traces, now=self._clock.now()
            )

    async def _found(self, wanted: Wanted, query: str, caller: Caller) -> Found:
        return await self._memories.search(
            query,
            filters.of_identifiers(_searched_in(wanted.identifiers)),
            caller,
            top_k=wanted.memories + wanted.window,  # those that stand in the window are left out
            threshold=wanted.threshold,
            show_expired=False,
            explain=False,
        )

    async def _packed(
        self,
        wanted: Wanted,
        query: str,
        sources: tuple[list[Said] | None, Found | None, list[Trace] | None],
        degraded: Sequence[str],
    ) -> Context:
        window = [_of_said(said) for said in reversed(sources[0] or [])]
        shown = {piece.id for piece in window}
        memories = [piece for piece in _of_found(sources[1]) if piece.id not in shown][: wanted.memories]
        traces = [_of_trace(trace) for trace in sources[2] or []]
        pieces = [*window, *memories, *traces]
        # Each line with its line break: the sum is never less than what the whole text has.
        counts = await self._counter.count(
            [f"{line}\n" for line in (*TITLES.values(), *(p.text for p in pieces))]
        )
        titles = dict(zip(TITLES, counts, strict=False))
        counted = [
            replace(piece, tokens=count) for piece, count in zip(pieces, counts[len(TITLES) :], strict=True)
        ]
        first, second = len(window), len(window) + len(memories)
        packing, left_out = packed(
            wanted.token_budget, titles, counted[:first], counted[first:second], counted[second:]
        )
        taken = tuple(piece for source in TITLES for piece in packing.taken.get(source, ()))
        text = assembled(packing.taken)
        return Context(taken, text, packing.tokens, query, left_out, tuple(dict.fromkeys(degraded)))

    async def purge(self) -> int:
        """Delete the traces whose time is over; how many."""
        total, now = 0, self._clock.now()
        while True:
            async with self._database.connection() as connection:
                count = await store.purge(connection, now, PURGE_BATCH)
            total += count
            if count < PURGE_BATCH:
                return total


def _searched_in(names: Identifiers) -> Identifiers:
    """Without the run, where anything else is named: what was said in earlier sessions is the point of memory."""
    return structs.replace(names, run=None) if len(names.named()) > 1 else names


def _of_said(said: Said) -> Piece:
    return Piece("window", said.id, said_line(said), 0, said.created_at, said.role, said.actor)


def _of_found(found: Found | None) -> list[Piece]:
    hits = found.hits if found else ()
    return [
        Piece(
            "memories",
            hit.memory.id,
            f"[{hit.memory.created_at:%Y-%m-%d}] "
            + (f"{hit.memory.actor}: {hit.memory.text}" if hit.memory.actor else hit.memory.text),
            0,
            hit.memory.created_at,
            hit.memory.role,
            hit.memory.actor,
            hit.score,
        )
        for hit in hits
    ]


def _of_trace(trace: Trace) -> Piece:
    source: Source = "traces"
    return Piece(source, trace.id, trace_line(trace), 0, trace.created_at)


async def _nothing() -> None:
    """A source that was not asked for."""
