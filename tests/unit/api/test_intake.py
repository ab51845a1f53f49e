"""What clients send, as memory takes it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdeck_common import errors
from memdeck_common.wire.platform import AddBody
from memdeck_daemon.api.mem0 import intake
from memdeck_daemon.memory.model import Identifiers, NewMessage

LIMIT = 1000


def test_messages_are_text_objects_or_lists_of_either() -> None:
    """Names become actors; parts that are not text are left out."""
    raw = [
        "plain",
        {"role": "assistant", "content": "said", "name": "butler"},
        {
            "content": [
                {"type": "text", "text": "one"},
                {"type": "image_url", "image_url": {"url": "x"}},
                "two",
            ]
        },
        {"role": "user", "content": None},
    ]
    assert (
        NewMessage("plain"),
        NewMessage("said", "assistant", "butler"),
        NewMessage("one\ntwo"),
        NewMessage(""),
    ) == intake.messages(raw, LIMIT)


@pytest.mark.parametrize(
    "raw", [5, [5], [None], [["x"]], [{"content": 5}], [{"content": [5]}], [{"role": 5, "content": "x"}]]
)
def test_messages_that_are_none_are_refused(raw: Any) -> None:
    """With the place of the one that is wrong."""
    with pytest.raises(errors.BadField, match="messages"):
        intake.messages(raw, LIMIT)


@given(st.text(max_size=400))
def test_a_text_is_measured_in_bytes(text: str) -> None:
    """The shortcut for short texts does not change the answer."""
    if len(text.encode(errors="surrogatepass")) <= LIMIT:
        assert text == intake.checked_size(text, "text", LIMIT)
    else:
        with pytest.raises(errors.BadRequest):
            intake.checked_size(text, "text", LIMIT)


@given(st.one_of(st.floats(), st.integers(), st.text(max_size=30)))
def test_any_time_is_an_instant_or_refused(value: Any) -> None:
    """Nothing else is raised, whatever a client calls a time."""
    try:
        at = intake.instant(value, "timestamp")
    except errors.BadRequest:
        return
    assert at is not None
    assert at.tzinfo is UTC


def test_times_without_an_offset_are_utc() -> None:
    """So are epoch seconds in text."""
    expected = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert [expected] * 3 == [
        intake.instant(one, "t") for one in ("2023-11-14T22:13:20", "1700000000", 1_700_000_000)
    ]


@pytest.mark.parametrize(
    "value", [-62135596800, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999", 253402300799.999999]
)
def test_the_ends_of_the_calendar_are_no_times(value: Any) -> None:
    """The database would give them back as infinities: every list that holds such a memory would fail."""
    with pytest.raises(errors.BadRequest, match="timestamp"):
        intake.instant(value, "timestamp")


@given(st.text(max_size=60))
def test_any_filter_in_a_query_is_an_object_or_refused(text: str) -> None:
    """It is never taken for no filter."""
    try:
        assert isinstance(intake.literal_filter(text), dict)
    except errors.BadFilter:
        return


@pytest.mark.parametrize(
    "text",
    ["{'user_id': 'alice'}", '{"user_id": "alice"}', " {'user_id': 'alice',}", "{'user_id': 'al' 'ice'}"],
)
def test_a_filter_in_a_query_is_json_or_a_python_literal(text: str) -> None:
    """mem0's client sends the latter."""
    assert {"user_id": "alice"} == intake.literal_filter(text)


@pytest.mark.parametrize(
    "text", ["{'a': print}", "{**{}}", "{'a': 1 + 1}", "open('x')", "{'a'}", "{" * 9000, "[" * 2000]
)
def test_a_filter_in_a_query_runs_nothing(text: str) -> None:
    """Literals only, of a bounded length."""
    with pytest.raises(errors.BadFilter, match="nothing was done"):
        intake.literal_filter(text)


def test_identifiers_come_from_the_top_level_and_from_filters() -> None:
    """Also from one AND."""
    body = AddBody(
        messages="x", user_id=7, filters={"AND": [{"agent_id": "b"}, {"run_id": "r", "topic": "x"}]}
    )
    assert Identifiers(user="7", agent="b", run="r") == intake.identifiers(body, body.filters)


def test_identity_in_metadata_is_dropped() -> None:
    """Who a memory belongs to is not metadata."""
    assert {"topic": 1, "app_id": "x"} == intake.metadata(
        {"topic": 1, "user_id": "m", "agent_id": "m", "run_id": "m", "actor_id": "m", "app_id": "x"}
    )


@pytest.mark.parametrize("text", ["2026-02-30", "26-01-01", "2026-1-1", "20260101", "2026-W01-1", "x", ""])
def test_days_have_one_form(text: str) -> None:
    """YYYY-MM-DD and no other."""
    with pytest.raises(errors.BadRequest, match="YYYY-MM-DD"):
        intake.day(text)
