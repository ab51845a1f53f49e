"""`/ops/keys`: make, list and revoke API keys; for administrators without pins."""

from memdeck_common.wire import keys as wire
from memdeck_daemon.api.access.access import Access
from memdeck_daemon.api.http.routing import Call, Route
from memdeck_daemon.api.parts import Parts


class KeyRoutes:
    """API keys."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def listed(self, call: Call[None, None]) -> wire.Keys:
        """All keys, revoked ones included, newest first."""
        call.principal.check_unpinned()
        return await self._access.list()

    async def create(self, call: Call[wire.NewKey, None]) -> wire.CreatedKey:
        """Make a key; the answer is the only place where it is told."""
        call.principal.check_unpinned()
        return await self._access.create(call.body)

    async def revoke(self, call: Call[None, None]) -> wire.Key:
        """End a key at once."""
        call.principal.check_unpinned()
        return await self._access.revoke(call.path["key_id"])


def routes(parts: Parts) -> list[Route]:
    """The table of keys."""
    serve = KeyRoutes(parts.access)
    return [
        Route(method="GET", path="/ops/keys", handler=serve.listed, operation="keys", need="admin", dialect="ops",
              summary="All keys", answer=wire.Keys),
        Route(method="POST", path="/ops/keys", handler=serve.create, operation="keys", need="admin", dialect="ops",
              summary="Make a key", body=wire.NewKey, answer=wire.CreatedKey, status=201,
              example={"label": "support agents", "role": "agent", "users": ["workspace_7_*"]}),
        Route(method="DELETE", path="/ops/keys/{key_id}", handler=serve.revoke, operation="keys", need="admin",
              dialect="ops", summary="Revoke a key", answer=wire.Key, refuses=(404, 409),
              description="An id, a prefix, or an unambiguous beginning of either."),
    ]  # fmt: skip
