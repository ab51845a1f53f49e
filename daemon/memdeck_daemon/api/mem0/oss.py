"""mem0's self-hosted dialect: memories. No prefix, no trailing slashes.

Owns the addresses `/memories…` and `/search` with the exact sentences of mem0's own server. What that server gets wrong
is mended: an id that is no UUID is 400, an absent memory is 404. The rest of the dialect stands in `oss_server.py`.
"""

from typing import Final, TypeVar

from memdeck_common import errors
from memdeck_common.wire import oss as wire
from memdeck_common.wire.memory import Done
from memdeck_daemon.api.access.principals import Principal
from memdeck_daemon.api.answers import Asked, answered
from memdeck_daemon.api.http.routing import MEMORY_ID, Call, Reply, Route
from memdeck_daemon.api.mem0 import intake, oss_views, views
from memdeck_daemon.api.memories import Memories
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import UNSET, Change, Found, Memory, NewMemories, Receipt

SCOPED_TOP_K: Final = 20
UNSCOPED_TOP_K: Final = 1000
NO_IDENTIFIER: Final = "At least one identifier (user_id, agent_id, run_id) is required."
NO_FILTER: Final = (
    "filters must contain at least one of: user_id, agent_id, run_id. Example: filters={'user_id': 'u1'}"
)
NO_CHANGE: Final = "At least one of text, metadata, or expiration_date must be provided."
NO_QUERY: Final = "Invalid query: cannot be empty or whitespace-only."
PROCEDURAL: Final = "procedural_memory"
Answer = TypeVar("Answer")


