"""memdeck's own memory routes: store and query as an agent, receipts, and undo.

Owns `/v1/agents/{agent_id}/…`, `/v1/receipts/{id}`, `/v1/memories/{id}/undo` and `/v1/events/{event_id}/undo`; no trailing slashes. Unlike the
mem0 dialects, unknown fields of bodies are ignored but everything is answered in one shape.
"""

from memdeck_common import errors
from memdeck_common.wire import memory as wire
from memdeck_common.wire import native as body_of
from memdeck_common.wire.platform import EventRecord
from memdeck_daemon.api.answers import Asked, answered
from memdeck_daemon.api.http.routing import MEMORY_ID, UUID_SCHEMA, Call, Reply, Route
from memdeck_daemon.api.mem0 import intake, views
from memdeck_daemon.api.mem0.oss import checked_query, searched
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.model import Identifiers, NewMemories, Receipt


class NativeRoutes:
    """Store and query as an agent; undo."""

    def __init__(self, parts: Parts) -> None:
        self._memory, self._limit, self._answers = parts.memory, parts.text_limit, parts.answers

    async def store(self, call: Call[body_of.StoreMemory, None]) -> Reply:
        """Store one text or a conversation under this agent."""
        body = call.body
        if (body.content is None) == (body.messages is None):
            raise errors.BadRequest("Give either content or messages.", field="content")
        raw = body.content if body.content is not None else body.messages
        messages = intake.messages(raw, self._limit)
        if not intake.holds_text(messages):
            raise errors.BadRequest(
                "There is no text to store (system messages are not stored).", field="content"
            )
        new = NewMemories(
            messages=messages,
            identifiers=Identifiers.of(
                user=body.user_id, agent=call.path["agent_id"], app=body.app_id, run=body.run_id
            ),
            metadata=intake.metadata(body.metadata),
            categories=intake.categories(body.categories),
            created_at=intake.instant(body.timestamp, "timestamp"),
            expiration_date=intake.day(body.expiration_date),
            immutable=body.immutable,
            infer=body.infer,
            idempotency_key=intake.idempotency_key(call.headers),
        )
        receipt = await self._memory.add(new, call.principal.caller)
        answer = wire.Receipt(
            status=receipt.status,
            event_id=str(receipt.id),
            message=views.stored_sentence(receipt),
            results=views.results(receipt),
        )
        return Reply(answer, status=views.status_of(receipt))

    async def query(self, call: Call[body_of.QueryMemory, None]) -> Reply:
        """Search among the memories of this agent."""
        body = call.body
        own = filters.parse({"agent_id": {"eq": call.path["agent_id"]}, **intake.named(body)}, "body")
        more = (filters.parse(body.filters),) if body.filters else ()
        asked = Asked(
            shape="platform",
            query=checked_query(body.query, self._limit),
            where=filters.All((own, *more)) if more else own,
            top_k=body.limit,
            threshold=body.threshold,
            show_expired=body.show_expired,
            explain=body.explain,
        )

        async def make() -> Reply:
            found = await searched(self._memory, asked, call.principal)
            return Reply(
                views.search_answer(found, asked.explain), headers=views.degraded_header(found.degraded)
            )

        return await answered(self._answers, call, asked, make)

    async def receipt(self, call: Call[None, None]) -> EventRecord:
        """What became of a write, message by message."""
        receipt_id = intake.event_id(call.path["receipt_id"])
        return views.event(await self._memory.receipt(receipt_id, call.principal.caller))

    async def undo(self, call: Call[None, None]) -> body_of.Undone | Reply:
        """Revert a memory's last change."""
        memory_id = intake.memory_id(call.path["memory_id"])
        undone = await self._memory.undo(memory_id, call.principal.caller)
        if isinstance(undone, Receipt):
            return views.waits(undone)
        sentence, found = undone
        return body_of.Undone(message=sentence, memory=None if found is None else views.memory(found))

    async def undo_event(self, call: Call[None, None]) -> wire.Done | Reply:
        """Bring back everything that a deletion took."""
        event_id = intake.event_id(call.path["event_id"])
        receipt = await self._memory.undo_event(event_id, call.principal.caller)
        noun = "memory" if receipt.count == 1 else "memories"
        message = receipt.note or f"Brought back {receipt.count} {noun}."
        done = wire.Done(message=message, event_id=str(receipt.id), count=receipt.count)
        return views.done(receipt, done)


def routes(parts: Parts) -> list[Route]:
    """The table of memdeck's own memory routes."""
    serve = NativeRoutes(parts)
    agent = "/v1/agents/{agent_id}/"
    return [
        Route(method="POST", path=agent + "store_memory", handler=serve.store, operation="add", need="write",
              dialect="native", summary="Store as an agent", body=body_of.StoreMemory, answer=wire.Receipt,
              queued=wire.Receipt, refuses=(409,), example={"content": "The deploy key rotates on Mondays.", "user_id": "ops"}),
        Route(method="POST", path=agent + "query_memory", handler=serve.query, operation="search", need="read",
              dialect="native", summary="Search an agent's memories", body=body_of.QueryMemory,
              answer=wire.SearchAnswer, kept=True, example={"query": "When does the deploy key rotate?"}),
        Route(method="POST", path="/v1/memories/{memory_id}/undo", handler=serve.undo, operation="undo", need="write",
              dialect="native", summary="Revert a memory's last change", answer=body_of.Undone, queued=wire.Done,
              refuses=(404, 409, 410), path_schemas=MEMORY_ID),
        Route(method="POST", path="/v1/events/{event_id}/undo", handler=serve.undo_event, operation="undo",
              need="write", dialect="native", summary="Bring back what a deletion took", answer=wire.Done,
              queued=wire.Done, refuses=(404, 409, 410), path_schemas={"event_id": UUID_SCHEMA}),
        Route(method="GET", path="/v1/receipts/{receipt_id}", handler=serve.receipt, operation="events", need="read",
              dialect="native", summary="What became of a write", answer=EventRecord, refuses=(404,),
              path_schemas={"receipt_id": UUID_SCHEMA},
              description="Also of one that is kept on the disk and not in the database yet."),
    ]  # fmt: skip
