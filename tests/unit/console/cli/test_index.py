"""`memdeck index`."""

import json
from typing import Any

import pytest

from tests.fakes.cli_daemon import Call, ScriptedDaemon
from tests.unit.console.cli.conftest import Memdeck


def status(**changed: Any) -> dict[str, Any]:
    plain = {
        "state": "following", "documents": 1200, "memories": 1234, "lag": 34, "complete": True, "rebuilds": 1,
        "lineage": "0193c0de", "vectors": [],
    }  # fmt: skip
    return plain | changed


@pytest.fixture(autouse=True)
def an_index(script: ScriptedDaemon) -> None:
    script.on("GET", "/ops/index", status())
    script.on("POST", "/ops/index/rebuild", {"message": "It is being rebuilt.", "rebuilds": 1})


def test_status_shows_the_vectors_of_big_owners(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    one = {
        "owner": "user:alice", "space": 2, "state": "sorting 40 %", "memories": 20_000, "waiting": 3, "unsaved": 17,
        "bytes": 88_000_000,
    }  # fmt: skip
    script.on("GET", "/ops/index", status(vectors=[one]))
    ran = memdeck("index", "status")
    assert 0 == ran.code
    assert all(word in ran.out for word in ("user:alice", "sorting 40 %", "20,000", "17", "88"))


def test_status_shows_how_far_it_is(memdeck: Memdeck) -> None:
    """As a table for people and as JSON for programs."""
    ran = memdeck("index", "status")
    assert 0 == ran.code
    assert all(word in ran.out for word in ("following", "1,200", "1,234", "34"))
    assert status() == json.loads(memdeck("index", "status", "--json").out)


def test_rebuild_waits_until_it_is_done(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """It is done when one more rebuild is counted and the index is complete."""
    seen = iter([status(state="rebuilding", complete=False), status(rebuilds=2)])

    def answer(_: Call) -> dict[str, Any]:
        return next(seen)

    script.on("GET", "/ops/index", answer)
    ran = memdeck("index", "rebuild", "--json")
    assert (0, 2) == (ran.code, json.loads(ran.out)["rebuilds"])
    assert "being rebuilt" in ran.err or ran.err == ""


def test_rebuild_need_not_wait(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """It only says that it began."""
    ran = memdeck("index", "rebuild", "--no-wait")
    assert (0, "It is being rebuilt.\n") == (ran.code, ran.out)
    assert [] == script.sent("GET", "/ops/index")


@pytest.mark.parametrize("seconds", ["0", "x", "100000"])
def test_waits_are_bounded(memdeck: Memdeck, seconds: str) -> None:
    """A wait without end is a mistake."""
    assert 2 == memdeck("index", "rebuild", "--timeout", seconds).code
