"""Windows, traces and contexts over a real database."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memdeck_common.errors import Conflict, Forbidden, StoreUnavailable
from memdeck_daemon.memory.model import Caller, Identifiers, NewMessage
from memdeck_daemon.memory.sessions.model import Context, NewTrace, Trace, Wanted
from tests.integration.memory.driver import ADMIN, MakeMemories, Memories, caller, execute
from tests.support.waiting import eventually

DAY = timedelta(days=1)


async def context(wing: Memories, by: Caller = ADMIN, **given: Any) -> Context:
    """A context; identifiers by kind, the rest of `Wanted`."""
    names = {kind: given.pop(kind) for kind in ("user", "agent", "app", "run") if kind in given}
    options = {"query": None, "token_budget": 2_000, "window": 20, "memories": 20, "traces": 5, **given}
    return await wing.sessions.context(Wanted(Identifiers.of(**names), **options), by)


async def trace(wing: Memories, decision: str, by: Caller = ADMIN, **given: Any) -> Trace:
    """Append a trace."""
    names = {kind: given.pop(kind) for kind in ("user", "agent", "app", "run") if kind in given}
    return await wing.sessions.append(NewTrace(Identifiers.of(**names), decision=decision, **given), by)


def texts(found: Context, source: str) -> list[str]:
    return [piece.text for piece in found.pieces if piece.source == source]


async def test_adding_with_a_run_feeds_its_window(memories: Memories, user: str) -> None:
    """In the order of arrival, whatever times were given; the newest entries, and no others' runs."""
    for number in (3, 1, 2):
        born = datetime(2020, 1, number, tzinfo=UTC)
        await memories.add(NewMessage(f"turn {number}", "user", "Ada"), user=user, run="r1", created_at=born)
    await memories.add("elsewhere", user=user, run="r2")
    await memories.add("stranger", user=f"{user}-x", run="r1")
    found = await context(memories, user=user, run="r1", window=2, memories=0)
    assert ["Ada: turn 1", "Ada: turn 2"] == texts(found, "window")


async def test_a_run_of_several_owners_is_told_in_the_order_of_writing(memories: Memories, user: str) -> None:
    """Arrival numbers of different owners do not compare."""
    run = f"room-{user}"
    for number in range(4):
        await memories.add(f"a{number}", user=f"{user}-a", run=run)
    await memories.add("b0", user=f"{user}-b", run=run)
    await memories.add("a4", user=f"{user}-a", run=run)
    found = await context(memories, run=run, window=3, memories=0)
    assert ["user: a3", "user: b0", "user: a4"] == texts(found, "window")


async def test_what_is_forgotten_is_never_told_again(memories: Memories, user: str) -> None:
    """Neither what was deleted nor what has expired."""
    (gone, changed, _) = await memories.add("gone", "before", "stays", user=user, run="r")
    await memories.add("old", user=user, run="r", expiration_date=datetime(2020, 1, 1, tzinfo=UTC).date())
    assert 3 == len(texts(await context(memories, user=user, run="r"), "window"))
    await memories.service.delete(gone, ADMIN)
    await memories.change(changed, text="after")
    assert ["user: after", "user: stays"] == texts(await context(memories, user=user, run="r"), "window")


async def test_memories_come_from_beyond_the_session(memories: Memories, user: str) -> None:
    """What stands in the window is not told twice; what was said in other runs is found by the query."""
    await memories.add("The deploy key is kept on the blue USB stick", user=user, run="monday")
    await memories.add("Good morning, I want to deploy", user=user, run="tuesday")
    found = await context(memories, user=user, run="tuesday", query="Where is the deploy key?")
    assert ["user: Good morning, I want to deploy"] == texts(found, "window")
    (memory,) = texts(found, "memories")
    assert "blue USB stick" in memory
    assert "Where is the deploy key?" == found.query
    assert all(text in found.text for text in (*texts(found, "window"), memory))


async def test_without_a_query_the_last_words_are_searched_for(memories: Memories, user: str) -> None:
    """An agent that just goes on gets what belongs to it."""
    await memories.add("My violin is called Bruno", user=user, run="monday")
    await memories.add("Let us talk about my violin", user=user, run="tuesday")
    found = await context(memories, user=user, run="tuesday")
    assert ["Bruno" in text for text in texts(found, "memories")] == [True]


async def test_the_text_keeps_to_the_budget(memories: Memories, user: str) -> None:
    """Counted again as a whole, in three scripts."""
    for number in range(40):
        await memories.add(
            f"{number}: die Brücke über den Fluß, 川にかかる橋, мост через реку", user=user, run="r"
        )
    for budget in (1, 30, 100, 1_000):
        found = await context(memories, user=user, run="r", token_budget=budget, query="Brücke")
        count = memories.sessions._counter.count_now([found.text])[0]
        assert count <= found.tokens <= budget


async def test_traces_are_told_newest_first(memories: Memories, user: str) -> None:
    """Replay traces of the scope; telemetry is not for prompts, and what is over is not told."""
    now = datetime.now(UTC)
    await trace(memories, "first", agent=user, run="r")
    await trace(memories, "second", agent=user, run="r", rationale="because", outcome="done")
    await trace(memories, "noise", agent=user, run="r", kind="telemetry")
    await trace(memories, "over", agent=user, run="r", created_at=now - 91 * DAY)
    await trace(memories, "elsewhere", agent=f"{user}-x", run="r")
    told = texts(await context(memories, agent=user, run="r"), "traces")
    assert ["decided: second; because: because; outcome: done", "decided: first"] == [t[13:] for t in told]


