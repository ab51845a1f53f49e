"""`memdeck spaces`: what is asked of the daemon, and what is shown."""

from typing import Any

import msgspec

from memdeck_common.errors import Conflict
from tests.fakes.cli_daemon import ScriptedDaemon
from tests.fakes.spaces import space
from tests.unit.console.cli.conftest import Memdeck

PRIMARY: dict[str, Any] = msgspec.to_builtins(space(2, "primary", "small", 1536))
CANDIDATE: dict[str, Any] = msgspec.to_builtins(space(3, "candidate", "large", 3072)) | {
    "memories": 1000, "embedded": 997, "waiting": 2, "parked": 1, "percent": 99.97, "url": "http://127.0.0.1:1/v1",
}  # fmt: skip
SCORES = {"space": 2, "name": "small", "background": None, "best_p10": 0.1, "best_p50": 0.5, "best_p90": 0.91}


def test_list_shows_how_far_each_space_is(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """A space that is not full is never shown as 100 %."""
    script.on("GET", "/ops/spaces", {"spaces": [PRIMARY, CANDIDATE]})
    ran = memdeck("spaces", "list")
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["2", "primary", "small", "1536", "100", "%", "0", "0", "0", "this", "machine"] == rows[1]
    assert ["3", "candidate", "large", "3072", "99.9", "%", "997", "2", "1", "http://127.0.0.1:1/v1"] == rows[
        2
    ]
    assert 0 == ran.code
    assert '"percent": 99.97' in memdeck("spaces", "list", "--json").out


def test_add_says_what_comes_next(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """And sends what was given."""
    script.on("POST", "/ops/spaces", CANDIDATE)
    ran = memdeck(
        "spaces", "add", "--model", "large", "--dims", "3072", "--embedder", "http://127.0.0.1:1/v1"
    )
    assert "added  3  large  3072  candidate\n" == ran.out
    assert "memdeck spaces switch 3" in ran.err
    assert {"model": "large", "dims": 3072, "url": "http://127.0.0.1:1/v1"} == script.calls[-1].body


def test_compare_shows_both_sides(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Overlap in words, cosines as a table; nothing to compare is said."""
    found = {
        "queries": 20,
        "overlap_at_10": 0.825,
        "primary": SCORES,
        "candidate": SCORES | {"background": 0.123},
    }
    script.on("GET", "/ops/spaces/compare", found)
    shown = memdeck("spaces", "compare", "--queries", "20").out
    assert "both spaces agree on 82%" in shown or "both spaces agree on 83%" in shown
    assert ["primary", "small", "–", "0.100", "0.500", "0.910"] == shown.splitlines()[2].split()
    assert {"queries": "20"} == script.calls[-1].params
    empty = {"queries": 0, "overlap_at_10": None, "primary": None, "candidate": None}
    script.on("GET", "/ops/spaces/compare", empty)
    assert "no memories that could be compared yet" in memdeck("spaces", "compare").out


def test_switch_passes_the_refusal_on(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Exit code 4: a guard said no; `--force` is the caller's word."""
    script.on("POST", "/ops/spaces/3/switch", Conflict("large does not hold all memories yet."))
    refused = memdeck("spaces", "switch", "3")
    assert (4, True) == (refused.code, "does not hold all memories" in refused.err)
    script.on("POST", "/ops/spaces/3/switch", CANDIDATE | {"role": "primary"})
    assert "switched to  3  large  3072  primary\n" == memdeck("spaces", "switch", "3", "--force").out
    assert [{"force": False}, {"force": True}] == [call.body for call in script.calls]


def test_drop_asks_for_the_name_of_the_instance(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Vectors are taken away, so it is confirmed; an unknown space is none."""
    script.on("GET", "/ops/spaces", {"spaces": [PRIMARY, CANDIDATE]})
    script.on("DELETE", "/ops/spaces/3", CANDIDATE)
    refused = memdeck("spaces", "drop", "3")
    assert (4, True) == (refused.code, "997 vectors" in refused.err)
    assert [] == script.sent("DELETE", "/ops/spaces")
    assert "dropped  3" in memdeck("spaces", "drop", "3", "--confirm", "studio").out
    assert 1 == memdeck("spaces", "drop", "9", "--confirm", "studio").code
    assert 2 == memdeck("spaces", "drop", "all").code
