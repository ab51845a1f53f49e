"""The closed loop: so many clients, each of which sends its next request when the last one was answered.

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
    unsent: int = 0
    """Requests that the time limit or a server that is gone left over."""

    def merge(self, other: "Outcome") -> None:
        """Take in another phase of the same kind."""
        self.latencies += other.latencies
        self.errors += other.errors
        self.seconds += other.seconds
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
        self.outcome = Outcome()

    async def client(self) -> None:
        """Ask, wait, ask again."""
        clock = time.perf_counter
        while clock() < self._deadline and self._failures_in_a_row < GIVE_UP:
            body = next(self._bodies, None)
            if body is None:
                return
            self.sent += 1
            began = clock()
            wrong = await self._ask(body, sample=self.sent % SAMPLED == 1)
            if wrong:
                self.outcome.errors[wrong] += 1
                self._failures_in_a_row += 1
            else:
                self.outcome.latencies.append((clock() - began) * 1e3)
                self._failures_in_a_row = 0

    async def _ask(self, body: bytes, *, sample: bool) -> str:
        try:
            async with self._session.post(self._url, data=body) as response:
                answer = await response.read()
                if response.status != 200:
                    return f"HTTP {response.status}: {detail_of(answer)}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__
        if self._operation.mark not in answer or sample:
            return self._operation.check(answer)
        return ""
