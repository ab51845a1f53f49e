"""Log records as lines."""

import io
import json
import logging

import pytest

from memdeck_common.log import JsonLines, Plain, action, configure, fields_of, service_of


def record(name: str = "memdeck_daemon.memory.writer", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, __file__, 1, "stored %d", (3,), None)
    made.created = 1_800_000_000.25
    vars(made).update(extra)
    return made


def test_a_record_is_one_line_of_json() -> None:
    """With its action, its fields and whatever cannot be JSON as text."""
    line = JsonLines().format(record(**action("memory_stored", ms=1.5, path=io.StringIO)))
    body = json.loads(line)
    assert "\n" not in line
    assert ("2027-01-15T08:00:00.250+00:00", "WARNING", "memory") == (
        body["at"],
        body["level"],
        body["service"],
    )
    assert ("stored 3", "memory_stored", 1.5) == (body["message"], body["action"], body["ms"])
    assert "StringIO" in body["path"]


def test_a_record_without_action_has_that_of_its_logger() -> None:
    """So that every line can be counted by action."""
    assert {"action": "writer"} == fields_of(record())


def test_an_exception_stays_within_its_line() -> None:
    """A log is read line by line."""
    made = record(exc_info=(ValueError, ValueError("first\nsecond"), None))
    line = JsonLines().format(made)
    assert "\n" not in line
    assert "second" in json.loads(line)["error"]
    assert "second" in Plain().format(made)


def test_people_see_time_service_and_fields() -> None:
    """In UTC, without the action."""
    line = Plain().format(record(**action("memory_stored", ms=1.5)))
    assert "08:00:00.250 WARNING memory    stored 3  ms=1.5" == line


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("memdeck_daemon.infra.postgres.pool", "postgres"), ("memdeck_daemon.operations.telemetry.service", "telemetry"),
        ("memdeck_daemon.api.http.server", "api"), ("memdeck_daemon.app", "app"), ("memdeck_daemon", "memdeck_daemon"),
        ("memdeck_daemon.infra", "infra"), ("aiohttp.server", "aiohttp"),
    ],
)  # fmt: skip
def test_the_part_that_speaks_is_the_noun(name: str, service: str) -> None:
    """Not the wing, where the wing is only a folder of nouns."""
    assert service == service_of(record(name))


def test_all_records_go_to_one_place() -> None:
    """As JSON where nobody looks, at the level that was asked for."""
    root, stream = logging.getLogger(), io.StringIO()
    before = (root.handlers[:], root.level)
    try:
        configure("warning", stream)
        logging.getLogger("memdeck_daemon.app").info("not shown")
        logging.getLogger("memdeck_daemon.app").warning("shown")
    finally:
        root.handlers[:], level = before
        root.setLevel(level)
    assert ["shown"] == [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
