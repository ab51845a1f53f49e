"""Memories and keys through the command line, against a real daemon."""

import json

import pytest

from tests.e2e.cli.conftest import Commands, commands
from tests.support.daemon import RunningDaemon
from tests.support.waiting import eventually_sync


def added(memdeck: Commands, text: str, *options: str) -> str:
    """The id of a new memory."""
    results = memdeck("add", text, *options, "--json").json["results"]
    return str(results[0]["id"])


def test_life_of_a_memory(memdeck: Commands, scope: str) -> None:
    """Stored, found, shown, changed, forgotten, brought back; each step leaves its trace."""
    user = ("--user", scope)
    one = added(
        memdeck,
        "Prefers window seats on the night train",
        *(*user, "--actor", "Al", "--metadata", "source=chat", "--created-at", "2026-01-02T03:04:05Z"),
    )
    found = memdeck("search", "night train", *user, "--explain", "--json").json
    assert [one] == [hit["id"] for hit in found["results"]]
    assert found["results"][0]["score_details"]["parts"]
    shown = memdeck("get", one, "--json").json
    assert (scope, {"source": "chat"}, "Al") == (shown["user_id"], shown["metadata"], shown["actor_id"])
    assert shown["created_at"].startswith("2026-01-02T03:04:05")

    memdeck("edit", one, "--text", "Prefers aisle seats", "--expires", "2999-12-31")
    assert "Prefers aisle seats" in memdeck("list", *user).out
    assert 4 == memdeck("forget", one, code=None).code
    assert f"memdeck undo {one}" in memdeck("forget", one, "--confirm", "default").out
    assert "0 memories" in memdeck("list", *user).err
    memdeck("undo", one, "--confirm", "default")
    assert "Prefers aisle seats" in memdeck("list", *user).out
    events = [entry["event"] for entry in memdeck("history", one, "--json").json]
    assert ["ADD", "UPDATE", "DELETE"] == events[:3]


def test_scope_is_forgotten_and_brought_back(memdeck: Commands, scope: str) -> None:
    """All of it and only it; the event that was told undoes it."""
    for text in ("one", "two", "three"):
        added(memdeck, text, "--user", scope, "--run", "r1")
    added(memdeck, "four", "--user", scope, "--run", "r2")
    refused = memdeck("forget", "--user", scope, "--run", "r1", code=4)
    assert "3 memories" in refused.err
    gone = memdeck("forget", "--user", scope, "--run", "r1", "--confirm", "default", "--json").json
    assert 3 == gone["count"]
    assert ["four"] == [m["memory"] for m in memdeck("list", "--user", scope, "--json").json["results"]]
    memdeck(*gone["undo"], "--confirm", "default")
    assert 4 == memdeck("list", "--user", scope, "--json").json["count"]


def test_text_from_stdin_and_same_text_twice(memdeck: Commands, scope: str) -> None:
    """A text with lines comes through a pipe; the second of two equal ones says so."""
    memdeck("add", "-", "--user", scope, stdin="first line\nsecond line\n")
    ran = memdeck("add", "-", "--user", scope, stdin="first line\nsecond line\n")
    assert "the same text is there as" in ran.out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("get", "not-an-id"), 2, "UUID"),
        (("get", "0193c0de-0000-7000-8000-000000000001"), 1, "not found"),
        (("add", "x", "--user", "two words"), 2, "white space"),
        (("search", "x", "--user", "u", "--filter", '{"AND": 3}'), 2, "AND"),
        (("undo", "--event", "0193c0de-0000-7000-8000-0000000000ee", "--confirm", "default"), 1, "event"),
    ],
)
def test_what_the_daemon_refuses(memdeck: Commands, argv: tuple[str, ...], code: int, words: str) -> None:
    """One sentence, a stable code, the right exit code."""
    ran = memdeck(*argv, "--json", code=code)
    assert words in ran.err
    assert {"code", "detail"} == ran.json["error"].keys()


def test_keys(memdeck: Commands, daemon: RunningDaemon, scope: str) -> None:
    """A pinned key reaches its users and no other; once revoked it reaches nobody."""
    key = memdeck(
        "keys", "create", "--label", scope, "--role", "standard", "--user", f"{scope}_*"
    ).out.strip()
    pinned = commands(daemon.home, MEMDECK_API_KEY=key)
    pinned("add", "mine", "--user", f"{scope}_1")
    assert "forbidden" == pinned("list", "--user", "somebody", "--json", code=4).json["error"]["code"]
    listed = [one for one in memdeck("keys", "list", "--json").json["keys"] if one["label"] == scope]
    assert [(f"{scope}_*",)] == [tuple(one["users"]) for one in listed]
    assert key not in memdeck("keys", "list").out
    memdeck("keys", "revoke", listed[0]["id"], "--confirm", "default")
    assert "unauthenticated" == pinned("list", "--user", f"{scope}_1", "--json", code=4).json["error"]["code"]


def test_status(memdeck: Commands, daemon: RunningDaemon) -> None:
    """Addresses, instance and services, for people and for programs."""
    eventually_sync(lambda: memdeck("status", code=None).code == 0, what="all services are well")
    ran = memdeck("status", "--json", code=None)
    assert (daemon.url, daemon.metrics_url) == (ran.json["url"], ran.json["metrics_url"])
    assert {"api", "postgres"} <= {service["name"] for service in ran.json["services"]}
    assert "default" in memdeck("status", code=None).out


def test_reader_that_goes_away_is_no_error(memdeck: Commands, scope: str) -> None:
    """`memdeck export | head -1` is quiet."""
    lines = "".join(json.dumps({"memory": f"{i} " + "x" * 4000, "user_id": scope}) + "\n" for i in range(60))
    memdeck("import", "-", stdin=lines)
    process = memdeck.start("export", "--user", scope)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert 141 == process.wait(60)
    assert "" == said
