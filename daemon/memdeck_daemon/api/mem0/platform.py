"""mem0's platform dialect: memories, as `MemoryClient` and `AsyncMemoryClient` call them.

Owns `/v1/memories/{id}/…` and `/v3/memories/…`, always with trailing slashes. Nothing is queued here that is not done:
with `infer=true` the contract's `PENDING` is answered, and its event is `SUCCEEDED` as soon as it is asked for.
"""

from typing import Any, Final

import msgspec

from memdeck_common import errors
from memdeck_common.wire import memory as wire
from memdeck_common.wire import platform as body_of
from memdeck_daemon.api.answers import Asked, answered
from memdeck_daemon.api.http.routing import MEMORY_ID, Call, Reply, Route
from memdeck_daemon.api.mem0 import intake, views
from memdeck_daemon.api.mem0.oss import checked_query, checked_text, searched
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import KIND_OF, UNSET, Change, NewMemories, Receipt

TOP_K: Final = 10
PAGE_SIZE: Final = 100


class PlatformMemoryRoutes:
    """`/v1/memories/{id}/` and `/v3/memories/`."""

    def __init__(self, parts: Parts) -> None:
        self._memory, self._limit, self._answers = parts.memory, parts.text_limit, parts.answers

    async def store(self, call: Call[body_of.AddBody, Any]) -> Receipt:
        """Store messages."""
        body = call.body
        messages = intake.messages(body.messages, self._limit)
        if not intake.holds_text(messages):
            raise errors.BadRequest(
                "messages hold no text to store (system messages are not stored).", field="messages"
            )
        new = NewMemories(
            messages=messages,
            identifiers=intake.identifiers(body, body.filters),
            metadata=intake.metadata(body.metadata),
            categories=intake.categories(body.categories),
            created_at=intake.instant(body.timestamp, "timestamp"),
            expiration_date=intake.day(body.expiration_date),
            immutable=intake.truth(body.immutable),
            memory_type=body.memory_type,
            infer=wants_inference(body),
            idempotency_key=intake.idempotency_key(call.headers),
        )
        return await self._memory.add(new, call.principal.caller)

    async def add(self, call: Call[body_of.AddBody, None]) -> Reply:
        """Store messages."""
        receipt = await self.store(call)
        inferred = wants_inference(call.body)
        answer = wire.Receipt(
            status="PENDING" if inferred else receipt.status,
            event_id=str(receipt.id),
            message=views.stored_sentence(receipt),
            results=msgspec.UNSET if inferred else views.results(receipt),
            replayed=receipt.replayed or msgspec.UNSET,
        )
        return Reply(answer, status=views.status_of(receipt))

    async def page(self, call: Call[body_of.PageBody, body_of.PageQuery]) -> Any:
        """A page of memories, newest first."""
        body, query = call.body, call.query
        page = query.page or body.page or 1
        size = query.page_size or body.page_size or PAGE_SIZE
        where = page_scope(call)
        count, found = await self._memory.page(
            where, call.principal.caller, page=page, size=size, show_expired=intake.truth(body.show_expired)
        )
        after, before = views.links(call.base_url, "/v3/memories/", page, size, count)
        results = [views.memory(one) for one in found]
        answer = wire.Page(count=count, next=after, previous=before, results=results)
        return views.noted(views.only(body.fields, answer), self._memory.lacking(where, found))

    async def search(self, call: Call[body_of.SearchBody, None], *, listed: bool = False) -> Reply:
        """Search. `listed`: the hits alone, as older clients want them."""
        body = call.body
        top_k = body.top_k if body.top_k is not None else body.limit
        asked = Asked(
            shape="platform list" if listed else "platform",
            query=checked_query(body.query, self._limit),
            where=intake.scope(body, body.filters, *intake.narrowing(body.categories, body.metadata)),
            top_k=TOP_K if top_k is None else top_k,
            threshold=body.threshold,
            show_expired=intake.truth(body.show_expired),
            explain=intake.truth(body.explain),
            fields=tuple(body.fields or ()),
        )

        async def make() -> Reply:
            found = await searched(self._memory, asked, call.principal)
            answer = views.only(body.fields, views.search_answer(found, asked.explain))
            if listed:
                answer = answer["results"] if isinstance(answer, dict) else answer.results
            return Reply(answer, headers=views.degraded_header(found.degraded))

        return await answered(self._answers, call, asked, make)

    async def get(self, call: Call[None, None]) -> wire.Memory | Reply:
        """One memory."""
        memory_id = intake.memory_id(call.path["memory_id"])
        found = await self._memory.get(memory_id, call.principal.caller)
        return views.noted(views.memory(found), self._memory.outdated(memory_id, found.identifiers))

    async def update(self, call: Call[body_of.UpdateBody, None]) -> wire.Memory | Reply:
        """Change text, metadata, time or expiry."""
        body, memory_id = call.body, intake.memory_id(call.path["memory_id"])
        change = Change(
            text=checked_text(body.text, self._limit),
            metadata=None if body.metadata is None else intake.metadata(body.metadata),
            expiration_date=intake.expiry(body.expiration_date),
            created_at=intake.instant(body.timestamp, "timestamp"),
        )
        if (change.text, change.metadata, change.created_at) == (
            None,
            None,
            None,
        ) and change.expiration_date is UNSET:
            raise errors.BadRequest(
                "At least one of text, metadata, timestamp, or expiration_date must be provided."
            )
        after = await self._memory.update(memory_id, change, call.principal.caller)
        return views.waits(after) if isinstance(after, Receipt) else views.memory(after)

    async def delete(self, call: Call[None, body_of.DeleteQuery]) -> wire.Done | Reply:
        """Delete one memory."""
        receipt = await self._memory.delete(intake.memory_id(call.path["memory_id"]), call.principal.caller)
        done = wire.Done(
            message="Memory deleted successfully!", event_id=str(receipt.id), count=receipt.count
        )
        return views.done(receipt, done)

    async def delete_all(self, call: Call[None, body_of.DeleteAllQuery]) -> wire.Done | Reply:
        """Delete all memories of a scope."""
        receipt = await self._memory.delete_scope(deletion_scope(call.query), call.principal.caller)
        noun = "memory" if receipt.count == 1 else "memories"
        done = wire.Done(
            message=f"Deleted {receipt.count} {noun} successfully!",
            event_id=str(receipt.id),
            count=receipt.count,
        )
        return views.done(receipt, done)

    async def history(self, call: Call[None, None]) -> list[wire.HistoryEntry] | Reply:
        """All changes of a memory, oldest first."""
        memory_id = intake.memory_id(call.path["memory_id"])
        found = await self._memory.history(memory_id, call.principal.caller)
        entries = [views.history_entry(entry) for entry in found]
        return views.noted(entries, self._memory.outdated(memory_id, found[-1].identifiers))


