"""mem0's platform dialect: everything kept about memories rather than memories themselves.

Owns ping, entities, batches, events, feedback, exports and stats.
"""

from typing import Any, Final

import msgspec

from memdeck_common import errors
from memdeck_common.wire import memory as wire
from memdeck_common.wire import platform as body_of
from memdeck_daemon.api.http.routing import UUID_SCHEMA, Call, Reply, Route
from memdeck_daemon.api.mem0 import intake, views
from memdeck_daemon.api.mem0.oss import checked_text
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.model import FIELD_OF, Change, Kind

ORGANISATION: Final = "memdeck"
ALL_ENTITIES: Final = 10_000
"""Without a page, the list holds all: mem0's client deletes "all users" by reading it once."""
PAGE_SIZE: Final = 100
VERDICTS: Final = ("POSITIVE", "NEGATIVE", "VERY_NEGATIVE")


class RecordRoutes:
    """Ping, entities, batches, events, feedback, exports, stats."""

    def __init__(self, parts: Parts) -> None:
        self._memory, self._limit, self._instance = parts.memory, parts.text_limit, parts.settings.instance

    async def ping(self, _: Call[None, None]) -> body_of.Ping:
        """What a client reads when it is made."""
        return body_of.Ping(status="ok", org_id=ORGANISATION, project_id=self._instance, user_email=None)

    async def entities(self, call: Call[None, body_of.PageQuery]) -> wire.Entities:
        """Users, agents, apps and runs."""
        paged = call.query.page is not None or call.query.page_size is not None
        page, size = call.query.page or 1, call.query.page_size or (PAGE_SIZE if paged else ALL_ENTITIES)
        caller = call.principal.caller
        count, found, totals = await self._memory.entities(caller, kind=None, page=page, size=size)
        after, before = views.links(call.base_url, "/v1/entities/", page, size, count)
        return wire.Entities(
            count=count,
            next=after,
            previous=before,
            results=views.entities(found, self._instance),
            total_users=totals.get("user", 0),
            total_agents=totals.get("agent", 0),
            total_apps=totals.get("app", 0),
            total_runs=totals.get("run", 0),
        )

    async def delete_entity(self, call: Call[None, None]) -> wire.Done | Reply:
        """Delete all memories that carry the identifier."""
        kind, name = call.path["kind"], call.path["name"]
        if kind not in FIELD_OF:
            raise errors.BadRequest(f"type must be user, agent, app or run, not {kind[:40]!r}.", field="type")
        field: Kind = next(known for known in FIELD_OF if known == kind)
        where = filters.parse({FIELD_OF[field]: name})
        receipt = await self._memory.delete_scope(where, call.principal.caller)
        done = wire.Done(
            message="Entity deleted successfully!", event_id=str(receipt.id), count=receipt.count
        )
        return views.done(receipt, done)

    async def batch_update(self, call: Call[body_of.BatchUpdateBody, None]) -> wire.Done | Reply:
        """Change several memories, all or nothing."""
        changes = []
        for index, item in enumerate(call.body.memories):
            if item.text is None and item.metadata is None:
                raise errors.BadRequest(
                    f"memories[{index}] changes nothing: give text or metadata.", field="memories"
                )
            metadata = None if item.metadata is None else intake.metadata(item.metadata)
            change = Change(text=checked_text(item.text, self._limit), metadata=metadata)
            changes.append((intake.memory_id(item.memory_id), change))
        receipt = await self._memory.update_many(changes, call.principal.caller)
        message = f"Successfully updated {len(changes)} memories"
        return views.done(receipt, wire.Done(message=message, count=len(changes)))

    async def batch_delete(self, call: Call[body_of.BatchDeleteBody, None]) -> wire.Done | Reply:
        """Delete several memories, all or nothing."""
        ids = list(dict.fromkeys(intake.memory_id(item.memory_id) for item in call.body.memories))
        receipt = await self._memory.delete_many(ids, call.principal.caller)
        message = f"Successfully deleted {receipt.count} memories"
        done = wire.Done(message=message, event_id=str(receipt.id), count=receipt.count)
        return views.done(receipt, done)

    async def events(self, call: Call[None, body_of.PageQuery]) -> body_of.Events:
        """What became of the last writes, newest first."""
        page, size = call.query.page or 1, call.query.page_size or PAGE_SIZE
        count, found = await self._memory.receipts(call.principal.caller, page=page, size=size)
        after, before = views.links(call.base_url, "/v1/events/", page, size, count)
        results = [views.event(receipt) for receipt in found]
        return body_of.Events(count=count, next=after, previous=before, results=results)

    async def event(self, call: Call[None, None]) -> body_of.EventRecord:
        """What became of one write."""
        event_id = intake.event_id(call.path["event_id"])
        return views.event(await self._memory.receipt(event_id, call.principal.caller))

    async def feedback(self, call: Call[body_of.FeedbackBody, None]) -> body_of.FeedbackKept:
        """Keep a verdict on a memory."""
        body = call.body
        verdict = body.feedback.upper() if body.feedback else None
        if verdict is not None and verdict not in VERDICTS:
            raise errors.BadRequest(
                f"feedback must be one of {', '.join(VERDICTS)} or null.", field="feedback"
            )
        reason = intake.checked_size(body.feedback_reason or "", "feedback_reason", self._limit) or None
        memory_id = intake.memory_id(body.memory_id)
        kept = await self._memory.feedback(memory_id, verdict, reason, call.principal.caller)
        return body_of.FeedbackKept(
            id=str(kept), memory_id=str(memory_id), feedback=verdict, feedback_reason=reason
        )

    async def create_export(self, call: Call[body_of.ExportBody, None]) -> body_of.ExportCreated:
        """Keep what matches, as it is now."""
        body = call.body
        where = intake.raw_scope(body, body.filters)
        filters.parse(where)
        made = await self._memory.create_export(where, export_schema(body.schema), call.principal.caller)
        return body_of.ExportCreated(
            id=str(made),
            message="Memory export is ready. It holds whole memories: shaping them by a schema needs an LLM.",
        )

    async def export(self, call: Call[body_of.ExportGetBody, None]) -> body_of.Export:
        """An export by its id, or what a filter matches now."""
        body, caller = call.body, call.principal.caller
        if body.memory_export_id is not None:
            export_id = intake.export_id(body.memory_export_id)
            found = await self._memory.export(export_id, None, caller)
        else:
            found = await self._memory.export(None, intake.raw_scope(body, body.filters), caller)
        return body_of.Export(memories=[views.memory(one) for one in found], count=len(found))

    async def stats(self, call: Call[None, None]) -> body_of.Stats:
        """How much there is."""
        caller = call.principal.caller
        _, _, totals = await self._memory.entities(caller, kind=None, page=1, size=1)
        total = None
        if caller.reach.all_scopes:
            total, _ = await self._memory.page(
                filters.everything(), caller, page=1, size=1, show_expired=True
            )
        return body_of.Stats(
            total_memories=total,
            total_users=totals.get("user", 0),
            total_agents=totals.get("agent", 0),
            total_apps=totals.get("app", 0),
            total_runs=totals.get("run", 0),
        )


