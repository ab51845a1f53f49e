"""Sessions without a database: what `memory.sessions.service.SessionService` promises, over the memory twin."""

import uuid
from datetime import UTC, datetime

from memdeck_common.clock import Clock, Identity
from memdeck_common.errors import BadRequest, Conflict
from memdeck_daemon.api.memories import Memories
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.model import Caller, Memory
from memdeck_daemon.memory.sessions.budget import TITLES, assembled, packed, trace_line
from memdeck_daemon.memory.sessions.model import KEPT, Context, NewTrace, Piece, Trace, Wanted


class FakeSessionService:
    """All traces in one process; a token is a word."""

    def __init__(self, memories: Memories, clock: Clock, identity: Identity) -> None:
        self._memories, self._clock, self._identity = memories, clock, identity
        self._traces: list[Trace] = []
        self._by_key: dict[tuple[str, str], tuple[NewTrace, Trace]] = {}

    async def append(self, new: NewTrace, caller: Caller) -> Trace:
        """Keep a trace."""
        filters.check_scope(filters.of_identifiers(new.identifiers), caller.reach)
        if not any(text and text.strip() for text in new.texts):
            raise BadRequest(
                "A trace says something: event, decision, rationale or outcome.", field="decision"
            )
        key = (caller.key_id, new.idempotency_key or "")
        if new.idempotency_key and key in self._by_key:
            known, trace = self._by_key[key]
            if known != new:
                raise Conflict("This Idempotency-Key was used for another trace.")
            return trace
        made = new.created_at or self._clock.now()
        trace = Trace(
            self._identity.uuid(), new.identifiers, new.kind, new.event, new.decision, new.rationale, new.outcome,
            new.reward, new.memory_ids, new.metadata, made, made + KEPT[new.kind],
        )  # fmt: skip
        self._traces.append(trace)
        self._by_key[key] = (new, trace)
        return trace

    async def context(self, wanted: Wanted, caller: Caller) -> Context:
        """Assemble what an agent should have in mind."""
        where = filters.of_identifiers(wanted.identifiers)
        _, newest = await self._memories.page(
            where, caller, page=1, size=max(wanted.window, 1), show_expired=False
        )
        window = [_piece(memory) for memory in newest[: wanted.window]]
        traces = [
            Piece("traces", trace.id, trace_line(trace), len(trace_line(trace).split()), trace.created_at)
            for trace in reversed(self._traces)
            if set(wanted.identifiers.named()) <= set(trace.identifiers.named()) and trace.kind == "replay"
        ]
        titles = {source: len(title.split()) for source, title in TITLES.items()}
        packing, left_out = packed(wanted.token_budget, titles, window, [], traces[: wanted.traces])
        pieces = tuple(piece for source in TITLES for piece in packing.taken.get(source, ()))
        return Context(pieces, assembled(packing.taken), packing.tokens, wanted.query or "", left_out, ())


def _piece(memory: Memory) -> Piece:
    text = f"{memory.actor or memory.role}: {memory.text}"
    return Piece("window", memory.id, text, len(text.split()), memory.created_at, memory.role, memory.actor)


def piece_of(text: str, tokens: int, source: str = "window") -> Piece:
    """A piece for tests of packing; its id comes from its text."""
    at = datetime(2026, 11, 20, tzinfo=UTC)
    named = next(one for one in TITLES if one == source)
    return Piece(named, uuid.uuid5(uuid.NAMESPACE_OID, source + text), text, tokens, at)