def wants_inference(body: body_of.AddBody) -> bool:
    """Whether facts are to be extracted; so it is unless the body says no."""
    return body.infer is None or intake.truth(body.infer)


def page_scope(call: Call[body_of.PageBody, Any]) -> Filter:
    """Which memories a list means; an administrator may leave it open."""
    body = call.body
    more = intake.narrowing(body.categories, body.metadata, body.start_date, body.end_date)
    if not body.filters and not intake.named(body) and call.principal.caller.reach.all_scopes:
        narrowed = tuple(filters.parse(raw) for raw in more if raw)
        return filters.All((intake.any_scope(), *narrowed)) if narrowed else filters.everything()
    return intake.scope(body, body.filters, *more)


def deletion_scope(query: body_of.DeleteAllQuery) -> Filter:
    """Which memories a deletion means.

    `*` for every kind of identifier at once means everything (so mem0's command line asks for it), not memories that
    carry all four.

    Raises:
        NoScope: nothing is named.
        BadFilter: the filter cannot be read.
    """
    if intake.named(query) == dict.fromkeys(KIND_OF, "*") and query.filters is None:
        return filters.everything()
    raw = None if query.filters is None else intake.literal_filter(query.filters)
    return intake.scope(query, raw)


def routes(parts: Parts) -> list[Route]:
    """The table of the platform's memory addresses."""
    serve = PlatformMemoryRoutes(parts)
    message = {"role": "user", "content": "I like tea better than coffee."}
    one = "/v1/memories/{memory_id}/"
    return [
        Route(method="POST", path="/v3/memories/add/", handler=serve.add, operation="add", need="write",
              dialect="platform", summary="Store memories", body=body_of.AddBody, answer=wire.Receipt, queued=wire.Receipt,
              refuses=(409,), example={"messages": [message], "user_id": "alice", "infer": False}),
        Route(method="POST", path="/v3/memories/search/", handler=serve.search, operation="search", need="read",
              dialect="platform", summary="Search memories", body=body_of.SearchBody, answer=(wire.SearchAnswer, body_of.Picked),
              kept=True, example={"query": "What does Alice drink?", "filters": {"user_id": "alice"}}),
        Route(method="POST", path="/v3/memories/", handler=serve.page, operation="list", need="read",
              dialect="platform", summary="A page of memories", body=body_of.PageBody, query=body_of.PageQuery,
              answer=(wire.Page, body_of.Picked), example={"filters": {"user_id": "alice"}}),
        Route(method="GET", path=one + "history/", handler=serve.history, operation="history", need="read",
              dialect="platform", summary="All changes of a memory", answer=list[wire.HistoryEntry], refuses=(404,),
              path_schemas=MEMORY_ID),
        Route(method="GET", path=one, handler=serve.get, operation="get", need="read", dialect="platform",
              summary="Get a memory", answer=wire.Memory, refuses=(404,), path_schemas=MEMORY_ID),
        Route(method="PUT", path=one, handler=serve.update, operation="update", need="write", dialect="platform",
              summary="Change a memory", body=body_of.UpdateBody, answer=wire.Memory, queued=wire.Done,
              refuses=(404, 409), path_schemas=MEMORY_ID, example={"text": "I like tea."}),
        Route(method="DELETE", path=one, handler=serve.delete, operation="delete", need="write", dialect="platform",
              summary="Delete a memory", query=body_of.DeleteQuery, answer=wire.Done, queued=wire.Done,
              refuses=(404, 409), path_schemas=MEMORY_ID),
        Route(method="DELETE", path="/v1/memories/", handler=serve.delete_all, operation="delete_all", need="write",
              dialect="platform", summary="Delete the memories of a scope", query=body_of.DeleteAllQuery,
              answer=wire.Done, queued=wire.Done, description="The answer's `event_id` undoes it: `POST /v1/events/{event_id}/undo`."),
    ]  # fmt: skip