def export_schema(raw: str | dict[str, Any] | None) -> dict[str, Any]:
    """The schema of an export: an object, or JSON text of one.

    Raises:
        BadRequest: text that is no JSON object.
    """
    if isinstance(raw, str):
        try:
            return msgspec.json.decode(raw, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            raise errors.BadRequest("schema must be a JSON object.", field="schema") from None
    return raw or {}


def routes(parts: Parts) -> list[Route]:
    """The table of ping, entities, batches, events, feedback, exports and stats."""
    serve = RecordRoutes(parts)
    entity = {"kind": {"type": "string", "enum": list(FIELD_OF)}}
    event = {"event_id": UUID_SCHEMA}
    return [
        Route(method="GET", path="/v1/ping/", handler=serve.ping, operation="other", need="read", dialect="platform",
              summary="Check a key", answer=body_of.Ping),
        Route(method="GET", path="/v1/entities/", handler=serve.entities, operation="entities", need="read",
              dialect="platform", summary="Users, agents, apps and runs", query=body_of.PageQuery, answer=wire.Entities),
        Route(method="DELETE", path="/v2/entities/{kind}/{name}/", handler=serve.delete_entity,
              operation="delete_all", need="write", dialect="platform", summary="Delete an entity's memories",
              answer=wire.Done, queued=wire.Done, path_schemas=entity),
        Route(method="PUT", path="/v1/batch/", handler=serve.batch_update, operation="update", need="write",
              dialect="platform", summary="Change several memories", body=body_of.BatchUpdateBody, answer=wire.Done,
              queued=wire.Done, refuses=(404, 409)),
        Route(method="DELETE", path="/v1/batch/", handler=serve.batch_delete, operation="delete", need="write",
              dialect="platform", summary="Delete several memories", body=body_of.BatchDeleteBody, answer=wire.Done,
              queued=wire.Done, refuses=(404, 409)),
        Route(method="GET", path="/v1/events/", handler=serve.events, operation="events", need="read",
              dialect="platform", summary="The last writes", query=body_of.PageQuery, answer=body_of.Events),
        Route(method="GET", path="/v1/event/{event_id}/", handler=serve.event, operation="events", need="read",
              dialect="platform", summary="What became of a write", answer=body_of.EventRecord, refuses=(404,),
              path_schemas=event),
        Route(method="POST", path="/v1/feedback/", handler=serve.feedback, operation="feedback", need="write",
              dialect="platform", summary="Judge a memory", body=body_of.FeedbackBody, answer=body_of.FeedbackKept,
              refuses=(404,)),
        Route(method="POST", path="/v1/exports/", handler=serve.create_export, operation="export", need="read",
              dialect="platform", summary="Make an export", body=body_of.ExportBody, answer=body_of.ExportCreated,
              status=201, example={"schema": {}, "filters": {"user_id": "alice"}}),
        Route(method="POST", path="/v1/exports/get/", handler=serve.export, operation="export", need="read",
              dialect="platform", summary="Get an export", body=body_of.ExportGetBody, answer=body_of.Export, refuses=(404,),
              example={"filters": {"user_id": "alice"}}),
        Route(method="GET", path="/v1/stats/", handler=serve.stats, operation="other", need="read", dialect="platform",
              summary="How much there is", answer=body_of.Stats),
    ]  # fmt: skip
