"""Reading filters: everything that can be said, and a place for everything that cannot."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdeck_common.errors import BadFilter
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.filter_values import Instants
from memdeck_daemon.memory.filters import All, AnyOf, Filter, Not, parse
from memdeck_daemon.memory.filters import Test as Compare

DAY = Instants(datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC))
NOON = Instants(datetime(2024, 1, 2, 12, tzinfo=UTC), datetime(2024, 1, 2, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"user_id": "a"}, Compare("user_id", "eq", "a")),
        ({"user_id": 7}, Compare("user_id", "eq", "7")),
        ({"session_id": "r"}, Compare("run_id", "eq", "r")),
        ({"user_id": "*"}, Compare("user_id", "exists", True)),
        ({"user_id": ["a", "*"]}, Compare("user_id", "exists", True)),
        ({"user_id": ["a", "b"]}, Compare("user_id", "in", ("a", "b"))),
        ({"user_id": {"nin": ["a"]}}, Compare("user_id", "nin", ("a",))),
        ({"user_id": {"contains": "a b"}}, Compare("user_id", "contains", "a b")),
        ({"keywords": {"icontains": "x"}}, Compare("memory", "icontains", "x")),
        ({"created_at": "2024-01-02"}, Compare("created_at", "eq", DAY)),
        ({"created_at": "2024-01-02T13:00:00+01:00"}, Compare("created_at", "eq", NOON)),
        ({"updated_at": {"gt": NOON.since.timestamp()}}, Compare("updated_at", "gt", NOON)),
        ({"expiration_date": {"in": ["2024-01-02"]}}, Compare("expiration_date", "in", (DAY,))),
        ({"color": 1.5}, Compare("color", "eq", 1.5, metadata=True)),
        ({"color": True}, Compare("color", "eq", "true", metadata=True)),
        ({"color": None}, Compare("color", "eq", None, metadata=True)),
        ({"color": {"gte": "2024"}}, Compare("color", "gte", "2024", metadata=True)),
        ({"color": {"exists": False}}, Compare("color", "exists", False, metadata=True)),
        ({"metadata": {"user_id": "a"}}, Compare("user_id", "eq", "a", metadata=True)),
        ({"metadata": {"AND": "a"}}, Compare("AND", "eq", "a", metadata=True)),
        ({"id": "ABC"}, Compare("id", "eq", "abc")),
        ({"a": {"gte": 1, "lt": 2}}, All((Compare("a", "gte", 1, metadata=True), Compare("a", "lt", 2, metadata=True)))),
        ({"$or": [{"user_id": "a"}]}, AnyOf((Compare("user_id", "eq", "a"),))),
        ({"NOT": {"user_id": "a"}}, Not(AnyOf((Compare("user_id", "eq", "a"),)))),
        ({"user_id": "a", "AND": [{"role": "user"}]}, All((Compare("user_id", "eq", "a"), All((Compare("role", "eq", "user"),))))),
    ],
)  # fmt: skip
def test_what_can_be_said(raw: dict[str, Any], expected: Filter) -> None:
    """Both dialects, and more."""
    assert expected == parse(raw)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ([], "filters must be an object, not a list"), (None, "filters must be an object, not null"),
        ("x", "filters must be an object, not text"), ({}, "filters is empty"),
        ({"AND": {}}, "filters.AND must be a list"), ({"OR": []}, "filters.OR must be a list"),
        ({"AND": [{"a": 1}, 5]}, "filters.AND[1] must be an object, not a number"),
        ({"OR": [{"AND": [{"a": {"near": 1}}]}]}, "filters.OR[0].AND[0].a: unknown operator (near)"),
        ({"a": {}}, "filters.a: unknown operator (none)"), ({"a": {"gt": 1, "x": 2, "y": 3}}, "(x, y)"),
        ({"user_id": ""}, "filters.user_id: user_id must be text"), ({"user_id": None}, "filters.user_id"),
        ({"user_id": {"eq": ["a"]}}, "filters.user_id.eq"), ({"run_id": {"in": ["ok", "not ok"]}}, "filters.run_id.in"),
        ({"user_id": {"in": []}}, "filters.user_id.in is an empty list"), ({"agent_id": []}, "filters.agent_id"),
        ({"user_id": {"gt": "a"}}, "user_id has no order"), ({"memory": {"lt": "a"}}, "memory has no order"),
        ({"created_at": "yesterday"}, "filters.created_at must be an ISO date"), ({"created_at": True}, "filters.created_at"),
        ({"created_at": {"contains": "2024"}}, "filters.created_at.contains"), ({"created_at": "2024-02-30"}, "ISO"),
        ({"expiration_date": {"gt": float("nan")}}, "filters.expiration_date.gt"), ({"created_at": 1e300}, "ISO"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "filters.created_at"), ({"a": {"gt": [1]}}, "filters.a.gt"),
        ({"a": {"gt": None}}, "filters.a.gt must be a number or an ISO date, not null"), ({"a": {"lt": True}}, "a boolean"),
        ({"a": {"contains": {}}}, "filters.a.contains"), ({"role": {"in": "user"}}, "filters.role.in must be a list"),
        ({"a": {"in": list(range(1001))}}, "at most 1,000 values"), ({"a": float("inf")}, "filters.a"),
        ({"a\x00": 1}, "character that cannot be stored"), ({"a": "\ud800"}, "character that cannot be stored"),
        ({"a": {"b": 1}}, "unknown operator (b)"), ({"metadata": {"a": {"b": 1}}}, "filters.metadata.a: unknown"),
        ({"metadata": {}}, "filters.metadata"), ({"a": [{"b": "\x00"}]}, "filters.a"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(raw: object, place: str) -> None:
    """Never taken for "no filter"."""
    with pytest.raises(BadFilter) as caught:
        parse(raw)
    assert place in str(caught.value)
    str(caught.value).encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("*"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["AND", "OR", "NOT", "user_id", "created_at", "categories", "metadata", "a", "in", "eq", "gt", "contains", "exists"]
        ),
        inner, max_size=3,
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_whatever_is_sent_is_read_or_refused(raw: object) -> None:
    """No other error; and what was read names its scope or is refused there."""
    try:
        where = parse(raw)
    except BadFilter:
        return
    assert filters.branches(where)


def test_depth_and_size_are_bounded() -> None:
    """At the limit it is read, beyond it is refused, and both at once."""
    began = time.perf_counter()

    def nested(depth: int) -> dict[str, Any]:
        raw: dict[str, Any] = {"user_id": "a"}
        for _ in range(depth):
            raw = {"AND": [raw]}
        return raw

    parse(nested(filters.DEPTH))
    for depth in (filters.DEPTH + 1, 900):
        with pytest.raises(BadFilter, match="nested deeper"):
            parse(nested(depth))
    parse({"OR": [{"a": 1}] * filters.TESTS})
    for raw in (
        {"OR": [{"a": 1}] * (filters.TESTS + 1)},
        {"a": {"in": ["x"] * 1000}, "OR": [{"b": ["y"] * 1000}] * 30},
        {"created_at": {"in": ["2024-01-01"] * 300}},
    ):
        with pytest.raises(BadFilter, match="more than 256 conditions"):
            parse(raw)
    assert time.perf_counter() - began < 1