async def test_a_trace_is_kept_as_given(memories: Memories, user: str) -> None:
    """All of its fields; 90 days for replay, 30 for telemetry."""
    one = uuid.uuid4()
    kept = await trace(
        memories, "d", agent=user, user="u", event="e", reward=0.5, memory_ids=(one,), metadata={"a": 1}
    )
    assert ("e", "d", None, None, 0.5, (one,), {"a": 1}) == (
        kept.event, kept.decision, kept.rationale, kept.outcome, kept.reward, kept.memory_ids, kept.metadata,
    )  # fmt: skip
    assert Identifiers(user="u", agent=user) == kept.identifiers
    assert 90 * DAY == kept.expires_at - kept.created_at
    brief = await trace(memories, "d", agent=user, kind="telemetry")
    assert 30 * DAY == brief.expires_at - brief.created_at


async def test_the_purge_ends_what_is_over(make_memories: MakeMemories) -> None:
    """And nothing else."""
    memories = await make_memories(background=())
    now = datetime.now(UTC)
    await trace(memories, "old replay", agent="a", created_at=now - 91 * DAY)
    await trace(memories, "old telemetry", agent="a", kind="telemetry", created_at=now - 31 * DAY)
    await trace(memories, "replay", agent="a", created_at=now - 89 * DAY)
    await trace(memories, "telemetry", agent="a", kind="telemetry", created_at=now - 29 * DAY)
    assert 2 == await memories.sessions.purge()
    rows = await memories.rows("SELECT decision FROM memory.traces ORDER BY decision")
    assert ["replay", "telemetry"] == [row["decision"] for row in rows]


async def test_a_repeated_trace_is_kept_once(memories: Memories, user: str) -> None:
    """By its idempotency key, which belongs to the caller."""
    first = await trace(memories, "go", agent=user, idempotency_key="k1")
    assert first == await trace(memories, "go", agent=user, idempotency_key="k1")
    assert first != await trace(memories, "go", agent=user, idempotency_key="k1", by=caller("other"))
    with pytest.raises(Conflict):
        await trace(memories, "stop", agent=user, idempotency_key="k1")


async def test_pins_hold(memories: Memories, user: str) -> None:
    """Outside its pins a caller neither appends nor is told anything."""
    await memories.add("secret", user=user, agent="bot", run="r")
    pinned = caller("w", users=("w7_*",))
    by_agent = caller("b", agents=("bot",))
    for names in ({"user": user}, {"run": "r"}, {"agent": "bot"}):
        with pytest.raises(Forbidden):
            await context(memories, by=pinned, **names)
    with pytest.raises(Forbidden):
        await trace(memories, "x", by=pinned, agent="bot", user=user)
    await memories.add("of another bot", user=user, agent="other", run="r")
    told = texts(await context(memories, by=by_agent, user=user, agent="bot", run="r"), "window")
    assert ["user: secret"] == told


async def test_without_postgres_a_window_is_told_as_it_was_kept(
    make_memories: MakeMemories, dsn: str, cluster: Any
) -> None:
    """And the answer says so; where nothing was kept there is no answer."""
    memories = await make_memories()
    await memories.add("first", "second", user="ada", run="r")
    known = await context(memories, user="ada", run="r")
    name = dsn.partition("?")[0].rpartition("/")[2]
    await execute(cluster.dsn, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await execute(
        cluster.dsn,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",  # noqa: S608 - our name
    )
    try:
        found = await context(memories, user="ada", run="r")
        assert texts(known, "window") == texts(found, "window")
        assert {"window", "memories", "traces"} == set(found.degraded)
        with pytest.raises(StoreUnavailable):
            await context(memories, user="bob", run="r", query="x")
    finally:
        await execute(cluster.dsn, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


async def test_the_index_is_rebuilt_on_demand(make_memories: MakeMemories) -> None:
    """By the task that writes it; afterwards it holds every memory again."""
    memories = await make_memories(background=("writer",))
    await memories.add("violin", "cello", user="ada")
    projection = memories.projection
    await projection._prepare()
    before = await projection.shown()
    assert (2, 2, 0, True, 1) == (
        before.holds,
        before.memories,
        before.lag,
        before.complete,
        before.rebuilds,
    )
    projection.rebuild_soon()
    assert "rebuilding" == (await projection.shown()).state
    await projection._follow()
    await projection._prepare()
    after = await projection.shown()
    assert (2, True, 2) == (after.holds, after.complete, after.rebuilds)


async def test_a_new_session_warms_its_user(make_memories: MakeMemories) -> None:
    """The first memory of a new run makes the user's memories hot before anything is searched; later ones do not."""
    writer = await make_memories(background=("writer",))
    await writer.add("The violin is called Bruno", user="ada", run="old")
    await writer.add("No session", user="bob")
    memories = await make_memories(background=("writer", "warming"), name="lexical:second")
    hot = memories.service._recall.hot
    await memories.add("turn 2", user="ada", run="old")
    await memories.add("No session either", user="bob")
    assert 0 == hot.nbytes
    await memories.add("Hello again", user="ada", run="new")
    await eventually(lambda: hot.nbytes > 0, what="a hot block")
    assert 3 == len((await memories.search("violin", {"user_id": "ada"})).hits)
