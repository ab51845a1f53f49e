"""Addresses of older mem0 clients and integrations: aliases of today's, with the list shapes of their time.

Owns `/v1/memories/`, `/v1|v2/memories/search/`, `/v2/memories/`, `/v1/memories/{type}/{id}/` and
`/v1/entities/{type}/{id}/`. Refuses to do anything of its own: each is a call of the present address.
"""

from typing import Any, Final
from urllib.parse import quote

from msgspec import structs

from memdeck_common.wire import memory as wire
from memdeck_common.wire import platform as body_of
from memdeck_daemon.api.http.routing import Call, Reply, Route
from memdeck_daemon.api.mem0 import intake, views
from memdeck_daemon.api.mem0.platform import PAGE_SIZE, PlatformMemoryRoutes, page_scope
from memdeck_daemon.api.mem0.records import RecordRoutes
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import FIELD_OF, KIND_OF

WRAPPED: Final = "v1.1"
LISTED: Final = (list[wire.Memory], wire.Page)
PICKED: Final = (list[dict[str, Any]], body_of.Picked)
"""Where `fields` were asked for."""
ADDED: Final = (list[wire.Added], body_of.LegacyAdded)
KINDS: Final = "{kind:user|agent|app|run}"


class LegacyRoutes:
    """Older addresses."""

    def __init__(self, parts: Parts) -> None:
        self._memory, self._platform = parts.memory, PlatformMemoryRoutes(parts)

    async def add(self, call: Call[body_of.AddBody, None]) -> Any:
        """`POST /v1/memories/`: what was stored, as a list or wrapped."""
        receipt = await self._platform.store(call)
        answer: Any = views.results(receipt)
        if call.body.output_format == WRAPPED:
            answer = body_of.LegacyAdded(results=answer, event_id=str(receipt.id))
        return Reply(answer, status=views.status_of(receipt))

    async def search(self, call: Call[body_of.SearchBody, None]) -> Reply:
        """`POST /v1|v2/memories/search/`: the hits, as a list or wrapped."""
        return await self._platform.search(call, listed=call.body.output_format != WRAPPED)

    async def listed(self, call: Call[None, body_of.ListQuery]) -> Any:
        """`GET /v1/memories/`: a list; a page when one is asked for."""
        query = call.query
        if intake.named(query):
            where = intake.scope(query, None)
        else:
            call.principal.check("admin")
            where = filters.everything()
        return await self._listed(call, "/v1/memories/", where, query, query.limit)

    async def page(self, call: Call[body_of.PageBody, body_of.PageQuery]) -> Any:
        """`POST /v2/memories/`: a list; a page when one is asked for."""
        body = call.body
        wanted = structs.replace(call.query, page=call.query.page or body.page)
        wanted = structs.replace(wanted, page_size=call.query.page_size or body.page_size)
        shown = intake.truth(body.show_expired)
        return await self._listed(
            call, "/v2/memories/", page_scope(call), wanted, show_expired=shown, fields=body.fields
        )

    async def entity(self, call: Call[None, body_of.PageQuery]) -> Any:
        """`GET /v1/memories/{type}/{id}/`: the memories of one entity."""
        field = next(name for name, kind in KIND_OF.items() if kind == call.path["kind"])
        kind, name = call.path["kind"], call.path["name"]
        path = f"/v1/memories/{kind}/{quote(name, safe='')}/"
        return await self._listed(call, path, filters.parse({field: name}), call.query)

    async def _listed(
        self,
        call: Call[Any, Any],
        path: str,
        where: Filter,
        query: body_of.PageQuery | body_of.ListQuery,
        limit: int | None = None,
        show_expired: bool | None = None,
        fields: list[str] | None = None,
    ) -> Any:
        paged = query.page is not None or query.page_size is not None
        page, size = query.page or 1, query.page_size or limit or PAGE_SIZE
        if show_expired is None:
            show_expired = bool(getattr(query, "show_expired", False))
        count, found = await self._memory.page(
            where, call.principal.caller, page=page, size=size, show_expired=show_expired
        )
        results = [views.memory(one) for one in found]
        if paged:
            after, before = views.links(call.base_url, path, page, size, count)
            answer = views.only(fields, wire.Page(count=count, next=after, previous=before, results=results))
        else:
            answer = views.only(fields, {"results": results})["results"]
        return views.noted(answer, self._memory.lacking(where, found))


def routes(parts: Parts) -> list[Route]:
    """The table of older addresses."""
    serve, records = LegacyRoutes(parts), RecordRoutes(parts)
    message = {"role": "user", "content": "I like tea better than coffee."}
    found = {"query": "What does Alice drink?", "filters": {"user_id": "alice"}}
    searches = [
        Route(method="POST", path=path, handler=serve.search, operation="search", need="read", dialect="platform",
              summary="Search memories (older)", body=body_of.SearchBody, answer=(list[wire.Memory], wire.SearchAnswer, *PICKED), kept=True, example=found)
        for path in ("/v1/memories/search/", "/v2/memories/search/")
    ]  # fmt: skip
    return [
        *searches,
        Route(method="POST", path="/v1/memories/", handler=serve.add, operation="add", need="write",
              dialect="platform", summary="Store memories (older)", body=body_of.AddBody, answer=ADDED, queued=list[wire.Added], refuses=(409,),
              example={"messages": [message], "user_id": "alice", "infer": False}),
        Route(method="GET", path="/v1/memories/", handler=serve.listed, operation="list", need="read",
              dialect="platform", summary="List memories (older)", query=body_of.ListQuery, answer=LISTED),
        Route(method="POST", path="/v2/memories/", handler=serve.page, operation="list", need="read",
              dialect="platform", summary="List memories (older)", body=body_of.PageBody, query=body_of.PageQuery,
              answer=(*LISTED, *PICKED), example={"filters": {"user_id": "alice"}}),
        Route(method="GET", path="/v1/memories/" + KINDS + "/{name}/", handler=serve.entity, operation="list",
              need="read", dialect="platform", summary="An entity's memories (older)", query=body_of.PageQuery,
              answer=LISTED),
        Route(method="DELETE", path="/v1/entities/{kind}/{name}/", handler=records.delete_entity,
              operation="delete_all", need="write", dialect="platform", summary="Delete an entity's memories (older)",
              answer=wire.Done, path_schemas={"kind": {"type": "string", "enum": list(FIELD_OF)}}),
    ]  # fmt: skip
