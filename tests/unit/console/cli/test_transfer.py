"""`memdeck import|export` against a scripted daemon."""

import json
from typing import Any

import pytest

from memdeck_common.errors import BodyTooLarge, Forbidden, RateLimited
from tests.fakes.cli_daemon import MEMORY, Call, ScriptedDaemon
from tests.unit.console.cli.conftest import Memdeck


def lines(*texts: str, **fields: Any) -> str:
    return "".join(json.dumps({"memory": text, **fields}) + "\n" for text in texts)


def stored(call: Call) -> dict[str, Any]:
    text = call.body["messages"][0]["content"]
    one = {"id": "0193", "memory": text, "data": {}, "event": "NONE" if text == "junk" else "ADD"}
    if text == "twin":
        one["duplicate_of"] = "0192"
    return {"status": "SUCCEEDED", "event_id": "e", "message": "ok", "results": [one]}


@pytest.fixture(autouse=True)
def adds(script: ScriptedDaemon) -> None:
    script.on("POST", "/v3/memories/add/", stored)


def texts(script: ScriptedDaemon) -> list[str]:
    return [call.body["messages"][0]["content"] for call in script.sent("POST", "/v3/memories/add/")]


def test_import_keeps_order_and_counts(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """One owner's lines arrive in their order, each with its own key; the report counts what became of them."""
    ran = memdeck("import", "-", "--user", "a", "--json", stdin=lines("one", "twin", "junk", "four"))
    assert 0 == ran.code
    assert ["one", "twin", "junk", "four"] == texts(script)
    assert 4 == len({call.headers["Idempotency-Key"] for call in script.sent("POST", "/")})
    assert {
        "lines": 4,
        "stored": 3,
        "earlier": 0,
        "duplicates": 1,
        "skipped": 1,
        "pending": 0,
        "bad": 0,
        "bad_lines": [],
    } == json.loads(ran.out)


def test_import_for_people(memdeck: Memdeck) -> None:
    """A sentence."""
    ran = memdeck("import", "-", "--user", "a", stdin=lines("one", "twin"))
    assert "stored 2 memories from 2 lines; 1 with a text that was there already\n" == ran.out


def test_bad_line_stops_before_anything_is_stored(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """A file is checked whole first; line and reason are named."""
    ran = memdeck("import", "-", "--user", "a", stdin=lines("one", "two") + "{oops\n" + lines("four"))
    assert 1 == ran.code
    assert "1 line cannot be imported: line 3: " in ran.err
    assert "Nothing was stored" in ran.err
    assert [] == script.calls


def test_skip_bad_goes_on_and_tells(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Bad lines are left out and listed."""
    ran = memdeck("import", "-", "--skip-bad", "--json", stdin="{}\n" + lines("two", user_id="a") + "nope\n")
    assert 0 == ran.code
    assert ["two"] == texts(script)
    assert (2, [1, 3]) == (
        (answer := json.loads(ran.out))["bad"],
        [bad["line"] for bad in answer["bad_lines"]],
    )


def test_refused_line_is_named_with_its_exit_code(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """The daemon's refusal stops the import where it came."""

    def refusing(call: Call) -> dict[str, Any]:
        if call.body["messages"][0]["content"] == "two":
            raise Forbidden("This key may not do that.")
        return stored(call)

    script.on("POST", "/v3/memories/add/", refusing)
    ran = memdeck("import", "-", "--user", "a", stdin=lines("one", "two", "three"))
    assert 4 == ran.code
    assert "line 2: This key may not do that. Stopped after 1 memory;" in ran.err
    assert ["one", "two"] == texts(script)


def test_line_that_the_daemon_finds_bad_can_be_skipped(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """What only the daemon can tell, such as its limit of size, counts as a bad line too."""

    def limited(call: Call) -> dict[str, Any]:
        if call.body["messages"][0]["content"] == "two":
            raise BodyTooLarge("64 KiB at most.")
        return stored(call)

    script.on("POST", "/v3/memories/add/", limited)
    content = lines("one", "two", "three")
    assert "line 2: 64 KiB at most." in memdeck("import", "-", "--user", "a", stdin=content).err
    ran = memdeck("import", "-", "--user", "a", "--skip-bad", "--json", stdin=content)
    assert (0, 2, 1) == (ran.code, (answer := json.loads(ran.out))["stored"], answer["bad"])


def test_used_up_rate_is_told(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """A limit per hour is nothing to wait for."""
    script.on("POST", "/v3/memories/add/", RateLimited())
    ran = memdeck("import", "-", "--user", "a", stdin=lines("one"))
    assert (1, 1) == (ran.code, len(script.sent("POST", "/")))


def test_again_uses_other_keys(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """The same import twice has the same keys; --again has others."""
    for options in ((), (), ("--again",)):
        memdeck("import", "-", "--user", "a", *options, stdin=lines("one"))
    first, second, third = (call.headers["Idempotency-Key"] for call in script.sent("POST", "/"))
    assert first == second != third


def test_lines_of_an_earlier_run_are_not_counted_as_stored(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """A repeated add is answered with its first receipt, which says so."""

    def receipt(call: Call) -> dict[str, Any]:
        early = call.body["messages"][0]["content"] == "early"
        return stored(call) | ({"replayed": True} if early else {})

    script.on("POST", "/v3/memories/add/", receipt)
    ran = memdeck("import", "-", "--user", "a", stdin=lines("early", "late"))
    assert (
        "stored 1 memory from 2 lines; 1 line stored by an earlier run already (--again stores them anew)\n"
        == ran.out
    )


def test_missing_file(memdeck: Memdeck) -> None:
    """One sentence."""
    ran = memdeck("import", "/nonexistent/notes.jsonl")
    assert (1, "memdeck: /nonexistent/notes.jsonl: No such file or directory.\n") == (ran.code, ran.err)


def memory(number: int) -> dict[str, Any]:
    return MEMORY | {"id": f"id-{number:04}", "memory": f"text {number}", "session_id": "7", "score": 0.1}


class Shelf:
    """Memories in pages, newest first, that may change between two pages."""

    def __init__(self, count: int) -> None:
        self.numbers = list(range(count, 0, -1))
        self.changes: list[list[int]] = []

    def page(self, call: Call) -> dict[str, Any]:
        query = dict(part.split("=") for part in call.path.split("?")[1].split("&"))
        number, size = int(query["page"]), int(query["page_size"])
        if number > 1 and self.changes:
            self.numbers = self.changes.pop(0)
        shown = self.numbers[(number - 1) * size : number * size]
        more = "next" if number * size < len(self.numbers) else None
        results = [memory(one) for one in shown]
        return {"count": len(self.numbers), "next": more, "previous": None, "results": results}


def exported(out: str) -> list[int]:
    return [int(json.loads(line)["memory"].split()[1]) for line in out.splitlines()]


def test_export_is_oldest_first_and_can_be_imported(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """All pages, turned round; a line holds what an import reads and nothing of an answer."""
    script.on("POST", "/v3/memories/?", Shelf(450).page)
    ran = memdeck("export", "--user", "alice")
    assert list(range(1, 451)) == exported(ran.out)
    assert "exported 450 memories to stdout\n" == ran.err
    first = json.loads(ran.out.splitlines()[0])
    assert {"id", "memory", "hash", "created_at", "updated_at", "user_id", "run_id"} == first.keys()
    assert all(call.body["show_expired"] for call in script.calls)
    memdeck("import", "-", stdin=ran.out)
    assert "text 1" == texts(script)[0]


def test_export_while_memories_come(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Those that were pushed to a later page are not written twice."""
    shelf = Shelf(450)
    shelf.changes = [list(range(460, 0, -1))]
    script.on("POST", "/v3/memories/?", shelf.page)
    assert list(range(1, 451)) == exported(memdeck("export", "--user", "alice").out)


def test_export_while_memories_go(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Those that moved to a page that was read already are not lost."""
    shelf = Shelf(450)
    shelf.changes = [[number for number in range(450, 0, -1) if not 430 <= number < 440]]
    script.on("POST", "/v3/memories/?", shelf.page)
    kept = exported(memdeck("export", "--user", "alice").out)
    assert list(range(1, 430)) == [number for number in kept if number < 430]
    assert len(kept) == len(set(kept))


def test_export_needs_to_know_whose(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Everybody's memories only when asked for."""
    ran = memdeck("export")
    assert 2 == ran.code
    assert "--all" in ran.err
    assert [] == script.calls
