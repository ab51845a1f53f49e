"""The last lines of the log, for those who watch."""

import logging

import pytest

from memdeck_common.log import action
from memdeck_daemon.operations.telemetry.logtail import KEPT, REQUESTS_PER_SECOND, LogTail


@pytest.fixture
def tail() -> LogTail:
    return LogTail(lambda: 100.0)


def emit(tail: LogTail, message: str, level: int = logging.INFO, **extra: object) -> None:
    record = logging.LogRecord("memdeck_daemon.memory.writer", level, __file__, 1, message, (), None)
    vars(record).update(extra)
    tail.handle(record)


def test_records_are_kept_in_order_and_numbered(tail: LogTail) -> None:
    """The oldest go; a number tells what somebody has seen."""
    for number in range(KEPT + 5):
        emit(tail, f"line {number}")
    assert (KEPT, 6, KEPT + 5) == (len(tail.lines), tail.lines[0].seq, tail.lines[-1].seq)
    assert ["line 203", "line 204"] == [line.message for line in tail.after(KEPT + 3)]
    assert [] == tail.after(KEPT + 5)


def test_a_line_shows_what_concerns_people(tail: LogTail) -> None:
    """Level, service, duration, request; not the other fields, which may name whom it is about."""
    emit(tail, "slow", logging.WARNING, **action("slow", ms=5.5, request_id="r1", user="alice", key="sk-1"))
    (line,) = tail.lines
    assert ("WARNING", "memory", "slow", 5.5, "r1") == (
        line.level, line.service, line.message, line.milliseconds, line.request_id
    )  # fmt: skip
    assert "alice" not in str(line)
    assert "sk-1" not in str(line)


def test_an_exceptions_text_is_not_shown(tail: LogTail) -> None:
    """It may quote a row."""
    emit(tail, "an add failed", logging.ERROR, exc_info=(ValueError, ValueError("I love Alice"), None))
    assert "Alice" not in str(tail.lines)


def test_a_long_message_is_cut(tail: LogTail) -> None:
    """Each tick carries it to every watcher."""
    emit(tail, "x" * 10_000)
    assert 500 == len(tail.lines[0].message)


def test_what_is_not_for_people_is_left_out(tail: LogTail) -> None:
    """DEBUG."""
    logger = logging.getLogger("memdeck_daemon.memory.test_logtail")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(tail)
    logger.debug("detail")
    logger.info("told")
    logger.removeHandler(tail)
    assert ["told"] == [line.message for line in tail.lines]


def test_a_few_requests_a_second_are_told(tail: LogTail) -> None:
    """All that failed or were slow within bounds, some of the others; the next second there are more."""
    for number in range(100):
        tail.request("search", 0.01, 200, f"r{number}", slow=False)
    assert REQUESTS_PER_SECOND == len(tail.lines)
    tail.request("add", 0.9, 200, "slow", slow=True)
    tail.request("add", 0.1, 503, "failed", slow=False)
    assert ["WARNING", "ERROR"] == [line.level for line in list(tail.lines)[-2:]]
    assert ["add 200 slow", "add 503"] == [line.message for line in list(tail.lines)[-2:]]
    for number in range(1000):
        tail.request("add", 0.1, 500, f"e{number}", slow=False)
    assert 10 * REQUESTS_PER_SECOND == len(tail.lines)
    tail.close_second()
    tail.request("search", 0.01, 200, "again", slow=False)
    assert ("again", 10.0) == (tail.lines[-1].request_id, tail.lines[-1].milliseconds)
