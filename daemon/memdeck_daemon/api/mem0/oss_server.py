"""mem0's self-hosted dialect: everything but memories (`oss.py`).

Owns entities, the readable configuration, the last requests, keys under their old address, and the refusals of what
memdeck does not offer there: accounts, and changing the configuration while it runs.
"""

from typing import Any, Final

import msgspec

from memdeck_common import errors
from memdeck_common.settings import AREAS, Settings, variables
from memdeck_common.wire import oss as wire
from memdeck_common.wire.keys import NewKey
from memdeck_common.wire.memory import Done
from memdeck_daemon.api.http.routing import UUID_SCHEMA, Call, Reply, Route
from memdeck_daemon.api.mem0 import intake, oss_views, views
from memdeck_daemon.api.parts import Parts
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.model import FIELD_OF

REDACTED: Final = "[redacted]"
ENTITIES: Final = 10_000
"""Entities that the list without pages holds at most."""
NO_ACCOUNTS: Final = "memdeck has no accounts: it knows API keys only. `memdeck keys create` makes one."
NO_CONFIGURE: Final = "The configuration cannot be changed while memdeck runs: set it in the environment or DIR/.env and restart."
NO_INSTRUCTIONS: Final = "memdeck does not generate instructions: that needs an LLM."


class OssServerRoutes:
    """`/entities`, `/configure`, `/requests`, `/auth`, `/api-keys`."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._memory, self._access = parts, parts.memory, parts.access

    async def entities(self, call: Call[None, None]) -> list[wire.OssEntity]:
        """Users, agents, apps and runs that have memories, sorted by type and id."""
        _, found, _ = await self._memory.entities(call.principal.caller, kind=None, page=1, size=ENTITIES)
        return sorted((oss_views.entity(one) for one in found), key=lambda one: (one.type, one.id))

    async def delete_entity(self, call: Call[None, None]) -> wire.OssDone | Reply:
        """Delete all memories that carry the identifier."""
        kind, name = call.path["kind"], call.path["name"]
        if kind not in FIELD_OF:
            raise errors.BadField(f"type must be user, agent, app or run, not {kind[:40]!r}.", field="type")
        where = filters.parse({FIELD_OF[kind]: name})
        receipt = await self._memory.delete_scope(where, call.principal.caller)
        done = wire.OssDone(message="Entity deleted", event_id=str(receipt.id), count=receipt.count)
        return views.done(receipt, done)

    async def configuration(self, _: Call[None, None]) -> dict[str, Any]:
        """Every setting as it is in effect, secrets redacted."""
        return redacted(self._parts.settings)

    async def providers(self, _: Call[None, None]) -> wire.OssProviders:
        """Which providers this daemon can use: embeddings come from the built-in model, and there is no LLM."""
        return wire.OssProviders(llm=[], embedder=["local"])

    async def latest_requests(self, call: Call[None, wire.OssRequestsQuery]) -> list[wire.OssRequest]:
        """The last requests that came with a key, newest first."""
        return self._parts.requests.latest(call.query.limit)

    async def setup_status(self, _: Call[None, None]) -> wire.OssSetupStatus:
        """Whether somebody must set an account up first: never."""
        return wire.OssSetupStatus(needsSetup=False)

    async def keys(self, call: Call[None, None]) -> list[wire.OssKey]:
        """Keys that are in force, newest first."""
        call.principal.check_unpinned()
        found = (await self._access.list()).keys
        names = wire.OssKey.__struct_fields__
        return [
            wire.OssKey(**{name: getattr(key, name) for name in names})
            for key in found
            if key.revoked_at is None
        ]

    async def create_key(self, call: Call[wire.OssNewKey, None]) -> wire.OssCreatedKey:
        """Make a key with the role agent."""
        call.principal.check_unpinned()
        made = await self._access.create(NewKey(label=call.body.label))
        return wire.OssCreatedKey(
            **{name: getattr(made, name) for name in wire.OssCreatedKey.__struct_fields__}
        )

    async def revoke_key(self, call: Call[None, None]) -> wire.OssDone:
        """End a key at once."""
        call.principal.check_unpinned()
        key_id = str(intake.key_id(call.path["key_id"]))
        try:
            await self._access.revoke(key_id)
        except errors.Conflict as error:
            raise errors.BadRequest(str(error)) from None
        return wire.OssDone(message="API key revoked")


def redacted(settings: Settings) -> dict[str, Any]:
    """The settings by area; what is secret and set shows as `[redacted]`."""
    found: dict[str, Any] = {"instance": settings.instance}
    secret = {(area, field) for area, field, meta in variables().values() if (meta.extra or {})["secret"]}
    for area in AREAS:
        values = msgspec.to_builtins(getattr(settings, area))
        found[area] = {
            name: REDACTED if (area, name) in secret and value else value for name, value in values.items()
        }
    return found


async def _no_accounts(_: Call[Any, Any]) -> None:
    raise errors.NotOffered(NO_ACCOUNTS)


async def _no_configure(_: Call[Any, Any]) -> None:
    raise errors.NotOffered(NO_CONFIGURE)


async def _no_instructions(_: Call[Any, Any]) -> None:
    raise errors.NotOffered(NO_INSTRUCTIONS)


def routes(parts: Parts) -> list[Route]:
    """The table of the rest of the self-hosted dialect."""
    serve = OssServerRoutes(parts)
    return [
        Route(method="GET", path="/entities", handler=serve.entities, operation="entities", need="read", dialect="oss",
              summary="Users, agents, apps and runs", answer=list[wire.OssEntity]),
        Route(method="DELETE", path="/entities/{kind}/{name}", handler=serve.delete_entity, operation="delete_all",
              need="admin", dialect="oss", summary="Delete an entity's memories", answer=wire.OssDone, queued=Done, refuses=(422,),
              path_schemas={"kind": {"type": "string", "enum": list(FIELD_OF)}}),
        Route(method="GET", path="/configure", handler=serve.configuration, operation="other", need="read",
              dialect="oss", summary="The configuration, redacted"),
        Route(method="POST", path="/configure", handler=_no_configure, operation="other", need="admin", dialect="oss",
              summary="Not offered: change the configuration", refuses=(501,)),
        Route(method="GET", path="/configure/providers", handler=serve.providers, operation="other", need="read",
              dialect="oss", summary="Providers that can be used", answer=wire.OssProviders),
        Route(method="POST", path="/generate-instructions", handler=_no_instructions, operation="other", need="read",
              dialect="oss", summary="Not offered: generate instructions", refuses=(501,)),
        Route(method="GET", path="/requests", handler=serve.latest_requests, operation="other", need="admin",
              dialect="oss", summary="The last requests", query=wire.OssRequestsQuery, answer=list[wire.OssRequest]),
        *_key_routes(serve),
        *_account_routes(serve),
    ]  # fmt: skip


def _key_routes(serve: OssServerRoutes) -> list[Route]:
    return [
        Route(method="GET", path="/api-keys", handler=serve.keys, operation="keys", need="admin", dialect="oss",
              summary="Keys in force", answer=list[wire.OssKey]),
        Route(method="POST", path="/api-keys", handler=serve.create_key, operation="keys", need="admin", dialect="oss",
              summary="Make a key", body=wire.OssNewKey, answer=wire.OssCreatedKey, status=201,
              example={"label": "laptop"}),
        Route(method="DELETE", path="/api-keys/{key_id}", handler=serve.revoke_key, operation="keys", need="admin",
              dialect="oss", summary="Revoke a key", answer=wire.OssDone, refuses=(404,),
              path_schemas={"key_id": UUID_SCHEMA}),
    ]  # fmt: skip


def _account_routes(serve: OssServerRoutes) -> list[Route]:
    offered = Route(
        method="GET", path="/auth/setup-status", handler=serve.setup_status, operation="other", need="public",
        dialect="oss", summary="Whether an account must be set up first", answer=wire.OssSetupStatus,
    )  # fmt: skip
    missing: list[tuple[Any, str]] = [
        ("POST", "/auth/register"),
        ("POST", "/auth/login"),
        ("POST", "/auth/refresh"),
        ("GET", "/auth/me"),
        ("PATCH", "/auth/me"),
        ("POST", "/auth/change-password"),
        ("POST", "/auth/onboarding-complete"),
    ]
    return [offered] + [
        Route(method=method, path=path, handler=_no_accounts, operation="other", need="public", dialect="oss",
              summary="Not offered: accounts", refuses=(501,))
        for method, path in missing
    ]  # fmt: skip
