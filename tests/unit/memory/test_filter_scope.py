"""Which identifiers a filter names, and who may ask for them."""

import time
from typing import Any

import pytest

from memdeck_common.errors import AdminRequired, BadFilter, Forbidden, MemdeckError, NoScope
from memdeck_daemon.memory.filters import branches, check_scope, everything, names_only, parse
from memdeck_daemon.memory.model import EVERYTHING, Reach

PINNED = Reach(users=("workspace_7_*",))
FREE = Reach()
MINE, OTHER = "workspace_7_a", "workspace_70_a"


def named(raw: dict[str, Any]) -> list[set[str]]:
    """The branches as sets of `kind:value`."""
    return [{str(name) for name in branch} for branch in branches(parse(raw))]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"user_id": "a"}, [{"user:a"}]),
        ({"user_id": "a", "run_id": "r"}, [{"user:a", "run:r"}]),
        ({"user_id": ["a", "b"]}, [{"user:a"}, {"user:b"}]),
        ({"OR": [{"user_id": "a"}, {"run_id": "r"}]}, [{"user:a"}, {"run:r"}]),
        ({"OR": [{"user_id": "a"}, {"user_id": "a"}]}, [{"user:a"}]),
        ({"user_id": "a", "OR": [{"x": 1}, {"run_id": "r"}]}, [{"user:a"}, {"user:a", "run:r"}]),
        ({"AND": [{"user_id": ["a", "b"]}, {"agent_id": ["c", "d"]}]},
         [{"user:a", "agent:c"}, {"user:a", "agent:d"}, {"user:b", "agent:c"}, {"user:b", "agent:d"}]),
        ({"NOT": [{"user_id": "a"}]}, [set()]),
        ({"NOT": [{"NOT": [{"user_id": "a"}]}]}, [set()]),
        ({"user_id": {"ne": "a"}}, [set()]), ({"user_id": {"nin": ["a"]}}, [set()]),
        ({"user_id": {"contains": "a"}}, [set()]), ({"user_id": "*"}, [set()]), ({"metadata": {"user_id": "a"}}, [set()]),
    ],
)  # fmt: skip
def test_what_a_filter_names(raw: dict[str, Any], expected: list[set[str]]) -> None:
    """NOT and ne say who is not meant, which names nobody."""
    assert expected == named(raw)


@pytest.mark.parametrize(
    "raw",
    [
        {"x": 1}, {"memory": {"contains": "x"}}, {"NOT": [{"user_id": "a"}]}, {"user_id": {"ne": "a"}},
        {"OR": [{"user_id": "a"}, {"x": 1}]}, {"metadata": {"user_id": "a"}}, {"actor_id": "a"}, {"id": "a"},
    ],
)  # fmt: skip
def test_a_filter_without_scope_is_refused_to_everybody(raw: dict[str, Any]) -> None:
    """Administrators have to say `*`: a slip of the pen must not reach across users."""
    for reach in (FREE, PINNED, EVERYTHING):
        with pytest.raises(NoScope, match="in every alternative"):
            check_scope(parse(raw), reach)


@pytest.mark.parametrize(
    "raw",
    [
        {"user_id": "*"}, {"user_id": ["a", "*"]}, {"OR": [{"user_id": "a"}, {"run_id": "*"}]},
        {"user_id": {"exists": False}}, {"AND": [{"x": 1}, {"agent_id": {"exists": True}}]},
    ],
)  # fmt: skip
def test_everybody_is_for_administrators(raw: dict[str, Any]) -> None:
    """On purpose, and by nobody else."""
    assert check_scope(parse(raw), EVERYTHING)
    for reach in (FREE, PINNED):
        with pytest.raises(AdminRequired):
            check_scope(parse(raw), reach)


def test_no_restriction_at_all_is_for_administrators() -> None:
    """As a reset needs it."""
    assert (frozenset(),) == check_scope(everything(), EVERYTHING)
    with pytest.raises(AdminRequired):
        check_scope(everything(), FREE)


