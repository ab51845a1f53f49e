"""`memdeck forget|undo` and the typed confirmation."""

import json
from typing import Any

import pytest

from memdeck_common.errors import StoreUnavailable
from tests.fakes.cli_daemon import MEMORY, ScriptedDaemon
from tests.unit.console.cli.conftest import Memdeck

ID = str(MEMORY["id"])


@pytest.fixture(autouse=True)
def deletions(script: ScriptedDaemon) -> None:
    script.on("GET", "/v1/memories/", MEMORY)
    script.on("POST", "/v3/memories/?", {"count": 2310, "next": None, "previous": None, "results": []})
    script.on("DELETE", "/v1/memories/", {"message": "Memories deleted", "event_id": "e1", "count": 2310})
    script.on("POST", "/v1/events/", {"message": "Brought back", "count": 2310})


def test_forget_without_terminal_needs_confirm(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Nobody there to ask: refused, nothing deleted, and the sentence says how many it would be."""
    ran = memdeck("forget", "--user", "alice")
    assert (4, "") == (ran.code, ran.out)
    assert "2,310 memories of user alice" in ran.err
    assert "--confirm studio" in ran.err
    assert [] == script.sent("DELETE", "/")


def test_wrong_name_is_refused(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """The name of another instance protects this one."""
    ran = memdeck("forget", "--user", "alice", "--confirm", "prd", "--json")
    assert 4 == ran.code
    assert "not_confirmed" == json.loads(ran.out)["error"]["code"]
    assert [] == script.sent("DELETE", "/")


@pytest.mark.parametrize("typed", ["", "\n", "y\n", "studi\n"])
def test_anything_but_the_name_is_refused(memdeck: Memdeck, script: ScriptedDaemon, typed: str) -> None:
    """One key is not enough."""
    assert 4 == memdeck("forget", ID, stdin=typed, tty=True).code
    assert [] == script.sent("DELETE", "/")


def test_typed_name_deletes_and_tells_the_way_back(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """The question shows what goes; the answer shows how it comes back."""
    ran = memdeck("forget", ID, stdin="studio\n", tty=True)
    assert 0 == ran.code
    assert "Prefers window seats" in ran.err
    assert "Prefers window seats" in memdeck("forget", ID, "--json", stdin="studio\n", tty=True).err
    assert 2 == len(script.sent("DELETE", f"/v1/memories/{ID}/"))
    assert f"memdeck undo {ID}" in ran.out


def test_scope_is_all_identifiers_together(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """What is counted is what is deleted, expired ones included."""
    ran = memdeck("forget", "--user", "alice", "--agent", "ops", "--confirm", "studio")
    counted = script.sent("POST", "/v3/memories/?")[0].body
    assert {"filters": {"AND": [{"user_id": "alice"}, {"agent_id": "ops"}]}, "show_expired": True} == counted
    assert {"user_id": "alice", "agent_id": "ops"} == script.sent("DELETE", "/")[0].params
    assert "Memories deleted (2,310)\nTo take it back: memdeck undo --event e1\n" == ran.out


def test_forget_as_json(memdeck: Memdeck) -> None:
    """Programs get the event and the words that undo it."""
    answer = json.loads(memdeck("forget", "--run", "7", "--confirm", "studio", "--json").out)
    assert {
        "message": "Memories deleted",
        "event_id": "e1",
        "count": 2310,
        "undo": ["undo", "--event", "e1"],
    } == answer


@pytest.mark.parametrize(
    "argv", [("forget",), ("forget", ID, "--user", "a"), ("undo",), ("undo", ID, "--event", "e")]
)
def test_exactly_one_thing_must_be_meant(
    memdeck: Memdeck, script: ScriptedDaemon, argv: tuple[str, ...]
) -> None:
    """Neither nothing nor two things."""
    assert 2 == memdeck(*argv, "--confirm", "studio").code
    assert [] == script.calls


AWAY = StoreUnavailable()
QUEUED = {"message": "Kept on the disk.", "event_id": "e2", "status": "PENDING"}


@pytest.mark.parametrize(
    ("argv", "method", "path", "asked"),
    [
        (("forget", ID), "DELETE", f"/v1/memories/{ID}/", f"This forgets memory {ID}"),
        (("forget", "--user", "alice"), "DELETE", "/v1/memories/", "all memories of user alice"),
        (("undo", ID), "POST", f"/v1/memories/{ID}/undo", f"last change of memory {ID}"),
    ],
)
def test_without_the_database_it_is_asked_unseen(
    memdeck: Memdeck, script: ScriptedDaemon, argv: tuple[str, ...], method: str, path: str, asked: str
) -> None:
    """The daemon takes it and carries it out later; the question says that it could not look."""
    script.on("GET", "/v1/memories/", AWAY)
    script.on("POST", "/v3/memories/?", AWAY)
    script.on(method, "/v1/memories/", QUEUED)
    refused = memdeck(*argv)
    assert 4 == refused.code
    assert asked in refused.err
    assert "cannot be shown before" in refused.err
    assert [] == script.sent(method, path)
    ran = memdeck(*argv, "--confirm", "studio")
    assert (0, "queued  event e2  Kept on the disk.") == (ran.code, ran.out.splitlines()[0])
    assert 1 == len(script.sent(method, path))
    assert "PENDING" == json.loads(memdeck(*argv, "--confirm", "studio", "--json").out)["status"]


def test_undo_of_a_deletion(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """--event brings everything back."""
    ran = memdeck("undo", "--event", "e1", "--confirm", "studio")
    assert (0, "Brought back (2,310)\n") == (ran.code, ran.out)
    assert 1 == len(script.sent("POST", "/v1/events/e1/undo"))


def test_undo_says_what_it_reverts(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """The last change stands in the question."""
    change: dict[str, Any] = {
        **dict.fromkeys(("metadata", "actor_id", "role", "user_id", "undo_until")),
        "id": "h",
        "memory_id": ID,
        "input": [],
        "event": "UPDATE",
        "is_deleted": False,
        "changed_by": "ci",
        "created_at": "2026-11-20",
        "updated_at": "2026-11-20",
        "old_memory": "aisle",
        "new_memory": "window",
    }
    script.on("GET", "/v1/memories/", [change])
    ran = memdeck("undo", ID)
    assert 4 == ran.code
    assert "(UPDATE): 'window' becomes 'aisle'" in ran.err
