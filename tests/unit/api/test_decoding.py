"""Bodies: what is JSON and can be stored gets through, all else is refused with its place."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdeck_common import errors
from memdeck_daemon.api.http import decoding
from memdeck_daemon.api.http.refusals import InvalidFields, MalformedJson


class Body(msgspec.Struct):
    """Something with a field of each kind."""

    name: str | None = None
    count: int | None = None
    extra: dict[str, Any] | None = None


DECODER = msgspec.json.Decoder(Body, strict=False)
_LEAF = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
_JSON = st.recursive(
    _LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _JSON, max_size=4))
def test_any_json_is_kept_or_refused_for_a_nul(extra: dict[str, Any]) -> None:
    """Nothing in between: no other exception, no changed value."""
    raw = json.dumps({"extra": extra}).encode()
    if b"\\u0000" in raw.replace(b"\\\\", b""):
        with pytest.raises(errors.BadRequest, match="NUL"):
            decoding.decoded(raw, DECODER)
    else:
        assert extra == decoding.decoded(raw, DECODER).extra


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """Whatever comes, the exception is one of ours."""
    try:
        decoding.decoded(raw, DECODER)
    except (MalformedJson, InvalidFields):
        return


@given(st.integers(1, 140))
def test_nesting_counts_in_levels(depth: int) -> None:
    """The body itself is one."""
    raw = b'{"extra": {"x": ' + b"[" * depth + b"]" * depth + b"}}"
    if depth + 2 <= decoding.DEPTH:
        assert decoding.decoded(raw, DECODER).extra is not None
    else:
        with pytest.raises(MalformedJson, match="nested deeper than 64"):
            decoding.decoded(raw, DECODER)


def test_brackets_in_text_are_not_nesting() -> None:
    """Neither are escaped quotes the end of a text."""
    text = '"[' * 100 + "\\"
    raw = json.dumps({"name": text, "extra": {"x": [text]}}).encode()
    assert text == decoding.decoded(raw, DECODER).name


def test_many_values_side_by_side_are_not_nesting() -> None:
    """A batch of a thousand is flat."""
    raw = json.dumps({"extra": {"x": [{"a": [1]}] * 1000}}).encode()
    assert decoding.decoded(raw, DECODER).extra is not None


@pytest.mark.parametrize(
    ("raw", "position"),
    [
        (b"", 0),
        (b"  ", 0),
        (b'{"name": nope}', 9),
        ('{"name": "ä" x}'.encode(), 14),
        (b'{"name": "\xff"}', 10),
        (b'{"a": 1', 7),
    ],
)
def test_the_place_of_a_fault_is_counted_in_bytes(raw: bytes, position: int) -> None:
    """As editors and hexdumps do."""
    with pytest.raises(MalformedJson) as refused:
        decoding.decoded(raw, DECODER)
    assert position == refused.value.facts["position"]


def test_a_field_that_does_not_fit_is_shown_with_its_place() -> None:
    """As long as it is short."""
    with pytest.raises(InvalidFields) as refused:
        decoding.decoded(b'{"count": "many"}', DECODER)
    assert [
        {
            "type": "int_type",
            "loc": ["body", "count"],
            "msg": "Expected `int | null`, got `str`",
            "input": "many",
        }
    ] == (refused.value.problems)
    with pytest.raises(InvalidFields) as refused:
        decoding.decoded(json.dumps({"count": "x" * 500}).encode(), DECODER)
    assert refused.value.problems[0]["input"] is None
