"""Identifiers, patterns, and what a database can hold."""

import re
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdeck_common.errors import BadIdentifier, BadRequest, NoScope
from memdeck_daemon.memory.model import (
    EVERYTHING,
    IDENTIFIER_BYTES,
    Identifier,
    Identifiers,
    Reach,
    check_storable,
    checked_identifier,
    matches,
    storable,
)

few = st.text("ab*_", max_size=8)


@pytest.mark.parametrize(
    "value", ["workspace_7_user_9", "a@b.c", "日本", "ü" * 512, "x" * 512, 7, " padded ", "*x", "%"]
)
def test_ordinary_identifiers(value: object) -> None:
    """Any text without white space, trimmed; numbers are text."""
    assert str(value).strip() == checked_identifier("user", value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "  ",
        "a b",
        "a\tb",
        "a\x00b",
        "a\u2003b",
        "a\ud800",
        "x" * 513,
        "🎨" * 300,
        None,
        True,
        1.5,
        [],
        {},
        b"x",
    ],
)
def test_unusable_identifiers_name_their_field(value: object) -> None:
    """What is no text, has white space or control characters, or is too long for an index."""
    with pytest.raises(BadIdentifier, match="agent_id") as caught:
        checked_identifier("agent", value)
    assert {"field": "agent_id"} == caught.value.facts


@given(st.text())
def test_an_identifier_that_is_taken_can_be_stored(value: str) -> None:
    """Without NUL or half characters, and small enough for an index together with another."""
    try:
        taken = checked_identifier("run", value)
    except BadIdentifier:
        return
    assert storable(taken)
    assert len(taken.encode()) <= IDENTIFIER_BYTES


def test_the_first_of_user_agent_app_run_owns() -> None:
    """And at least one is needed."""
    names: dict[str, object] = {"run": "r", "app": "p", "agent": "a", "user": "u"}
    for owner in ("user:u", "agent:a", "app:p", "run:r"):
        assert owner == Identifiers.of(**names).owner
        names.pop(owner.split(":")[0])
    with pytest.raises(NoScope):
        Identifiers.of()
    assert (Identifier("agent", "a"), Identifier("run", "r")) == Identifiers.of(run="r", agent="a").named()


@given(few, few)
def test_a_pattern_matches_as_a_regular_expression_would(value: str, pattern: str) -> None:
    """`*` is any text, every other character itself."""
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value, re.DOTALL) is not None
    assert expected is matches(value, (pattern,))


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("workspace_7_", True), ("workspace_7_a", True), ("workspace_7_\n", True), ("workspace_7_日本", True),
        ("workspace_70_x", False), ("workspace_7", False), ("xworkspace_7_a", False), ("WORKSPACE_7_a", False),
        ("workspaceX7_a", False), (None, False),
    ],
)  # fmt: skip
def test_a_workspace_is_told_from_its_neighbours(value: str | None, fits: bool) -> None:
    """One digit more is another workspace; nothing is not a name."""
    assert fits is matches(value, ("workspace_7_*",))


def test_a_pattern_of_many_stars_is_matched_in_time() -> None:
    """A value made to be nearly right must not hold the daemon up."""
    began = time.perf_counter()
    assert not matches("a" * 512, ("*a" * 40 + "*b",))
    assert matches("a" * 512 + "b", ("*a" * 40 + "*b",))
    assert time.perf_counter() - began < 0.1


def test_every_pin_must_hold() -> None:
    """A key pinned to users and agents reaches memories that carry both."""
    reach = Reach(users=("u*",), agents=("a1", "a2"))
    assert reach.covers(Identifiers(user="u1", agent="a2"))
    for names in (Identifiers(user="u1"), Identifiers(agent="a1"), Identifiers(user="x", agent="a1")):
        assert not reach.covers(names)
    assert EVERYTHING.covers(Identifiers(run="r"))
    assert Reach().covers(Identifiers(run="r"))


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("a\x00", "metadata"), ({"k\ud800": 1}, "a key of metadata"), ({"a": [1, {"b": "\udfff"}]}, "metadata.a[1].b"),
        (("x", "\x00"), "metadata[1]"),
    ],
)  # fmt: skip
def test_what_cannot_be_stored_is_found_wherever_it_hides(value: object, place: str) -> None:
    """And its place is named."""
    with pytest.raises(BadRequest) as caught:
        check_storable(value, "metadata")
    assert str(caught.value).startswith(f"{place} ")
    str(caught.value).encode()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_what_can_be_stored_passes(value: object) -> None:
    """All that JSON has, but for those characters."""
    text = repr(value)
    if "\\x00" not in text and "\\ud" not in text:
        check_storable(value, "metadata")
    assert storable(str(uuid.uuid4()))
