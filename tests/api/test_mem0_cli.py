"""mem0's own command line, unchanged: told only where memdeck is."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.serving import Api
from tests.support.daemon import COMMANDS

Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def command_line(api: Api, tmp_path: Path) -> Run:
    """Runs a command and decodes what it prints, JSON or text."""
    own = {
        "HOME": str(tmp_path),
        "MEM0_API_KEY": api.admin,
        "MEM0_BASE_URL": api.url,
        "MEM0_TELEMETRY": "false",
    }

    async def run(*arguments: str, code: int = 0) -> Any:
        process = await asyncio.create_subprocess_exec(
            COMMANDS / "mem0", *arguments,
            env={**os.environ, **own}, cwd=tmp_path, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = [stream.decode() for stream in await process.communicate()]
        assert code == process.returncode, out + err
        try:
            return json.loads(out)
        except ValueError:
            return out + err

    return run


async def test_memories_are_added_found_changed_and_deleted(command_line: Run, api: Api) -> None:
    assert "Connected" in await command_line("status")
    added = await command_line("add", "I like tea", "-u", "alice", "--no-infer", "-o", "json")
    memory_id = added["results"][0]["id"]

    assert [memory_id] == [
        one["id"] for one in await command_line("search", "tea", "-u", "alice", "-o", "json")
    ]
    assert [memory_id] == [
        one["id"] for one in (await command_line("list", "-u", "alice", "-o", "json"))["data"]
    ]
    await command_line("update", memory_id, "I like green tea", "-o", "json")
    assert "I like green tea" == (await command_line("get", memory_id, "-o", "json"))["memory"]
    await command_line("delete", memory_id, "--force")
    assert 404 == (await api.call("GET", f"/v1/memories/{memory_id}/")).status


async def test_inference_is_queued_and_its_event_is_found(command_line: Run) -> None:
    (pending,) = await command_line("add", "I like tea", "-u", "alice", "-o", "json")
    event_id = pending["event_id"]

    assert "PENDING" == pending["status"]
    assert "SUCCEEDED" in json.dumps(await command_line("event", "status", event_id, "-o", "json"))
    assert event_id in json.dumps(await command_line("event", "list", "-o", "json"))


async def test_scopes_entities_and_projects_are_deleted(command_line: Run, api: Api) -> None:
    for user in ("alice", "bob", "carol"):
        await api.add("tea", user_id=user)

    assert "bob" in json.dumps(await command_line("entity", "list", "users", "-o", "json"))
    await command_line("delete", "--all", "-u", "alice", "--force")
    await command_line("entity", "delete", "-u", "bob", "--force")
    assert ["carol"] == [one["name"] for one in (await api.call("GET", "/v1/entities/")).body["results"]]
    await command_line("delete", "--all", "--project", "--force")
    assert 0 == (await api.call("GET", "/v1/entities/")).body["count"]


async def test_what_is_wrong_is_told(command_line: Run) -> None:
    bad, unscoped = [
        " ".join((await command_line(*one, code=1)).split())
        for one in (("get", "nonsense"), ("search", "tea"))
    ]
    assert "The id of a memory must be a UUID, not 'nonsense'." in bad
    assert "filters must contain at least one of: user_id" in unscoped
