"""The closed loop and the open one.

Closed: so many clients, each of which sends its next request when the last one was answered. Open: so many requests a
second whatever becomes of them, each timed from the moment at which it was due, so that a server that stalls is charged
for the requests that it kept waiting.

Owns the clock, the counting and the check of every answer. It shares the machine with what it measures, so bodies come
encoded, connections stay open, and only every fiftieth answer is decoded; of the others, status and a mark that an answer
with content always has are checked. What failed is counted by reason and never enters a percentile; what an answer had to
do without is counted too.
"""

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import quote

import msgspec

from bench.line import Line

SAMPLED: Final = 50
"""Every so many answers one is decoded and looked at."""
GIVE_UP: Final = 100
"""Failures in a row after which a phase ends: the server is gone, and the rest would only fail as well."""
MOST_UNDER_WAY: Final = 2_000
"""Requests of the open loop that wait for an answer; a server that is further behind will not catch up."""
SCORE: Final = b'"score"'
HIT: Final = b"\r\nmemdeck-cache: hit\r\n"
DEGRADED: Final = b"\r\nmemdeck-degraded:"
DETAIL: Final = 120

Check = Callable[[bytes], str]
"""What is wrong with a body, in words; empty when nothing is."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A kind of request: where it goes, what every good answer holds, and how a sample is judged."""

    name: str
    path: str
    mark: bytes
    check: Check


