"""`memdeck add|get|edit|search|list|history`."""

import json
from typing import Any

import pytest

from tests.fakes.cli_daemon import MEMORY, ScriptedDaemon
from tests.unit.console.cli.conftest import Memdeck

ID = str(MEMORY["id"])


def receipt(**added: Any) -> dict[str, Any]:
    one = {"id": ID, "memory": "Prefers window seats", "data": {}, "event": "ADD"} | added
    return {"status": "SUCCEEDED", "event_id": "e1", "message": "ok", "results": [one]}


def test_add_sends_all_that_was_given(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Identifiers, metadata, dates, role and name travel in the request."""
    script.on("POST", "/v3/memories/add/", receipt())
    ran = memdeck(
        *("add", "Prefers window seats", "--user", "alice", "--agent", "ops", "--actor", "Al"),
        *("--metadata", "source=chat", "--metadata", '{"n": 3}', "--expires", "2026-12-31"),
        *("--created-at", "2026-11-20T09:30:00"),
    )
    assert (0, "") == (ran.code, ran.err)
    assert {
        "messages": [{"role": "user", "content": "Prefers window seats", "name": "Al"}],
        "user_id": "alice",
        "agent_id": "ops",
        "metadata": {"source": "chat", "n": 3},
        "expiration_date": "2026-12-31",
        "timestamp": "2026-11-20T09:30:00+00:00",
        "infer": False,
    } == script.calls[0].body
    assert f"stored  {ID}  Prefers window seats\n" == ran.out


def test_add_reads_stdin(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """- takes the text from stdin, whole."""
    script.on("POST", "/v3/memories/add/", receipt())
    memdeck("add", "-", "--user", "alice", stdin="two\nlines\n")
    assert "two\nlines" == script.calls[0].body["messages"][0]["content"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("add", "x"), "whose memories"),
        (("add", "-", "--user", "a"), "empty"),
        (("add", "x", "--user", "a", "--metadata", "novalue"), "neither key=value nor"),
        (("add", "x", "--user", "a", "--metadata", "{1}"), "not JSON"),
        (("add", "x", "--user", "a", "--expires", "soon"), "not a date"),
        (("add", "x", "--user", "a", "--created-at", "then"), "not a time"),
        (("edit", ID), "what to change"),
        (("list",), "whose memories"),
        (("list", "--user", "a", "--limit", "500"), "between 1 and 200"),
        (("search", "q"), "whose memories"),
        (("search", "q", "--user", "a", "--filter", "[]"), "not a JSON object"),
        (("search", "q", "--user", "a", "--threshold", "2"), "from 0 to 1"),
    ],
)
def test_what_cannot_be_asked(
    memdeck: Memdeck, script: ScriptedDaemon, argv: tuple[str, ...], said: str
) -> None:
    """Wrong options are usage errors, and nothing is sent."""
    ran = memdeck(*argv)
    assert 2 == ran.code
    assert said in ran.err
    assert [] == script.calls


def test_duplicate_is_told(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """A text that was there already is stored, and the receipt says so."""
    script.on("POST", "/v3/memories/add/", receipt(duplicate_of="0193-twin"))
    assert "(the same text is there as 0193-twin)" in memdeck("add", "x", "--user", "a").out


def test_pending_add_names_its_event(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """While extraction goes on there is only an event."""
    script.on("POST", "/v3/memories/add/", {"status": "PENDING", "event_id": "e9", "message": "extracting"})
    assert "pending  event e9  extracting\n" == memdeck("add", "x", "--user", "a", "--infer").out
    assert script.calls[0].body["infer"] is True


def test_search_joins_scope_and_filter(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Identifiers and --filter are AND-ed; limits are passed on."""
    script.on("POST", "/v3/memories/search/", {"results": [MEMORY | {"score": 0.8123}]})
    ran = memdeck(
        *("search", "where to sit", "--user", "alice", "--run", "7", "--filter", '{"n": {"gt": 2}}'),
        *("--limit", "3", "--threshold", "0.2", "--expired"),
    )
    assert {
        "query": "where to sit",
        "filters": {"AND": [{"user_id": "alice"}, {"run_id": "7"}, {"n": {"gt": 2}}]},
        "top_k": 3,
        "threshold": 0.2,
        "explain": False,
        "show_expired": True,
    } == script.calls[0].body
    assert ["SCORE", "0.812"] == [line.split()[0] for line in ran.out.splitlines()]


def test_reads_tell_what_they_lack(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """A list and a memory that an acknowledged write is not in yet."""
    page = {"count": 1, "next": None, "previous": None, "results": [MEMORY]}
    script.on("POST", "/v3/memories/?", page | {"degraded": ["spool"]})
    script.on("GET", f"/v1/memories/{MEMORY['id']}/", MEMORY | {"degraded": ["spool"]})
    for ran in (memdeck("list", "--user", "a"), memdeck("get", MEMORY["id"])):
        assert "WARN made without: spool" in ran.err


def test_search_explains(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """--explain shows parts and stages; what was missing is always told."""
    parts = [{"feature": "bm25", "group": "lexical", "raw": 4.2, "part": 0.31}]
    details = {
        "parts": parts,
        "final_score": 0.31,
        "threshold": 0.1,
        "semantic_score": 0.2,
        "keyword_hit": True,
    }
    answer = {
        "results": [MEMORY | {"score": 0.31, "score_details": details}],
        "stages": [{"name": "dense", "begin_ms": 0.0, "milliseconds": 1.25}],
        "degraded": ["graph"],
    }
    script.on("POST", "/v3/memories/search/", answer)
    ran = memdeck("search", "q", "--user", "a", "--explain")
    assert "bm25=0.310" in ran.out
    assert "stages: dense 1.2ms" in ran.err
    assert "WARN made without: graph" in ran.err


def test_nothing_found_is_no_failure(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """An empty answer is an answer."""
    script.on("POST", "/v3/memories/search/", {"results": []})
    ran = memdeck("search", "q", "--user", "a")
    assert (0, "") == (ran.code, ran.out)


def test_list_shows_whole_texts_in_a_pipe(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Without a terminal nothing is cut, and a text stays on its line."""
    text = "word " * 60 + "\n\x1b[2J end"
    script.on(
        "POST",
        "/v3/memories/",
        {"count": 7, "next": "p", "previous": None, "results": [MEMORY | {"memory": text}]},
    )
    ran = memdeck("list", "--all", "--limit", "1", "--page", "2")
    assert "/v3/memories/?page=2&page_size=1" == script.calls[0].path
    assert {"OR": [{f"{k}_id": "*"} for k in ("user", "agent", "app", "run")]} == script.calls[0].body[
        "filters"
    ]
    assert "word " * 60 + " [2J end" in ran.out
    assert "2 to 2 of 7 memories; go on with --page 3\n" == ran.err


def test_table_on_a_terminal_cuts_texts_and_never_ids(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """A person's table fits the terminal; ids stay whole."""
    page = {"count": 1, "next": None, "previous": None, "results": [MEMORY | {"memory": "word " * 60}]}
    script.on("POST", "/v3/memories/", page)
    out = memdeck("list", "--user", "alice", tty=True).out
    assert ID in out
    assert "…" in out
    assert "CREATED" not in out  # 80 columns have no room for it
    assert 2 == out.count("\n")


def test_edit_can_clear_the_expiry_date(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """--never-expires sends null, which clears."""
    script.on("PUT", "/v1/memories/", MEMORY)
    ran = memdeck("edit", ID, "--never-expires")
    assert {"expiration_date": None} == script.calls[0].body
    assert f"memdeck undo {ID}" in ran.err


def test_history_shows_each_change(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Oldest first, with who and until when it can be undone."""
    entry: dict[str, Any] = {
        **dict.fromkeys(("metadata", "actor_id", "role", "user_id", "undo_until")),
        "id": "h",
        "memory_id": ID,
        "input": [],
        "event": "DELETE",
        "is_deleted": True,
        "changed_by": "ci",
        "created_at": MEMORY["created_at"],
        "updated_at": MEMORY["updated_at"],
        "old_memory": "was here",
        "new_memory": None,
    }
    script.on("GET", "/v1/memories/", [entry])
    ran = memdeck("history", ID)
    assert "2026-11-20 09:30:00Z  DELETE  ci  was here  –" == ran.out.splitlines()[1]
    assert "DELETE" == json.loads(memdeck("history", ID, "--json").out)[0]["event"]


def test_get_shows_the_whole_text(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Facts as a table, then the text with its lines."""
    script.on("GET", "/v1/memories/", MEMORY | {"memory": "one\ntwo", "metadata": {"a": 1}})
    ran = memdeck("get", ID)
    assert "user:alice" in ran.out
    assert ran.out.endswith("\none\ntwo\n")


def test_an_edit_that_waits_on_the_daemons_disk_says_so(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """There is no memory to show yet, but a receipt."""
    script.on(
        "PUT", "/v1/memories/", {"message": "Kept on the disk.", "event_id": "0193e", "status": "PENDING"}
    )
    ran = memdeck("edit", "0193c0de-0000-7000-8000-000000000001", "--text", "x")
    assert (0, "queued  event 0193e  Kept on the disk.\n") == (ran.code, ran.out)