class OssMemoryRoutes:
    """`/memories…` and `/search`."""

    def __init__(self, parts: Parts) -> None:
        self._memory, self._limit, self._answers = parts.memory, parts.text_limit, parts.answers

    async def add(self, call: Call[wire.OssAdd, None]) -> wire.OssAdded | Reply:
        """Store messages; the answer waits until they are stored, or kept on the disk."""
        body = call.body
        if not intake.named(body):
            raise errors.NoScope(NO_IDENTIFIER)
        _check_memory_type(body)
        messages = intake.messages(body.messages, self._limit)
        infer = intake.truth(body.infer) if body.infer is not None else True
        new = NewMemories(
            messages=messages,
            identifiers=intake.identifiers(body),
            metadata=intake.metadata(body.metadata),
            created_at=intake.instant(body.timestamp, "timestamp"),
            expiration_date=intake.day(body.expiration_date),
            memory_type=body.memory_type,
            infer=infer,
            idempotency_key=intake.idempotency_key(call.headers),
        )
        if not intake.holds_text(messages):
            return wire.OssAdded(results=[], message="Nothing to store: system and empty messages are not.")
        receipt = await self._memory.add(new, call.principal.caller)
        return Reply(oss_views.added(receipt, infer), status=views.status_of(receipt))

    async def listed(self, call: Call[None, wire.OssListQuery]) -> wire.OssMemories | wire.OssRows | Reply:
        """The newest memories of a scope; without one, an administrator's look at everything."""
        query, caller = call.query, call.principal.caller
        given = query.top_k if query.top_k is not None else query.limit
        if intake.named(query):
            top_k = SCOPED_TOP_K if given is None else given
            where = intake.scope(query, None)
            _, found = await self._memory.page(
                where, caller, page=1, size=max(top_k, 1), show_expired=query.show_expired
            )
            memories = wire.OssMemories(results=[oss_views.item(one) for one in found[:top_k]])
            return self._noted(memories, where, found)
        call.principal.check("admin")
        top_k = UNSCOPED_TOP_K if given is None else given
        where = filters.everything()
        _, found = await self._memory.page(where, caller, page=1, size=max(top_k, 1), show_expired=True)
        rows = wire.OssRows(results=[oss_views.row(one) for one in found[:top_k]])
        return self._noted(rows, where, found)

    def _noted(self, answer: Answer, where: Filter, found: list[Memory]) -> Answer | Reply:
        return views.noted(answer, self._memory.lacking(where, found))

    async def get(self, call: Call[None, None]) -> wire.OssMemory | Reply:
        """One memory."""
        memory_id = intake.memory_id(call.path["memory_id"])
        found = await self._memory.get(memory_id, call.principal.caller)
        answer = oss_views.item(found, None)
        return views.noted(answer, self._memory.outdated(memory_id, found.identifiers))

    async def update(self, call: Call[wire.OssUpdate, None]) -> wire.OssDone | Reply:
        """Change text, metadata or expiry."""
        body, memory_id = call.body, intake.memory_id(call.path["memory_id"])
        expiry = intake.expiry(body.expiration_date)
        if body.text is None and body.metadata is None and expiry is UNSET:
            raise errors.BadRequest(NO_CHANGE)
        change = Change(
            text=checked_text(body.text, self._limit),
            metadata=None if body.metadata is None else intake.metadata(body.metadata),
            expiration_date=expiry,
        )
        after = await self._memory.update(memory_id, change, call.principal.caller)
        if isinstance(after, Receipt):
            return views.waits(after)
        return wire.OssDone(message="Memory updated successfully!")

    async def delete(self, call: Call[None, None]) -> wire.OssDone | Reply:
        """Delete one memory."""
        receipt = await self._memory.delete(intake.memory_id(call.path["memory_id"]), call.principal.caller)
        done = wire.OssDone(message="Memory deleted successfully", event_id=str(receipt.id))
        return views.done(receipt, done)

    async def delete_all(self, call: Call[None, wire.OssDeleteQuery]) -> wire.OssDone | Reply:
        """Delete all memories that carry all of the identifiers."""
        if not intake.named(call.query):
            raise errors.NoScope("At least one identifier is required.")
        receipt = await self._memory.delete_scope(intake.scope(call.query, None), call.principal.caller)
        done = wire.OssDone(
            message="All relevant memories deleted", event_id=str(receipt.id), count=receipt.count
        )
        return views.done(receipt, done)

    async def history(self, call: Call[None, None]) -> list[wire.OssHistoryEntry] | Reply:
        """All changes of a memory, oldest first."""
        memory_id = intake.memory_id(call.path["memory_id"])
        found = await self._memory.history(memory_id, call.principal.caller)
        entries = [oss_views.history_entry(entry) for entry in found]
        return views.noted(entries, self._memory.outdated(memory_id, found[-1].identifiers))

    async def search(self, call: Call[wire.OssSearch, None]) -> Reply:
        """Search. Identifiers at the top level override those in `filters`."""
        body = call.body
        query = checked_query(body.query, self._limit)
        raw = {**(body.filters or {}), **intake.named(body)}
        if not intake.names_scope(raw):
            raise errors.NoScope(NO_FILTER)
        top_k = body.top_k if body.top_k is not None else body.limit
        asked = Asked(
            shape="oss",
            query=query,
            where=filters.parse(raw),
            top_k=SCOPED_TOP_K if top_k is None else top_k,
            threshold=body.threshold,
            show_expired=intake.truth(body.show_expired),
            explain=intake.truth(body.explain),
        )

        async def make() -> Reply:
            found = await searched(self._memory, asked, call.principal)
            answer = oss_views.searched(found, asked.explain)
            return Reply(answer, headers=views.degraded_header(found.degraded))

        return await answered(self._answers, call, asked, make)

    async def reset(self, call: Call[None, None]) -> wire.OssDone | Reply:
        """Delete every memory; undoable for a day like any deletion."""
        receipt = await self._memory.delete_scope(filters.everything(), call.principal.caller)
        done = wire.OssDone(message="All memories reset", event_id=str(receipt.id), count=receipt.count)
        return views.done(receipt, done)


