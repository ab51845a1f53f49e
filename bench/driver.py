"""The closed loop and the open one.

Closed: so many clients, each of which sends its next request when the last one was answered. Open: so many requests a
second whatever becomes of them, each timed from the moment at which it was due, so that a server that stalls is charged
for the requests that it kept waiting.

Owns the connection, the clock and the check of every answer. It shares the machine with what it measures, so bodies come
encoded, connections stay open, and only every fiftieth answer is decoded; of the others, status and a mark that an answer
with content always has are checked. What failed is counted by reason and never enters a percentile.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import aiohttp
import msgspec

SAMPLED: Final = 50
"""Every so many answers one is decoded and looked at."""
GIVE_UP: Final = 100
"""Failures in a row after which a phase ends: the server is gone, and the rest would only fail as well."""
MOST_UNDER_WAY: Final = 2_000
"""Requests of the open loop that wait for an answer; a server that is further behind will not catch up."""
TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=5)
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
    """Requests that the time limit or a server that is gone left over."""

    def merge(self, other: "Outcome") -> None:
        """Take in another phase of the same kind."""
        self.latencies += other.latencies
        self.errors += other.errors
        self.seconds += other.seconds
        self.hits += other.hits
        self.unsent += other.unsent

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
    try:
        results = msgspec.json.decode(body, type=_SearchAnswer).results
    except msgspec.DecodeError as error:
        return f"not a search's answer: {error}"
    if not results:
        return "found nothing"
    scores = [found.score for found in results]
    return "" if scores == sorted(scores, reverse=True) else "the scores do not descend"


ADD: Final = Operation("add", "/memories", b'"ADD"', check_add)
UNIQUE: Final = Operation("search, unique", "/search", b'"score"', check_search)
REPEATED: Final = Operation("search, repeated", "/search", b'"score"', check_search)
MIXED: Final = Operation("search, 80/20", "/search", b'"score"', check_search)
"""Of ten questions eight come again and again, two are new."""
PACED: Final = Operation("search, 80/20, paced", "/search", b'"score"', check_search)
"""The same in the open loop."""


class Driver:
    """The clients of one server. Use as an async context manager."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if key:
            self._headers["X-API-Key"] = key
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        """Open the session; connections are made as they are needed and kept."""
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=TIMEOUT,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self._session.close()

    async def run(
        self, operation: Operation, bodies: Sequence[bytes], *, clients: int, limit: float
    ) -> Outcome:
        """Send all bodies, each once, in order, for at most `limit` seconds."""
        phase = _Phase(
            self._session, self.url + operation.path, operation, iter(bodies), time.perf_counter() + limit
        )
        began = time.perf_counter()
        await asyncio.gather(*(phase.client() for _ in range(min(clients, len(bodies)))))
        phase.outcome.seconds = time.perf_counter() - began
        phase.outcome.unsent = len(bodies) - phase.sent
        return phase.outcome

    async def paced(
        self, operation: Operation, bodies: Sequence[bytes], *, rate: float, limit: float
    ) -> Outcome:
        """Send all bodies, each once, in order, `rate` a second, for at most `limit` seconds."""
        began = time.perf_counter()
        phase = _Phase(self._session, self.url + operation.path, operation, iter(bodies), began + limit)
        async with asyncio.TaskGroup() as group:
            for number in range(len(bodies)):
                due = began + number / rate
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                if phase.over or phase.under_way >= MOST_UNDER_WAY:
                    break
                group.create_task(phase.one(due))
        phase.outcome.seconds = time.perf_counter() - began
        phase.outcome.unsent = len(bodies) - phase.sent
        return phase.outcome

    async def waiting(self) -> int:
        """Memories that wait for their vector of a remote embedder."""
        async with self._session.get(f"{self.url}/ops/spaces") as response:
            return sum(space["waiting"] for space in msgspec.json.decode(await response.read())["spaces"])

    async def forget(self, users: Sequence[str]) -> str:
        """Delete the memories of these users; what went wrong first, in words, or nothing."""
        for user in users:
            try:
                async with self._session.delete(f"{self.url}/memories", params={"user_id": user}) as response:
                    if response.status != 200:
                        return f"HTTP {response.status} on deleting the memories of {user}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                return f"{type(error).__name__} on deleting the memories of {user}"
        return ""


class _Phase:
    """What the clients of one phase share."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        operation: Operation,
        bodies: Iterator[bytes],
        deadline: float,
    ) -> None:
        self._session, self._url, self._operation = session, url, operation
        self._bodies, self._deadline = bodies, deadline
        self._failures_in_a_row = 0
        self.sent = 0
        self.under_way = 0
        self.outcome = Outcome()

    async def client(self) -> None:
        """Ask, wait, ask again."""
        while not self.over and await self.one(time.perf_counter()):
            pass

    @property
    def over(self) -> bool:
        """Whether no more requests are to be sent."""
        return time.perf_counter() >= self._deadline or self._failures_in_a_row >= GIVE_UP

    async def one(self, due: float) -> bool:
        """Send the next request, which is timed from `due`; False when there is none."""
        body = next(self._bodies, None)
        if body is None:
            return False
        self.sent += 1
        self.under_way += 1
        wrong = await self._ask(body, sample=self.sent % SAMPLED == 1)
        self.under_way -= 1
        if wrong:
            self.outcome.errors[wrong] += 1
            self._failures_in_a_row += 1
        else:
            self.outcome.latencies.append((time.perf_counter() - due) * 1e3)
            self._failures_in_a_row = 0
        return True

    async def _ask(self, body: bytes, *, sample: bool) -> str:
        try:
            async with self._session.post(self._url, data=body) as response:
                answer = await response.read()
                if response.status != 200:
                    return f"HTTP {response.status}: {detail_of(answer)}"
                self.outcome.hits += response.headers.get("Memdeck-Cache") == "hit"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__
        if self._operation.mark not in answer or sample:
            return self._operation.check(answer)
        return ""
