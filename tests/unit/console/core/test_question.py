"""A search as a person puts it, as the API takes it, and as a command."""

import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from memdeck_console.core.question import EVERYTHING, Question, question_of, span_of

NOW = datetime(2026, 11, 20, 12, 4, 31, tzinfo=UTC)


def test_identifiers_are_joined() -> None:
    question = Question("x", user="ops", run="r1")
    assert {"AND": [{"user_id": "ops"}, {"run_id": "r1"}]} == question.filters(NOW)


def test_without_an_identifier_every_scope_is_meant() -> None:
    assert EVERYTHING == Question("x").filters(NOW)


def test_an_age_is_a_limit_on_created_at() -> None:
    found = Question("x", user="ops", since="90d").filters(NOW)
    assert {"created_at": {"gte": "2026-08-22T12:04:31+00:00"}} == found["AND"][1]


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_lengths_of_time(text: str, length: timedelta) -> None:
    assert length == span_of(text)


@pytest.mark.parametrize("text", ["", "d", "9", "-3d", "0d", "1.5d", "3y", "99999999999d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="90d"):
        span_of(text)


def test_the_fields_of_the_form_become_a_question() -> None:
    values = {"user": " ops ", "since": "90d", "limit": "8", "threshold": "0.3", "explain": "off"}
    assert Question("x", user="ops", since="90d", limit=8, threshold=0.3, explain=False) == question_of(
        "x", values
    )


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("limit", "many", "limit"), ("limit", "0", "limit"), ("threshold", "2", "cosine"), ("threshold", "x", "cosine"), ("since", "soon", "length")],
)  # fmt: skip
def test_a_field_that_cannot_be_meant_is_named(field: str, value: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        question_of("x", {field: value})


def test_the_command_asks_the_same() -> None:
    question = Question("who owns it", user="ops", limit=8, threshold=0.3)
    assert (
        'memdeck search "who owns it" --user ops --explain --json --limit 8 --threshold 0.3'
        == question.twin(NOW)
    )


def test_a_shell_reads_the_command_back_as_it_was_meant() -> None:
    """Whatever a person types, quotes and dollars included."""
    text = """it's "$HOME" `rm` \\ !"""
    words = shlex.split(Question(text, user="a b", since="12h").twin(NOW))
    assert (text, "a b") == (words[2], words[words.index("--user") + 1])
    assert {"created_at": {"gte": "2026-11-20T00:04Z"}} == json.loads(words[words.index("--filter") + 1])