def checked_text(text: str | None, limit: int) -> str | None:
    """The new text of a memory, when there is one.

    Raises:
        BadRequest: it is blank or too large.
    """
    if text is None:
        return None
    if not text.strip():
        raise errors.BadRequest("text must not be empty; delete the memory instead.", field="text")
    return intake.checked_size(text, "text", limit)


async def searched(memory: Memories, asked: Asked, principal: Principal) -> Found:
    """What a search finds."""
    return await memory.search(
        asked.query,
        asked.where,
        principal.caller,
        top_k=asked.top_k,
        threshold=asked.threshold,
        show_expired=asked.show_expired,
        explain=asked.explain,
    )


def checked_query(query: str, limit: int) -> str:
    """The words to search for.

    Raises:
        BadRequest: there are none, or too many.
    """
    query = query.strip()
    if not query:
        raise errors.BadRequest(NO_QUERY)
    return intake.checked_size(query, "query", limit)


def _check_memory_type(body: wire.OssAdd) -> None:
    if body.memory_type is None:
        return
    if body.memory_type != PROCEDURAL:
        raise errors.BadRequest(
            f"Invalid 'memory_type'. Please pass {PROCEDURAL} to create procedural memories."
        )
    if body.agent_id is None:
        raise errors.BadRequest("memory_type procedural_memory needs an agent_id.", field="agent_id")


def routes(parts: Parts) -> list[Route]:
    """The table of `/memories…`, `/search` and `/reset`."""
    serve = OssMemoryRoutes(parts)
    message = {"role": "user", "content": "I like tea better than coffee."}
    add = {"messages": [message], "user_id": "alice", "infer": False}
    one = "/memories/{memory_id}"
    return [
        Route(method="POST", path="/memories", handler=serve.add, operation="add", need="write", dialect="oss",
              summary="Store memories", body=wire.OssAdd, answer=wire.OssAdded, queued=wire.OssAdded, refuses=(409,), example=add),
        Route(method="GET", path="/memories", handler=serve.listed, operation="list", need="read", dialect="oss",
              summary="List memories", query=wire.OssListQuery, answer=(wire.OssMemories, wire.OssRows),
              description="Newest first. Without an identifier: everything, for administrators."),
        Route(method="DELETE", path="/memories", handler=serve.delete_all, operation="delete_all", need="admin",
              dialect="oss", summary="Delete the memories of a scope", query=wire.OssDeleteQuery, answer=wire.OssDone,
              queued=Done),
        Route(method="GET", path=one, handler=serve.get, operation="get", need="read", dialect="oss",
              summary="Get a memory", answer=wire.OssMemory, refuses=(404,), path_schemas=MEMORY_ID),
        Route(method="PUT", path=one, handler=serve.update, operation="update", need="write", dialect="oss",
              summary="Change a memory", body=wire.OssUpdate, answer=wire.OssDone, queued=Done, refuses=(404, 409),
              path_schemas=MEMORY_ID, example={"text": "I like tea."}),
        Route(method="DELETE", path=one, handler=serve.delete, operation="delete", need="write", dialect="oss",
              summary="Delete a memory", answer=wire.OssDone, queued=Done, refuses=(404, 409), path_schemas=MEMORY_ID),
        Route(method="GET", path=one + "/history", handler=serve.history, operation="history", need="read",
              dialect="oss", summary="All changes of a memory", answer=list[wire.OssHistoryEntry], refuses=(404,),
              path_schemas=MEMORY_ID),
        Route(method="POST", path="/search", handler=serve.search, operation="search", need="read", dialect="oss",
              summary="Search memories", body=wire.OssSearch, answer=wire.OssFound, kept=True,
              example={"query": "What does Alice drink?", "filters": {"user_id": "alice"}}),
        Route(method="POST", path="/reset", handler=serve.reset, operation="delete_all", need="admin", dialect="oss",
              summary="Delete every memory", answer=wire.OssDone, queued=Done),
    ]  # fmt: skip
