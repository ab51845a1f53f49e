"""`/ops/spool`, and what clients see of writes that wait on the disk."""

import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memdeck_common.client import Address, Client
from memdeck_common.clock import SystemClock, SystemIdentity
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import (
    Caller,
    Event,
    Identifier,
    Identifiers,
    Memory,
    NewMemories,
    Outcome,
    Receipt,
)
from tests.api.serving import Api, served
from tests.fakes.memory_service import FakeMemoryService


class Away(FakeMemoryService):
    """Memory whose database is away: every write is queued."""

    async def add(self, new: NewMemories, caller: Caller) -> Receipt:
        """Kept on the disk."""
        return replace(await super().add(new, caller), status="PENDING", note="Kept on the disk.")

    def lacking(self, where: Filter, found: Iterable[Memory]) -> tuple[str, ...]:
        """Of Alice's."""
        alice = Identifier("user", "alice") in filters.branches(where)[0]
        return ("spool",) if alice and list(found) else ()

    def outdated(self, memory_id: uuid.UUID, names: Identifiers) -> tuple[str, ...]:
        """Alice's."""
        del memory_id
        return ("spool",) if names.user == "alice" else ()

    async def delete(self, memory_id: uuid.UUID, caller: Caller) -> Receipt:
        """Kept on the disk."""
        del caller
        outcome = Outcome(Event.DELETE, "", id=memory_id)
        return Receipt(
            self._identity.uuid(), "delete", self._clock.now(), (outcome,), "Kept.", status="PENDING"
        )

    async def undo(self, memory_id: uuid.UUID, caller: Caller) -> tuple[str, Memory | None] | Receipt:
        """Kept on the disk."""
        return await self.delete(memory_id, caller)


@pytest.fixture
async def away(tmp_path: Path) -> AsyncIterator[Api]:
    clock = SystemClock()
    async with served(tmp_path / "home", Away(clock, SystemIdentity(clock))) as running:
        yield running


async def test_a_queued_write_is_answered_with_202_everywhere(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """In the shape of each dialect, with the receipt that tells the rest later."""
    clock = SystemClock()
    memory = Away(clock, SystemIdentity(clock))
    async with served(tmp_path_factory.mktemp("home"), memory) as api:
        messages = [{"role": "user", "content": "one"}, {"role": "system", "content": "no"}]
        body = {"messages": messages, "user_id": "alice", "infer": False}
        added = await api.call("POST", "/v3/memories/add/", body)
        assert (202, "PENDING") == (added.status, added.body["status"])
        assert ["queued", "dropped"] == [one["outcome"] for one in added.body["results"]]
        oss = await api.call("POST", "/memories", body)
        assert (202, "PENDING", 1) == (oss.status, oss.body["status"], len(oss.body["results"]))
        native = await api.call("POST", "/v1/agents/a/store_memory", {"content": "two"})
        assert (202, "PENDING") == (native.status, native.body["status"])
        one = added.body["results"][0]["id"]
        for method, path in (
            ("DELETE", f"/v1/memories/{one}/"),
            ("DELETE", f"/memories/{one}"),
            ("POST", f"/v1/memories/{one}/undo"),
        ):
            answer = await api.call(method, path)
            assert (202, "PENDING") == (answer.status, answer.body["status"])
            assert answer.body["event_id"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/memories?user_id={user}", None),
        ("GET", "/memories/{id}", None),
        ("GET", "/memories/{id}/history", None),
        ("GET", "/v1/memories/?user_id={user}", None),
        ("GET", "/v1/memories/?user_id={user}&page=1", None),
        ("GET", "/v1/memories/user/{user}/", None),
        ("GET", "/v1/memories/{id}/", None),
        ("GET", "/v1/memories/{id}/history/", None),
        ("POST", "/v2/memories/", {"filters": {"user_id": "{user}"}}),
        ("POST", "/v2/memories/", {"filters": {"user_id": "{user}"}, "page": 1, "fields": ["memory"]}),
        ("POST", "/v3/memories/", {"filters": {"user_id": "{user}"}}),
        ("POST", "/v3/memories/", {"filters": {"user_id": "{user}"}, "fields": ["memory"]}),
    ],
)
async def test_a_read_says_that_it_lacks_a_write(
    away: Api, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """In the header, and in the body where that is an object; of others nothing is said."""
    for user, expected in (("alice", "spool"), ("bob", "")):
        said = {"messages": [{"role": "user", "content": "tea"}], "user_id": user, "infer": False}
        one = (await away.call("POST", "/memories", said)).body["results"][0]["id"]
        asked = None if body is None else {**body, "filters": {"user_id": user}}
        answer = await away.call(method, path.format(user=user, id=one), asked)
        assert (200, expected) == (answer.status, answer.headers["Memdeck-Degraded"]), answer.body
        if isinstance(answer.body, dict):
            assert ([expected] if expected else None) == answer.body.get("degraded")


async def test_a_receipt_tells_what_became_of_each_message(api: Api) -> None:
    """At its own address and as the event that platform clients ask for."""
    messages = [{"role": "user", "content": "tea"}, {"role": "user", "content": " "}]
    body = {"messages": messages, "user_id": "alice", "infer": False}
    first = (await api.call("POST", "/v3/memories/add/", body)).body
    again = (await api.call("POST", "/v3/memories/add/", body)).body
    told = await api.call("GET", f"/v1/receipts/{again['event_id']}")
    assert (200, "SUCCEEDED", "ADD") == (told.status, told.body["status"], told.body["event_type"])
    stored, dropped = told.body["results"]
    assert ("stored", first["results"][0]["id"]) == (stored["outcome"], stored["duplicate_of"])
    assert ("dropped", True) == (dropped["outcome"], bool(dropped["reason"]))
    assert told.body == (await api.call("GET", f"/v1/event/{again['event_id']}/")).body
    assert 404 == (await api.call("GET", f"/v1/receipts/{uuid.uuid4()}")).status
    assert 400 == (await api.call("GET", "/v1/receipts/x")).status


async def test_the_spool_is_operated_by_operators(api: Api) -> None:
    """Its status and its replay; what it holds is for administrators."""
    operator = await api.key(label="ops", role="operator")
    agent = await api.key(label="agent", role="agent")
    assert "empty" == (await api.call("GET", "/ops/spool", key=operator)).body["state"]
    assert 202 == (await api.call("POST", "/ops/spool/replay", {}, key=operator)).status
    assert 403 == (await api.call("GET", "/ops/spool/export", key=operator)).status
    assert 403 == (await api.call("GET", "/ops/spool", key=agent)).status


async def test_an_export_comes_line_by_line(api: Api) -> None:
    """Through the client that the command line uses."""
    api.spool.waiting = 3
    async with Client(Address(api.url, api.admin)) as client:
        lines = [line async for line in client.export_spool()]
    assert 3 == len(lines)
    assert all(line.endswith(b"\n") for line in lines)