def test_an_unpinned_key_reaches_what_it_names() -> None:
    """Any user, agent, app or run."""
    for name in ("user_id", "agent_id", "app_id", "run_id"):
        assert check_scope(parse({name: "x"}), FREE)
    assert check_scope(parse({"user_id": "a", "run_id": "*"}), FREE)


@pytest.mark.parametrize(
    "raw",
    [
        {"user_id": MINE}, {"user_id": MINE, "x": 1}, {"OR": [{"user_id": MINE}, {"user_id": "workspace_7_b"}]},
        {"user_id": MINE, "OR": [{"agent_id": "a"}, {"NOT": [{"x": 1}]}]}, {"user_id": ["workspace_7_", MINE]},
        {"user_id": MINE, "run_id": "*"},
    ],
)  # fmt: skip
def test_within_the_pin(raw: dict[str, Any]) -> None:
    """Every alternative names a user that fits."""
    assert check_scope(parse(raw), PINNED)


@pytest.mark.parametrize(
    "raw",
    [
        {"user_id": OTHER}, {"user_id": "workspace_7"}, {"user_id": [MINE, OTHER]}, {"agent_id": "a"}, {"run_id": MINE},
        {"OR": [{"user_id": MINE}, {"user_id": OTHER}]}, {"OR": [{"user_id": MINE}, {"agent_id": "a"}]},
        {"OR": [{"user_id": MINE, "x": 1}, {"AND": [{"run_id": "r"}, {"NOT": [{"user_id": OTHER}]}]}]},
        {"user_id": {"ne": OTHER}}, {"NOT": [{"user_id": OTHER}]}, {"OR": [{"user_id": MINE}, {"user_id": "*"}]},
        {"user_id": {"contains": "workspace_7_"}},
    ],
)  # fmt: skip
def test_outside_the_pin(raw: dict[str, Any]) -> None:
    """One alternative outside is enough; what is not meant names nobody."""
    with pytest.raises(MemdeckError) as caught:
        check_scope(parse(raw), PINNED)
    assert isinstance(caught.value, Forbidden | NoScope)


def test_both_pins_must_be_named() -> None:
    """In every alternative."""
    reach = Reach(users=("u*",), agents=("a",))
    assert check_scope(parse({"user_id": "u1", "agent_id": "a"}), reach)
    for raw in ({"user_id": "u1"}, {"agent_id": "a"}, {"user_id": "u1", "agent_id": "b"}):
        with pytest.raises(Forbidden, match="pinned"):
            check_scope(parse(raw), reach)


def test_alternatives_do_not_explode() -> None:
    """A small filter can have more alternatives than there are atoms: it is refused at once."""
    began = time.perf_counter()
    pair = {"OR": [{"user_id": "a"}, {"agent_id": "b"}]}
    distinct = [{"OR": [{"user_id": f"u{n}"}, {"agent_id": f"a{n}"}]} for n in range(100)]
    lists = [{kind: [f"{n}" for n in range(1000)]} for kind in ("user_id", "agent_id", "app_id", "run_id")]
    for raw in (
        {"AND": [pair] * 60},
        {"AND": distinct},
        {"AND": lists},
        {"OR": [{"AND": distinct[:20]}] * 3},
    ):
        with pytest.raises(BadFilter, match="more than 1000 alternatives"):
            branches(parse(raw))
    assert 1000 == len(branches(parse(lists[0] | {"x": 1})))
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"user_id": "a"}, True), ({"user_id": ["a"], "OR": [{"run_id": "r"}]}, True), ({"user_id": "a", "x": 1}, False),
        ({"user_id": "a", "NOT": [{"run_id": "r"}]}, False), ({"user_id": "a", "run_id": "*"}, False),
        ({"metadata": {"user_id": "a"}}, False),
    ],
)  # fmt: skip
def test_filters_of_names_alone(raw: dict[str, Any], expected: bool) -> None:
    """Those that an index can apply by itself."""
    assert expected is names_only(parse(raw))
