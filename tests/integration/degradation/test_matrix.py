"""Every set of parts is taken away for real, and each kind of route is answered as the table says."""

import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bench.faults.proxy import HEALTHY, REFUSE
from memdeck_daemon.api.degradation import (
    CONTEXT,
    DIRECT,
    KINDS,
    KNOWN,
    NEW,
    PARTS,
    READ,
    READY,
    SELF,
    WRITE,
    Down,
    Kind,
    kind_of,
    subsets,
)
from memdeck_daemon.api.http.routing import Route
from memdeck_daemon.api.http.server import ROUTES
from tests.api.serving import application_of
from tests.integration.degradation.site import Answer, Site, site_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALICE = {"user_id": "alice"}
SAID = {"messages": [{"role": "user", "content": "Bob plays the zither."}], "user_id": "bob", "infer": False}
QUERY = {"query": "What does Alice drink?", "filters": ALICE, "threshold": 0}
NUMBER = itertools.count()

Request = tuple[str, str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with site_of(tmp_path_factory.mktemp("stores")) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def memories(site: Site) -> tuple[str, str]:
    """The ids of a memory that is searched and of one that is changed."""
    found = []
    for user in ("alice", "carol"):
        said = [{"role": "user", "content": "Alice drinks tea."}]
        answer = await site.call("POST", "/memories", {"messages": said, "user_id": user, "infer": False})
        found.append(str(answer.body["results"][0]["id"]))
    for method, path, body in (*known(), *context()):
        assert 200 == (await site.call(method, path, body)).status
    return found[0], found[1]


def known() -> list[Request]:
    return [("POST", path, QUERY) for path in ("/search", "/v3/memories/search/")]


def context() -> list[Request]:
    return [("POST", "/v1/context", {**ALICE, "query": f"Does Alice like drink {next(NUMBER)}?"})]


def requests_of(kind: Kind, searched: str, changed: str) -> list[Request]:
    """Some of each kind."""
    new = {**QUERY, "query": f"Who likes question {next(NUMBER)}?"}
    return {
        KNOWN: known(),
        NEW: [("POST", "/search", new)],
        CONTEXT: context(),
        READ: [
            ("GET", path, None)
            for path in (f"/memories/{searched}", "/v1/memories/?user_id=alice", "/v1/stats/", "/ops/keys")
        ],
        WRITE: [
            ("POST", "/v3/memories/add/", SAID),
            ("PUT", f"/v1/memories/{changed}/", {"text": f"Carol counts to {next(NUMBER)}."}),
        ],
        DIRECT: [
            (
                "POST",
                "/v1/agents/scribe/append_trace",
                {"run_id": "r", "decision": "tea", "rationale": "it is cold"},
            ),
            ("POST", "/v1/feedback/", {"memory_id": searched, "feedback": "POSITIVE"}),
        ],
        SELF: [
            ("GET", path, None)
            for path in ("/ops/spool", "/v1/ping/", "/health/live", "/requests", "/openapi.json")
        ],
        READY: [("GET", "/health/ready", None)],
    }[kind]


def check(kind: Kind, down: Down, request: Request, answer: Answer) -> None:
    """An answer against the table."""
    expected = kind.answer(down)
    where = f"{request[0]} {request[1]} without {sorted(down)}: {answer.body!s:.200}"
    status = 200 if answer.status == 201 else answer.status
    assert expected.status == status, where
    assert set(expected.degraded) == answer.degraded, where
    assert answer.headers["Memdeck-Mode"], where
    assert (answer.status != 503) or kind is READY or "Retry-After" in answer.headers, where
    if expected.cache:
        assert expected.cache == answer.headers["Memdeck-Cache"], where
    if kind in {KNOWN, CONTEXT} and isinstance(answer.body, dict):
        assert set(expected.degraded) == set(answer.body["degraded"]), where


def in_order() -> list[Down]:
    """The parts that take long to come back go last: an embedder is left alone for a minute."""

    def order(down: Down) -> tuple[bool, ...]:
        return ("postgres" in down, "embedder" in down, *(part in down for part in PARTS))

    return sorted(subsets(), key=order)


@pytest.mark.parametrize(
    "down", in_order(), ids=lambda down: "+".join(part for part in PARTS if part in down) or "nothing"
)
async def test_what_is_answered_without(site: Site, memories: tuple[str, str], down: Down) -> None:
    """Each kind of route."""
    await site.take_away(down, REFUSE)
    for kind in KINDS:
        for request in requests_of(kind, *memories):
            check(kind, down, request, await site.call(*request))


async def test_no_route_fails_otherwise(site: Site, memories: tuple[str, str], tmp_path: Path) -> None:
    """All of them without any part: 503 only where the table says so, never another failure of ours."""
    await site.take_away(frozenset(PARTS), REFUSE)
    searched, _ = memories
    for route in (await application_of(tmp_path))[ROUTES]:
        if route.operation == "feed" or route.path in {"/reset", "/"}:
            continue
        answer = await site.call(*request_of(route, searched))
        kind = kind_of(route)
        where = f"{route.method} {route.path} ({kind.name}): {answer.status} {answer.body!s:.200}"
        if answer.status >= 500 and answer.status != 501:
            # Nothing was kept of a session that nobody asked for.
            assert 503 == answer.status == (503 if kind is CONTEXT else kind.alone.status), where
            assert kind is READY or answer.degraded == {"postgres"}, where


def request_of(route: Route, memory_id: str) -> Request:
    """A request of a route that gets as far as the database, where that can be told from the table."""
    values = {"memory_id": memory_id, "kind": "user", "name": "dora", "user_id": "dora", "agent_id": "scribe"}
    path = re.sub(r"\{(\w+)(?::[^/]*)?\}", lambda found: values.get(found[1], memory_id), route.path)
    if route.method in {"GET", "DELETE"}:
        scope = "?user_id=dora" if path in {"/memories", "/v1/memories/"} else ""
        return route.method, path + scope, None
    return route.method, path, route.example or {}


async def test_all_of_it_heals_by_itself(site: Site, memories: tuple[str, str]) -> None:
    """Soon after the database is back; what was acknowledged meanwhile is there."""
    await site.take_away(frozenset({"postgres"}), REFUSE)
    said = {**SAID, "user_id": "eve"}
    assert 202 == (await site.call("POST", "/v3/memories/add/", said)).status
    await site.set("postgres", HEALTHY)

    async def stored() -> bool:
        return len((await site.call("GET", "/v1/memories/?user_id=eve")).body) == 1

    await eventually(stored, what="the add that was acknowledged")
    await eventually(lambda: _normal(site), what="readiness")
    for request in known():
        answer = await site.call(*request)
        assert answer.headers["Memdeck-Cache"] in {"miss", "hit"}
    assert memories


async def _normal(site: Site) -> bool:
    return (await site.call("GET", "/health/ready")).status == 200


async def test_the_comparison_is_not_blind(site: Site, memories: tuple[str, str]) -> None:
    """The control: with everything there, each kind that needs the database differs from the table without it."""
    await site.take_away(frozenset(), REFUSE)
    for kind in set(KINDS) - {SELF}:
        for request in requests_of(kind, *memories):
            answer = await site.call(*request)
            with pytest.raises(AssertionError):
                check(kind, frozenset({"postgres"}), request, answer)
