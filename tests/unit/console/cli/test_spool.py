"""`memdeck spool`."""

import json
from typing import Any

import pytest

from tests.fakes.cli_daemon import Call, ScriptedDaemon
from tests.unit.console.cli.conftest import Memdeck


def status(**changed: Any) -> dict[str, Any]:
    plain = {
        "state": "waiting", "waiting": 12, "bytes": 4096, "limit_bytes": 134217728, "oldest_seconds": 31.5, "replayed": 3,
        "note": "The database does not answer.", "parked": 1, "damaged": [{"name": "0000000001-0.damaged", "bytes": 20}],
        "parked_writes": [{"receipt_id": "0193c0de", "kind": "add", "at": "2026-11-20T09:30:00+00:00", "reason": "Check"}],
    }  # fmt: skip
    return plain | changed


@pytest.fixture(autouse=True)
def a_spool(script: ScriptedDaemon) -> None:
    script.on("GET", "/ops/spool", status())
    script.on("POST", "/ops/spool/replay", {"message": "12 writes wait.", "waiting": 12})


def test_status_shows_what_waits_and_what_was_set_aside(memdeck: Memdeck) -> None:
    """As a table for people and as JSON for programs."""
    ran = memdeck("spool", "status")
    assert 0 == ran.code
    words = ("waiting", "12 writes", "32 s", "does not answer", "0193c0de", "Check", "0000000001-0.damaged")
    assert all(word in ran.out for word in words)
    assert status() == json.loads(memdeck("spool", "status", "--json").out)


def test_replay_waits_until_nothing_waits(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """And says what is left."""
    seen = iter([status(), status(waiting=0, state="empty")])

    def answer(_: Call) -> dict[str, Any]:
        return next(seen)

    script.on("GET", "/ops/spool", answer)
    ran = memdeck("spool", "replay", "--parked", "--json")
    assert (0, 0) == (ran.code, json.loads(ran.out)["waiting"])
    assert [{"parked": True}] == [call.body for call in script.sent("POST", "/ops/spool/replay")]


def test_replay_need_not_wait(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """It only says that it was asked for."""
    ran = memdeck("spool", "replay", "--no-wait")
    assert (0, "12 writes wait.\n") == (ran.code, ran.out)
    assert [] == script.sent("GET", "/ops/spool")
