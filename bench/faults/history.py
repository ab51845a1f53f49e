"""What clients did and saw, and whether a memory server that keeps its word could have answered so.

Owns the record (invoke, then ok, fail or unknown) and the judgement. Each memory is a register of its own that one client
writes in turn and anybody reads: its versions are numbered from 0, and `GONE` is its absence. A write whose outcome is
unknown may take effect at any time from its invocation on, or never; one that was refused must not. What is found:

    lost         an acknowledged version is not there
    doubled      one add became two memories
    stale        a read that began after a write was acknowledged saw an older version
    resurrected  what was deleted is there again
    phantom      a write that was refused took effect
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

GONE: Final = -1
"""The version of a memory that is not there."""
Outcome = Literal["ok", "fail", "unknown"]
Fault = Literal["lost", "doubled", "stale", "resurrected", "phantom"]
SHOWN: Final = 20


@dataclass(eq=False, slots=True)
class Write:
    """One version, or the deletion, of a memory; unknown until it has ended."""

    version: int
    begun: float
    ended: float = math.inf
    outcome: Outcome = "unknown"


@dataclass(eq=False, slots=True)
class Subject:
    """A memory: a word that is in no other one's text, its writes in order, and its id as soon as it is known."""

    token: str
    user: str
    writes: list[Write] = field(default_factory=list)
    id: str = ""

    @property
    def next_version(self) -> int:
        """The number of the version after the newest."""
        return max((write.version for write in self.writes), default=GONE) + 1

    def text(self, version: int) -> str:
        """What the memory says in this version."""
        return f"{self.token} stands at {version}."


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be."""

    fault: Fault
    token: str
    sentence: str


@dataclass(slots=True)
class History:
    """All memories of a run."""

    now: Callable[[], float] = time.monotonic
    subjects: dict[str, Subject] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Writes by kind and outcome, reads by how they were judged."""

    def subject(self, token: str, user: str) -> Subject:
        """A memory that is about to be added."""
        return self.subjects.setdefault(token, Subject(token, user))

    def invoke(self, subject: Subject, version: int) -> Write:
        """A write begins."""
        write = Write(version, self.now())
        subject.writes.append(write)
        return write

    def complete(self, write: Write, outcome: Outcome) -> None:
        """A write ended."""
        kind = "delete" if write.version == GONE else "update" if write.version else "add"
        self.counts[f"{kind} {outcome}"] += 1
        write.outcome, write.ended = outcome, self.now()

    def read(self, subject: Subject, seen: int, begun: float) -> None:
        """A read that began at `begun` and just ended saw this version."""
        self.counts["read"] += 1
        self._judge(subject, seen, begun, self.now())

    def final(self, found: Iterable[tuple[str, int]]) -> list[Finding]:
        """Judge what is there when all is over: token and version of each memory; all findings of the run."""
        there: dict[str, list[int]] = defaultdict(list)
        for token, version in found:
            there[token].append(version)
        for subject in self.subjects.values():
            versions = there[subject.token] or [GONE]
            if len(versions) > 1:
                self._find("doubled", subject, f"is there {len(versions)} times")
            for version in versions:
                self._judge(subject, version, math.inf, math.inf)
        return self.findings

    def wrong(self, found: Iterable[tuple[str, int]]) -> int:
        """How many findings `final` would add; nothing is kept of it."""
        probe = History(self.now, self.subjects)
        return len(probe.final(found))

    def figures(self) -> dict[str, int]:
        """How many findings of each kind."""
        told = Counter(finding.fault for finding in self.findings)
        return {
            fault: told[fault]
            for fault in ("lost", "doubled", "stale", "resurrected", "phantom")
        }  # fmt: skip

    def _judge(self, subject: Subject, seen: int, begun: float, ended: float) -> None:
        floor = _floor(subject.writes, begun)
        known = subject.writes[floor].version if floor >= 0 else GONE
        if seen in _allowed(subject.writes, floor, known, ended):
            return
        refused = any(write.version == seen and write.outcome == "fail" for write in subject.writes)
        if refused:
            self._find("phantom", subject, f"shows {_called(seen)}, which was refused")
        elif seen == GONE:
            self._find("lost", subject, f"is not there; version {known} was acknowledged")
        elif known == GONE and floor >= 0:
            self._find("resurrected", subject, f"shows {_called(seen)} after its deletion")
        else:
            self._find("stale", subject, f"shows {_called(seen)} after {_called(known)} was acknowledged")

    def _find(self, fault: Fault, subject: Subject, sentence: str) -> None:
        self.findings.append(Finding(fault, subject.token, f"{subject.token} of {subject.user} {sentence}"))


def _floor(writes: list[Write], begun: float) -> int:
    """The last write that was acknowledged before; -1 where none was."""
    for index in range(len(writes) - 1, -1, -1):
        if writes[index].outcome == "ok" and writes[index].ended <= begun:
            return index
    return -1


def _allowed(writes: list[Write], floor: int, known: int, ended: float) -> set[int]:
    later = {
        write.version for write in writes[floor + 1 :] if write.begun < ended and write.outcome != "fail"
    }
    late = {write.version for write in writes[: max(floor, 0)] if write.outcome == "unknown"}
    return {known} | later | late


def _called(version: int) -> str:
    return "nothing" if version == GONE else f"version {version}"


def told(findings: list[Finding]) -> str:
    """The first findings, line by line."""
    lines = [f"{finding.fault}: {finding.sentence}" for finding in findings[:SHOWN]]
    more = len(findings) - len(lines)
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])
