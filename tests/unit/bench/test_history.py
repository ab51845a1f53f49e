"""The checker of histories: what it lets pass, and what it finds."""

from collections.abc import Iterator
from itertools import count

import pytest

from bench.faults.history import GONE, History, Outcome, Subject


@pytest.fixture
def history() -> History:
    ticks: Iterator[int] = count()
    return History(now=lambda: float(next(ticks)))


def wrote(history: History, *writes: tuple[int, Outcome]) -> Subject:
    """A memory after these writes, one after the other."""
    subject = history.subject("w1n1", "ada")
    for version, outcome in writes:
        history.complete(history.invoke(subject, version), outcome)
    return subject


def found(history: History, *versions: int) -> dict[str, int]:
    """What is found when these versions are there in the end; zeros are left out."""
    history.final([("w1n1", version) for version in versions])
    return {fault: times for fault, times in history.figures().items() if times}


@pytest.mark.parametrize(
    ("writes", "versions"),
    [
        ([(0, "ok")], [0]),
        ([(0, "unknown")], []),
        ([(0, "unknown")], [0]),
        ([(0, "fail")], []),
        ([(0, "ok"), (1, "unknown")], [0]),
        ([(0, "ok"), (1, "unknown")], [1]),
        # What hangs in the network may arrive after what was sent later.
        ([(0, "ok"), (1, "unknown"), (2, "ok")], [1]),
        ([(0, "ok"), (1, "ok")], [1]),
        ([(0, "ok"), (GONE, "ok")], []),
        ([(0, "ok"), (GONE, "unknown")], []),
        ([(0, "ok"), (GONE, "unknown")], [0]),
    ],
)
def test_what_may_be(history: History, writes: list[tuple[int, Outcome]], versions: list[int]) -> None:
    wrote(history, *writes)
    assert {} == found(history, *versions)


@pytest.mark.parametrize(
    ("writes", "versions", "fault"),
    [
        ([(0, "ok")], [], "lost"),
        ([(0, "ok"), (1, "ok")], [0], "stale"),
        ([(0, "ok"), (1, "fail")], [1], "phantom"),
        ([(0, "fail")], [0], "phantom"),
        ([(0, "ok"), (GONE, "ok")], [0], "resurrected"),
        ([(0, "ok")], [0, 0], "doubled"),
        ([(0, "unknown")], [0, 0], "doubled"),
    ],
)
def test_what_must_not_be(
    history: History, writes: list[tuple[int, Outcome]], versions: list[int], fault: str
) -> None:
    wrote(history, *writes)
    assert {fault: 1} == found(history, *versions)


def test_a_read_beside_a_write_may_see_either(history: History) -> None:
    """One that begins after its end may not."""
    subject = wrote(history, (0, "ok"))
    beside = history.now()
    write = history.invoke(subject, 1)
    history.read(subject, 0, beside)
    history.read(subject, 1, beside)
    history.complete(write, "ok")
    history.read(subject, 0, beside)
    assert [] == history.findings
    history.read(subject, 0, history.now())
    assert ["stale"] == [finding.fault for finding in history.findings]


def test_a_memory_is_absent_before_it_is_added(history: History) -> None:
    subject = history.subject("w1n1", "ada")
    history.read(subject, GONE, history.now())
    history.read(subject, 0, history.now())
    assert ["stale"] == [finding.fault for finding in history.findings]
