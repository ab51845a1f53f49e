"""mem0's platform dialect: the project, and what only the hosted platform has.

A daemon is one project of one organisation; its settings can be read and changed. Members, webhooks, summaries and
further projects are refused with 501; profiles answer `not_enabled`, as the platform does where they are off.
"""

from typing import Any, Final

import msgspec

from memdeck_common import errors
from memdeck_common.wire import platform as body_of
from memdeck_daemon.api.http.routing import Call, Handler, Method, Route
from memdeck_daemon.api.mem0.records import ORGANISATION
from memdeck_daemon.api.parts import Parts

ORGANISATIONS: Final = "/api/v1/orgs/organizations/{org_id}/projects/"
PROJECT: Final = ORGANISATIONS + "{project_id}/"


class ProjectRoutes:
    """The one project of this daemon, and profiles, which it has none of."""

    def __init__(self, parts: Parts) -> None:
        self._memory, self._instance = parts.memory, parts.settings.instance

    async def get(self, call: Call[None, body_of.ProjectQuery]) -> dict[str, Any]:
        """The project's settings, or the fields asked for."""
        self._check_project(call)
        return self._shown(await self._memory.project(), call.query.fields)

    async def change(self, call: Call[body_of.ProjectPatch, body_of.ProjectQuery]) -> dict[str, Any]:
        """Change settings of the project."""
        self._check_project(call)
        fields = msgspec.to_builtins(call.body)
        if not fields:
            known = ", ".join(body_of.ProjectPatch.__struct_fields__)
            raise errors.BadRequest(f"Nothing to change: give at least one of {known}.")
        settings = await self._memory.change_project(fields)
        return {"message": "Project updated successfully", **self._shown(settings, [])}

    async def profile(self, call: Call[None, None]) -> body_of.Profile:
        """A user's profile: none is made."""
        return body_of.Profile(entity_id=call.path["user_id"])

    async def profile_job(self, _: Call[None, None]) -> body_of.ProfileJob:
        """A job that makes profiles: none runs."""
        return body_of.ProfileJob(job={"status": "not_enabled"})

    async def profile_settings(self, _: Call[None, None]) -> body_of.ProfileSettings:
        """Settings of profiles: off, and they stay off."""
        return body_of.ProfileSettings()

    def _check_project(self, call: Call[Any, Any]) -> None:
        if (call.path["org_id"], call.path["project_id"]) != (ORGANISATION, self._instance):
            raise errors.NotFound(f"This daemon is project {self._instance} of organisation {ORGANISATION}.")

    def _shown(self, settings: dict[str, Any], fields: list[str]) -> dict[str, Any]:
        blank = dict.fromkeys(body_of.ProjectPatch.__struct_fields__)
        names = {
            "id": self._instance,
            "project_id": self._instance,
            "org_id": ORGANISATION,
            "name": self._instance,
        }
        shown = {**names, **blank, **settings}
        return {name: shown.get(name) for name in fields} if fields else shown


def not_offered(sentence: str) -> Handler:
    """A handler that says what memdeck does not do."""

    async def refuse(_: Call[Any, Any]) -> None:
        raise errors.NotOffered(sentence)

    return refuse


NO_PROJECTS: Final = not_offered("One daemon is one project: start another instance for another project.")
NO_MEMBERS: Final = not_offered(
    "memdeck has no members: it knows API keys only. `memdeck keys create` makes one."
)
NO_WEBHOOKS: Final = not_offered("memdeck sends no webhooks; GET /ops/feed tells what happens as it happens.")
NO_SUMMARY: Final = not_offered("memdeck makes no summaries: that needs an LLM.")

MISSING: Final[list[tuple[Method, str, Handler, str]]] = [
    ("POST", ORGANISATIONS, NO_PROJECTS, "create a project"),
    ("DELETE", PROJECT, NO_PROJECTS, "delete the project"),
    ("GET", PROJECT + "members/", NO_MEMBERS, "list members"),
    ("POST", PROJECT + "members/", NO_MEMBERS, "add a member"),
    ("PUT", PROJECT + "members/", NO_MEMBERS, "change a member"),
    ("DELETE", PROJECT + "members/", NO_MEMBERS, "remove a member"),
    ("GET", "/api/v1/webhooks/projects/{project_id}/", NO_WEBHOOKS, "list webhooks"),
    ("POST", "/api/v1/webhooks/projects/{project_id}/", NO_WEBHOOKS, "create a webhook"),
    ("PUT", "/api/v1/webhooks/{webhook_id}/", NO_WEBHOOKS, "change a webhook"),
    ("DELETE", "/api/v1/webhooks/{webhook_id}/", NO_WEBHOOKS, "delete a webhook"),
    ("POST", "/v1/summary/", NO_SUMMARY, "summarise memories"),
]


def routes(parts: Parts) -> list[Route]:
    """The table of the project, profiles and what is not offered."""
    serve = ProjectRoutes(parts)
    jobs, settings = "/v2/profiles/jobs/", "/v2/profiles/settings/"
    return [
        Route(method="GET", path=PROJECT, handler=serve.get, operation="other", need="read", dialect="platform",
              summary="The project's settings", query=body_of.ProjectQuery, refuses=(404,)),
        Route(method="PATCH", path=PROJECT, handler=serve.change, operation="other", need="admin", dialect="platform",
              summary="Change the project's settings", body=body_of.ProjectPatch, query=body_of.ProjectQuery,
              refuses=(404,), example={"custom_instructions": "Remember preferences."}),
        Route(method="GET", path="/v2/entities/user/{user_id}/profile/", handler=serve.profile, operation="other",
              need="read", dialect="platform", summary="A user's profile (not enabled)", answer=body_of.Profile),
        Route(method="POST", path=jobs, handler=serve.profile_job, operation="other", need="write",
              dialect="platform", summary="Make profiles (not enabled)", answer=body_of.ProfileJob),
        Route(method="GET", path=jobs + "{job_id}/", handler=serve.profile_job, operation="other", need="read",
              dialect="platform", summary="A profile job (not enabled)", answer=body_of.ProfileJob),
        Route(method="GET", path=settings, handler=serve.profile_settings, operation="other", need="read",
              dialect="platform", summary="Settings of profiles", answer=body_of.ProfileSettings),
        Route(method="POST", path=settings, handler=serve.profile_settings, operation="other", need="admin",
              dialect="platform", summary="Settings of profiles (they stay off)", answer=body_of.ProfileSettings),
        *(
            Route(method=method, path=path, handler=handler, operation="other", need="read", dialect="platform",
                  summary=f"Not offered: {what}", refuses=(501,))
            for method, path, handler, what in MISSING
        ),
    ]  # fmt: skip
