"""`memdeck projections`."""

import json
from typing import Any

import pytest

from tests.fakes.cli_daemon import Call, ScriptedDaemon
from tests.unit.console.cli.conftest import Memdeck

PARKED = {"owner": "user:u", "memory_id": "0193aaaa", "reason": "RecursionError"}


def projection(**changed: Any) -> dict[str, Any]:
    plain = {
        "name": "lexical", "state": "following", "holds": 1200, "memories": 1234, "lag": 34, "complete": True, "rebuilds": 1,
        "lineage": "0193c0de", "parked": 1, "parked_memories": [PARKED], "vectors": [],
    }  # fmt: skip
    return plain | changed


def listed(**changed: Any) -> dict[str, Any]:
    return {"projections": [projection(**changed)]}


@pytest.fixture(autouse=True)
def some_projections(script: ScriptedDaemon) -> None:
    script.on("GET", "/ops/projections", listed())
    script.on("POST", "/ops/projections/lexical/rebuild", {"message": "It is being rebuilt.", "rebuilds": 1})


def test_status_shows_how_far_they_are(memdeck: Memdeck) -> None:
    """With what could not be taken; as tables for people and as JSON for programs."""
    ran = memdeck("projections", "status")
    assert 0 == ran.code
    words = ("lexical", "following", "1,200", "1,234", "34", "0193aaaa", "RecursionError")
    assert all(word in ran.out for word in words)
    assert listed() == json.loads(memdeck("projections", "status", "--json").out)


def test_status_shows_the_vectors_of_big_owners(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Each of them, and what is done for it."""
    one = {
        "owner": "user:alice", "space": 2, "state": "sorting 40 %", "memories": 20_000, "waiting": 3, "unsaved": 17,
        "bytes": 88_000_000,
    }  # fmt: skip
    script.on("GET", "/ops/projections", listed(name="vectors", vectors=[one]))
    ran = memdeck("projections", "status")
    assert 0 == ran.code
    assert all(word in ran.out for word in ("user:alice", "sorting 40 %", "20,000", "17", "88"))


@pytest.mark.parametrize("names", [(), ("lexical",)])
def test_rebuild_waits_until_it_is_done(
    memdeck: Memdeck, script: ScriptedDaemon, names: tuple[str, ...]
) -> None:
    """Of one, or of all: when one more rebuild is counted and it is complete."""
    first = [] if names else [listed()]
    seen = iter([*first, listed(state="rebuilding", complete=False), listed(rebuilds=2)])

    def answer(_: Call) -> dict[str, Any]:
        return next(seen)

    script.on("GET", "/ops/projections", answer)
    ran = memdeck("projections", "rebuild", *names, "--json")
    assert (0, 2) == (ran.code, json.loads(ran.out)["projections"][0]["rebuilds"])
    assert 1 == len(script.sent("POST", "/ops/projections/lexical/rebuild"))


def test_rebuild_need_not_wait(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """It only says that it began."""
    ran = memdeck("projections", "rebuild", "lexical", "--no-wait")
    assert (0, "It is being rebuilt.\n") == (ran.code, ran.out)
    assert [] == script.sent("GET", "/ops/projections")


@pytest.mark.parametrize("seconds", ["0", "x", "100000"])
def test_waits_are_bounded(memdeck: Memdeck, seconds: str) -> None:
    """A wait without end is a mistake."""
    assert 2 == memdeck("projections", "rebuild", "--timeout", seconds).code
