"""memdeck's own session routes: append a trace, build a context.

Owns the translation between bodies and the sessions of the memory wing. As on all native routes, unknown fields of bodies
are ignored and there are no trailing slashes.
"""

from typing import Final

from msgspec import UNSET

from memdeck_common.wire import sessions as wire
from memdeck_daemon.api.http.routing import Call, Reply, Route
from memdeck_daemon.api.mem0 import intake
from memdeck_daemon.api.mem0.views import degraded_header, iso
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.memory.model import Identifiers
from memdeck_daemon.memory.sessions.model import Context, NewTrace, Piece, Trace, Wanted

TEXTS: Final = ("event", "decision", "rationale", "outcome")


class SessionRoutes:
    """Traces and contexts."""

    def __init__(self, parts: Parts) -> None:
        self._sessions, self._limit = parts.sessions, parts.text_limit

    async def append_trace(self, call: Call[wire.AppendTrace, None]) -> wire.Trace:
        """Keep what this agent decided, why, and what came of it."""
        body = call.body
        for name in TEXTS:
            intake.checked_size(getattr(body, name) or "", name, self._limit)
        new = NewTrace(
            identifiers=Identifiers.of(
                user=body.user_id, agent=call.path["agent_id"], app=body.app_id, run=body.run_id
            ),
            kind=body.kind,
            event=body.event,
            decision=body.decision,
            rationale=body.rationale,
            outcome=body.outcome,
            reward=body.reward,
            memory_ids=tuple(intake.memory_id(one) for one in body.memory_ids),
            metadata=intake.metadata(body.metadata),
            created_at=intake.instant(body.timestamp, "timestamp"),
            idempotency_key=intake.idempotency_key(call.headers),
        )
        return _trace(await self._sessions.append(new, call.principal.caller))

    async def context(self, call: Call[wire.BuildContext, None]) -> Reply:
        """Assemble window, memories and traces within the budget."""
        body = call.body
        wanted = Wanted(
            identifiers=intake.identifiers(body),
            query=intake.checked_size(body.query or "", "query", self._limit) or None,
            token_budget=body.token_budget,
            window=body.window,
            memories=body.memories,
            traces=body.traces,
            threshold=body.threshold,
        )
        found = await self._sessions.context(wanted, call.principal.caller)
        return Reply(_context(found, body.token_budget), headers=degraded_header(found.degraded))


def _trace(kept: Trace) -> wire.Trace:
    names = kept.identifiers
    return wire.Trace(
        id=str(kept.id),
        kind=kept.kind,
        event=kept.event,
        decision=kept.decision,
        rationale=kept.rationale,
        outcome=kept.outcome,
        reward=kept.reward,
        memory_ids=[str(one) for one in kept.memory_ids],
        metadata=kept.metadata,
        user_id=names.user,
        agent_id=names.agent,
        app_id=names.app,
        run_id=names.run,
        created_at=iso(kept.created_at),
        expires_at=iso(kept.expires_at),
    )


def _context(found: Context, budget: int) -> wire.Context:
    return wire.Context(
        text=found.text,
        parts=[_part(piece) for piece in found.pieces],
        tokens=found.tokens,
        token_budget=budget,
        query=found.query,
        left_out={str(source): count for source, count in found.left_out.items()},
        degraded=list(found.degraded),
    )


def _part(piece: Piece) -> wire.ContextPart:
    return wire.ContextPart(
        source=piece.source,
        id=str(piece.id),
        text=piece.text,
        tokens=piece.tokens,
        created_at=iso(piece.created_at),
        role=piece.role,
        actor_id=piece.actor,
        score=UNSET if piece.score is None else piece.score,
    )


def routes(parts: Parts) -> list[Route]:
    """The table of sessions."""
    serve = SessionRoutes(parts)
    return [
        Route(method="POST", path="/v1/agents/{agent_id}/append_trace", handler=serve.append_trace, operation="trace",
              need="write", dialect="native", summary="Keep what an agent decided, and why", body=wire.AppendTrace,
              answer=wire.Trace, refuses=(409,),
              description="The header Idempotency-Key keeps a repeated trace from being kept twice.",
              example={"decision": "Rotate the deploy key now", "rationale": "It leaked in a log",
                       "outcome": "Rotated, nothing broke", "run_id": "incident-7"}),
        Route(method="POST", path="/v1/context", handler=serve.context, operation="context", need="read",
              dialect="native", summary="What an agent should have in mind, within a budget of tokens",
              body=wire.BuildContext, answer=wire.Context,
              example={"user_id": "ada", "run_id": "chat-7", "query": "Which key do we deploy with?", "token_budget": 1500}),
    ]  # fmt: skip
