"""What a line of an import may hold."""

import json
from typing import Any

import pytest

from memdeck_console.cli.lines import BadLine, Broken, Entry, Reader, request_of


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_exported_line_becomes_an_add() -> None:
    """What an export writes is what an add needs; fields of answers are passed over."""
    messages, fields = request_of(
        line(
            id="0193",
            hash="h",
            score=0.4,
            memory="window",
            role="assistant",
            actor_id="Al",
            user_id="alice",
            session_id=7,
            metadata={"a": 1},
            categories=["travel"],
            created_at="2026-11-20T09:30:00Z",
            expiration_date="2026-12-31",
            immutable=True,
        ),
        {},
    )
    assert [{"role": "assistant", "content": "window", "name": "Al"}] == messages
    assert {
        "user_id": "alice",
        "run_id": "7",
        "metadata": {"a": 1},
        "categories": ["travel"],
        "timestamp": "2026-11-20T09:30:00+00:00",
        "expiration_date": "2026-12-31",
        "immutable": True,
    } == fields


def test_conversation() -> None:
    """Messages keep roles, names and parts; infer is theirs alone."""
    turns = [
        {"role": "user", "content": "hi", "name": "Al"},
        {"role": "assistant", "content": [{"type": "text"}]},
    ]
    messages, fields = request_of(line(messages=turns, run_id="r", infer=True, timestamp=0), {})
    assert turns == messages
    assert {"run_id": "r", "infer": True, "timestamp": "1970-01-01T00:00:00+00:00"} == fields


def test_defaults_are_for_lines_without_identifiers() -> None:
    """A line that says whose it is, is not given to somebody else."""
    assert "bob" == request_of(line(memory="x"), {"user_id": "bob"})[1]["user_id"]
    assert {"agent_id": "ops"} == request_of(line(memory="x", agent_id="ops"), {"user_id": "bob"})[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "truncated"),
        (b"[1]", "Expected `object`"),
        (b'{"memory": 3, "user_id": "a"}', "at `memory`"),
        (b'{"memory": "\xff", "user_id": "a"}', "UTF-8"),
        (line(memory="x"), "no identifier"),
        (line(user_id="a"), "`memory` or `messages`"),
        (line(user_id="a", memory="x", messages=[]), "`memory` or `messages`"),
        (line(user_id="a", memory="  "), "empty"),
        (line(user_id="a", messages=[]), "empty"),
        (line(user_id="a", memory="x", role="system"), "system"),
        (line(user_id="a", messages=[{"role": "user"}]), "content"),
        (line(user_id="a b", memory="x"), "without spaces"),
        (line(user_id="", memory="x"), "without spaces"),
        (line(user_id="a" * 513, memory="x"), "512"),
        (line(user_id="a", memory="x", metadata=[1]), "at `metadata`"),
        (line(user_id="a", memory="x", created_at="then"), "not a time"),
        (line(user_id="a", memory="x", timestamp=1e300), "not a time"),
        (line(user_id="a", memory="x", expiration_date="31.12."), "not a date"),
    ],
)
def test_bad_line(content: bytes, reason: str) -> None:
    """The reason is short and names the field."""
    with pytest.raises(BadLine, match=reason):
        request_of(content, {})


def taken(lines: list[bytes], **options: Any) -> list[Entry | Broken]:
    reader = Reader(options.pop("defaults", {"user_id": "a"}), **options)
    return [found for one in lines if (found := reader.take(one))]


def keys(lines: list[bytes], **options: Any) -> list[str]:
    return [entry.key for entry in taken(lines, **options) if isinstance(entry, Entry)]


def test_blank_lines_count_as_lines() -> None:
    """Line numbers are those of an editor."""
    assert [2, 4] == [entry.number for entry in taken([b"\n", line(memory="x"), b"  \n", b"{"])]


def test_keys_are_those_of_the_same_beginning() -> None:
    """The same file gives the same keys, a longer one the same and more; line ends do not matter."""
    lines = [line(memory="x"), line(memory="y")]
    first = keys(lines)
    assert len(set(first)) == 2
    assert first == keys([one + b"\r\n" for one in lines])
    assert first == keys([*lines, line(memory="z")])[:2]


def test_keys_differ_where_something_else_is_asked_for() -> None:
    """Equal lines of one file, other defaults, and `--again` are different adds."""
    one = [line(memory="x")]
    assert len({*keys(one * 2), *keys(one, salt="again"), *keys(one, defaults={"user_id": "b"})}) == 4


def test_lane_is_owner_and_run() -> None:
    """The user owns; without one the agent does."""
    lines = [line(memory="x", user_id="u", agent_id="g", run_id="1"), line(memory="x", agent_id="g")]
    lanes = [entry.lane for entry in taken(lines) if isinstance(entry, Entry)]
    assert [("user_id:u", "1"), ("agent_id:g", "")] == lanes