@dataclass(slots=True)
class Outcome:
    """What came of one phase. Latencies are in ms, of answers that were right."""

    latencies: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    hits: int = 0
    """Right answers that the server had kept, as `Memdeck-Cache` says."""
    unsent: int = 0
    """Requests that the time limit, or a server that is gone or too far behind, left over."""
    degraded: Counter[str] = field(default_factory=Counter)
    """Right answers by what they had to do without, as `Memdeck-Degraded` says."""

    def merge(self, other: "Outcome") -> None:
        """Take in another phase of the same kind."""
        self.latencies += other.latencies
        self.errors += other.errors
        self.seconds += other.seconds
        self.hits += other.hits
        self.unsent += other.unsent
        self.degraded += other.degraded

    def noted(self, head: bytes) -> None:
        """What the head of a right answer says of how it was made."""
        lower = head.lower()
        self.hits += HIT in lower
        if (place := lower.find(DEGRADED)) >= 0:
            place += len(DEGRADED)
            if without := lower[place : lower.index(b"\r", place)].strip():
                self.degraded[without.decode()] += 1

    @property
    def rate(self) -> float:
        """Right answers per second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    @property
    def failed(self) -> int:
        """Requests that were answered wrongly or not at all."""
        return self.errors.total()


class _Added(msgspec.Struct):
    id: str
    memory: str
    event: str


class _Found(msgspec.Struct):
    id: str
    memory: str
    score: float


class _AddAnswer(msgspec.Struct):
    results: list[_Added]


class _SearchAnswer(msgspec.Struct):
    results: list[_Found]


def detail_of(body: bytes) -> str:
    """What an error body says: its `detail`, because the rest differs from request to request."""
    try:
        said = str(msgspec.json.decode(body)["detail"])
    except (msgspec.DecodeError, LookupError, TypeError):
        said = body.decode(errors="replace")
    return said[:DETAIL]


def check_add(body: bytes) -> str:
    """An add answers with the one memory that it stored."""
    try:
        results = msgspec.json.decode(body, type=_AddAnswer).results
    except msgspec.DecodeError as error:
        return f"not an add's answer: {error}"
    return "" if len(results) == 1 and results[0].event == "ADD" and results[0].memory else "stored no memory"


def check_search(body: bytes) -> str:
    """A search finds something, the best first."""
    return check_any(body) or ("" if SCORE in body else "found nothing")


def check_any(body: bytes) -> str:
    """What a search finds, if anything, comes with the best first."""
    try:
        scores = [found.score for found in msgspec.json.decode(body, type=_SearchAnswer).results]
    except msgspec.DecodeError as error:
        return f"not a search's answer: {error}"
    return "" if scores == sorted(scores, reverse=True) else "the scores do not descend"


ADD: Final = Operation("add", "/memories", b'"ADD"', check_add)
UNIQUE: Final = Operation("search, unique", "/search", SCORE, check_search)
REPEATED: Final = Operation("search, repeated", "/search", SCORE, check_search)
MIXED: Final = Operation("search, 80/20", "/search", SCORE, check_search)
"""Of ten questions eight come again and again, two are new."""
PACED: Final = Operation("search, 80/20, paced", "/search", SCORE, check_search)
"""The same in the open loop."""
ANY: Final = Operation("search", "/search", b'"results"', check_any)
"""A question of which nobody knows whether its user has an answer."""


class Driver:
    """The clients of one server. Use as an async context manager."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._free: list[Line] = []
        """Those that nobody uses; their connections are made as they are needed and kept."""

    async def __aenter__(self) -> Self:
        """Nothing is opened yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        for line in self._free:
            line.close()

    @contextlib.contextmanager
    def line(self) -> Iterator[Line]:
        """One that nobody else uses meanwhile."""
        line = self._free.pop() if self._free else Line(self._url, self._key)
        try:
            yield line
        finally:
            self._free.append(line)

    async def run(
        self, operation: Operation, bodies: Sequence[bytes], *, clients: int, limit: float = math.inf
    ) -> Outcome:
        """The closed loop: send all bodies, each once, in order, for at most `limit` seconds."""
        began = time.perf_counter()
        phase = _Phase(operation, iter(bodies), began + limit)
        await asyncio.gather(*(self._client(phase) for _ in range(min(clients, len(bodies)))))
        return phase.ended(began, len(bodies))

    async def paced(
        self,
        operation: Operation,
        bodies: Sequence[bytes],
        *,
        rate: float,
        limit: float = math.inf,
        connections: int = MOST_UNDER_WAY,
        most: int = MOST_UNDER_WAY,
    ) -> Outcome:
        """The open loop: send all bodies, each once, in order, `rate` a second, for at most `limit` seconds.

        What finds none of the `connections` free waits for one; that it waits is part of its latency. It ends early when
        `most` are under way, those that wait included.
        """
        began = time.perf_counter()
        phase, places = _Phase(operation, iter(bodies), began + limit), asyncio.Semaphore(connections)
        async with asyncio.TaskGroup() as group:
            for number in range(len(bodies)):
                due = began + number / rate
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                if phase.over or phase.under_way >= most:
                    break
                phase.under_way += 1
                group.create_task(self._due(phase, due, places))
        return phase.ended(began, len(bodies))

    async def _client(self, phase: "_Phase") -> None:
        """Ask, wait, ask again."""
        with self.line() as line:
            while not phase.over and await phase.one(line, time.perf_counter()):
                pass

    async def _due(self, phase: "_Phase", due: float, places: asyncio.Semaphore) -> None:
        async with places:
            # Those that waited for a connection to a server that is gone would fail one after the other.
            if not phase.gone:
                with self.line() as line:
                    await phase.one(line, due)
        phase.under_way -= 1

    async def waiting(self) -> int:
        """Memories that wait for their vector of a remote embedder."""
        with self.line() as line:
            _, _, body = await line.call("GET", "/ops/spaces")
        return sum(space["waiting"] for space in msgspec.json.decode(body)["spaces"])

    async def forget(self, users: Sequence[str]) -> str:
        """Delete the memories of these users; what went wrong first, in words, or nothing."""
        for user in users:
            try:
                with self.line() as line:
                    status, _, _ = await line.call("DELETE", f"/memories?user_id={quote(user, safe='')}")
            except OSError as error:
                return f"{type(error).__name__} on deleting the memories of {user}"
            if status != 200:
                return f"HTTP {status} on deleting the memories of {user}"
        return ""


class _Phase:
    """What the clients of one phase share."""

    def __init__(self, operation: Operation, bodies: Iterator[bytes], deadline: float) -> None:
        self._operation, self._bodies, self._deadline = operation, bodies, deadline
        self._failures_in_a_row = 0
        self._sent = 0
        self.under_way = 0
        """Requests of the open loop, those included that wait for a connection."""
        self._outcome = Outcome()

    @property
    def over(self) -> bool:
        """Whether no more requests are to be sent."""
        return time.perf_counter() >= self._deadline or self.gone

    @property
    def gone(self) -> bool:
        """Whether the server answers nothing any more."""
        return self._failures_in_a_row >= GIVE_UP

    async def one(self, line: Line, due: float) -> bool:
        """Send the next request, which is timed from `due`; False when there is none."""
        body = next(self._bodies, None)
        if body is None:
            return False
        self._sent += 1
        wrong = await self._ask(line, body, sample=self._sent % SAMPLED == 1)
        if wrong:
            self._outcome.errors[wrong] += 1
            self._failures_in_a_row += 1
        else:
            self._outcome.latencies.append((time.perf_counter() - due) * 1e3)
            self._failures_in_a_row = 0
        return True

    async def _ask(self, line: Line, body: bytes, *, sample: bool) -> str:
        try:
            status, head, answer = await line.call("POST", self._operation.path, body)
        except OSError as error:
            return type(error).__name__
        if status != 200:
            return f"HTTP {status}: {detail_of(answer)}"
        if (sample or self._operation.mark not in answer) and (wrong := self._operation.check(answer)):
            return wrong
        self._outcome.noted(head)
        return ""

    def ended(self, began: float, count: int) -> Outcome:
        """What came of it; `count` requests there were."""
        self._outcome.seconds = time.perf_counter() - began
        self._outcome.unsent = count - self._sent
        return self._outcome
