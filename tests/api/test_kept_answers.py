"""Search answers that are kept: whoever asks is checked first, and what may not be kept is not."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from memdeck_common.clock import SystemClock, SystemIdentity
from memdeck_common.errors import StoreUnavailable
from memdeck_daemon.api.answers import Answers
from memdeck_daemon.infra.caching.l1 import L1
from memdeck_daemon.infra.caching.tiered import Stamp, Tiered
from memdeck_daemon.memory.model import Found, Identifier
from tests.api.serving import Answer, Api, served_with, settings_of
from tests.fakes.clock import ManualClock
from tests.fakes.memory_service import FakeMemoryService

ASK = {"query": "tea", "filters": {"user_id": "alice"}, "threshold": 0}
DAY = 86_400.0


@dataclass(slots=True)
class Validity:
    """Counters by name, as a test sets them."""

    counters: dict[str, int] = field(default_factory=dict)
    known: bool = True
    readable: bool = True
    away: bool = False
    """The database does not answer."""
    contradiction: bool = False
    waiting: bool = False
    """A write that concerns all answers waits on the disk."""
    away_since: float = 0.0

    def current(self, names: Sequence[Identifier]) -> Stamp | None:
        """From memory, unless it has to be read."""
        return tuple(self.counters.get(str(name), 0) for name in names) if self.known else None

    async def read(self, names: Sequence[Identifier]) -> Stamp | None:
        """From the database."""
        if self.away:
            raise StoreUnavailable
        return tuple(self.counters.get(str(name), 0) for name in names) if self.readable else None

    def latest(self, names: Sequence[Identifier]) -> Stamp | None:
        """What was last known."""
        return tuple(self.counters.get(str(name), 0) for name in names)

    def since(self) -> float:
        """When it went away."""
        return self.away_since

    def contradicted(self, names: Sequence[Identifier], answer: bytes) -> bool:
        """Whether a write that waits says otherwise."""
        assert names
        assert answer.startswith((b"{", b"["))
        return self.contradiction

    def lacking(self, names: Sequence[Identifier], answer: bytes) -> bool:
        """Whether it lacks a write that waits."""
        assert names
        assert answer.startswith((b"{", b"["))
        return self.waiting


class CountingMemory(FakeMemoryService):
    """Counts searches, and answers degraded when told to."""

    searches = 0
    degraded: tuple[str, ...] = ()
    away: bool = False

    async def search(self, *arguments: Any, **rest: Any) -> Found:
        """As the fake does it."""
        self.searches += 1
        if self.away:
            raise StoreUnavailable
        return replace(await super().search(*arguments, **rest), degraded=self.degraded)


@dataclass(slots=True)
class Kept:
    """An API with answers that are kept."""

    api: Api
    memory: CountingMemory
    validity: Validity
    clock: ManualClock

    def cut(self) -> None:
        """The database goes away."""
        self.validity.known, self.validity.away = False, True
        self.memory.away, self.validity.away_since = True, self.clock.monotonic()

    async def ask(self, body: Any = None, *, path: str = "/search", key: str | None = None) -> Answer:
        return await self.api.call("POST", path, body or ASK, key=key)

    async def source(self, body: Any = None, **rest: Any) -> str | None:
        """Whether an answer was kept."""
        answer = await self.ask(body, **rest)
        assert 200 == answer.status, answer.body
        found: str | None = answer.headers.get("Memdeck-Cache")
        return found


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    clock, system = ManualClock(), SystemClock()
    memory, validity = CountingMemory(system, SystemIdentity(system)), Validity()
    tiers = Tiered(L1(1 << 20, 1e9, clock), None, "test:")
    answers = Answers(tiers, validity, clock, lambda: "ground", validity)
    async with served_with(settings_of(tmp_path), memory, answers=answers) as api:
        await api.add("Alice drinks tea.", user_id="alice")
        validity.away_since = clock.monotonic()
        yield Kept(api, memory, validity, clock)
    await tiers.close()


async def test_the_same_search_is_answered_from_memory(kept: Kept) -> None:
    """The very same body, until a counter changes."""
    first, again = await kept.ask(), await kept.ask()
    assert ("miss", "hit") == (first.headers["Memdeck-Cache"], again.headers["Memdeck-Cache"])
    assert first.body == again.body
    assert "application/json" == again.headers["Content-Type"]
    kept.validity.counters["user:alice"] = 1
    assert "miss" == await kept.source()
    assert 2 == kept.memory.searches


@pytest.mark.parametrize("known", [True, False])
async def test_it_is_the_question_that_counts_not_its_bytes(kept: Kept, known: bool) -> None:
    """White space and composed letters; counters by heart or read."""
    kept.validity.known = known
    assert "miss" == await kept.source({**ASK, "query": "cafe\u0301  noir"})
    assert "hit" == await kept.source({**ASK, "query": " caf\u00e9 noir"})
    assert "hit" == await kept.source({**ASK, "query": " caf\u00e9 noir"})
    assert "miss" == await kept.source({**ASK, "query": "caf\u00e9 Noir"})


async def test_a_pin_is_checked_on_every_request(kept: Kept) -> None:
    """What one may ask and is kept, another may not."""
    alice, bob = await kept.api.key(users=["alice"]), await kept.api.key(users=["bob"])
    assert "miss" == await kept.source()
    assert ["hit", "hit"] == [await kept.source(key=alice) for _ in range(2)]
    assert [403, 403] == [(await kept.ask(key=bob)).status for _ in range(2)]


async def test_a_revoked_key_gets_nothing(kept: Kept) -> None:
    """At once, although it has just been answered."""
    key = await kept.api.key(label="soon gone")
    assert ["miss", "hit"] == [await kept.source(key=key) for _ in range(2)]
    listed = await kept.api.call("GET", "/ops/keys")
    await kept.api.call("DELETE", f"/ops/keys/{listed.body['keys'][0]['id']}")
    assert 401 == (await kept.ask(key=key)).status


async def test_kept_answers_count_against_the_limit(kept: Kept) -> None:
    """And say how much is left."""
    key = await kept.api.key(rate_limit=2)
    answers = [await kept.ask(key=key) for _ in range(3)]
    assert [200, 200, 429] == [answer.status for answer in answers]
    assert ["1", "0"] == [answer.headers["X-RateLimit-Remaining"] for answer in answers[:2]]
    assert [("search", 200), ("search", 200), ("search", 429)] == kept.api.telemetry.observed[-3:]


async def test_explained_and_degraded_answers_are_not_kept(kept: Kept) -> None:
    """The ones hold timings, the others would outlive what was wrong."""
    assert [None, None] == [await kept.source({**ASK, "explain": True}) for _ in range(2)]
    kept.memory.degraded = ("dense",)
    for _ in range(2):
        answer = await kept.ask()
        assert ("miss", "dense") == (answer.headers["Memdeck-Cache"], answer.headers["Memdeck-Degraded"])
    kept.memory.degraded = ()
    assert ["miss", "hit"] == [await kept.source() for _ in range(2)]


@pytest.mark.parametrize("known", [True, False])
async def test_an_answer_that_lacks_an_acknowledged_write_is_not_given(kept: Kept, known: bool) -> None:
    """The counters know nothing of it yet: a new answer is made, which says that something waits."""
    kept.validity.known = known
    assert ["miss", "hit"] == [await kept.source() for _ in range(2)]
    kept.validity.waiting, kept.memory.degraded = True, ("spool",)
    for _ in range(2):
        answer = await kept.ask()
        assert ("spool", ["spool"]) == (answer.headers["Memdeck-Degraded"], answer.body["degraded"])
    kept.validity.waiting, kept.memory.degraded = False, ()
    assert "hit" == await kept.source()


async def test_a_name_without_a_stamp_is_not_kept(kept: Kept) -> None:
    """Its write is under way: the answer is made, each time."""
    kept.validity.known = kept.validity.readable = False
    assert [None, None] == [await kept.source() for _ in range(2)]
    assert 2 == kept.memory.searches


async def test_tomorrow_is_another_question(kept: Kept) -> None:
    """Memories expire by the day."""
    assert ["miss", "hit"] == [await kept.source() for _ in range(2)]
    kept.clock.advance(DAY)
    assert ["miss", "hit"] == [await kept.source() for _ in range(2)]


async def test_fields_and_older_addresses_have_answers_of_their_own(kept: Kept) -> None:
    """Where the shape is the same, the answer is shared."""
    whole, some = "/v3/memories/search/", {**ASK, "fields": ["memory"]}
    assert ["miss", "miss", "hit"] == [await kept.source(body, path=whole) for body in (ASK, some, some)]
    assert "miss" == await kept.source(path="/v2/memories/search/")
    assert "hit" == await kept.source(path="/v1/memories/search/")
    listed = await kept.ask(some, path="/v1/memories/search/")
    assert [{"id", "memory"}] == [set(row) for row in listed.body]


async def test_an_agent_is_part_of_the_question(kept: Kept) -> None:
    """It stands in the address, not in the body."""
    body = {"query": "tea"}
    paths = [f"/v1/agents/{name}/query_memory" for name in ("a", "b", "a")]
    assert ["miss", "miss", "hit"] == [await kept.source(body, path=path) for path in paths]


async def test_without_the_database_kept_answers_are_given_as_unverified(kept: Kept) -> None:
    """In header and body, byte for byte asked or not, in objects and in lists; never as fresh."""
    assert "miss" == await kept.source()
    assert "miss" == await kept.source(path="/v1/memories/search/")
    kept.cut()
    for body in (ASK, ASK, {**ASK, "query": " tea "}):
        answer = await kept.ask(body)
        assert (200, "unverified") == (answer.status, answer.headers["Memdeck-Cache"])
        assert ("postgres", ["postgres"]) == (answer.headers["Memdeck-Degraded"], answer.body["degraded"])
        assert ["Alice drinks tea."] == [hit["memory"] for hit in answer.body["results"]]
    listed = await kept.ask(path="/v1/memories/search/")
    assert ("postgres", 1) == (listed.headers["Memdeck-Degraded"], len(listed.body))


async def test_without_the_database_nothing_else_is_answered(kept: Kept) -> None:
    """503, when to come back, and what was missing."""
    await kept.ask()
    kept.cut()
    for body in ({**ASK, "query": "coffee"}, {**ASK, "explain": True}):
        answer = await kept.ask(body)
        assert (503, "store_unavailable") == (answer.status, answer.code)
        assert ("1", "postgres") == (answer.headers["Retry-After"], answer.headers["Memdeck-Degraded"])


@pytest.mark.parametrize("reason", ["newer", "contradiction", "old"])
async def test_an_answer_that_something_is_known_against_is_not_given(kept: Kept, reason: str) -> None:
    """A later write, one that waits in the spool, or its age when the database went away."""
    await kept.ask()
    if reason == "old":
        kept.clock.advance(2e9)
    kept.cut()
    if reason == "newer":
        kept.validity.counters["user:alice"] = 7
    kept.validity.contradiction = reason == "contradiction"
    assert 503 == (await kept.ask()).status


async def test_an_answer_does_not_age_while_the_database_is_away(kept: Kept) -> None:
    """Nothing can be committed meanwhile."""
    await kept.ask()
    kept.cut()
    kept.clock.advance(2e9 % DAY)
    assert "unverified" == await kept.source()


async def test_every_answer_says_what_it_was_made_without(kept: Kept) -> None:
    """Nothing, most of the time."""
    for method, path in (("GET", "/health"), ("GET", "/nowhere"), ("POST", "/search"), ("GET", "/ops/keys")):
        assert "" == (await kept.api.call(method, path, None)).headers["Memdeck-Degraded"]
