"""Embedding spaces over a real database and an embedder that misbehaves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from memdeck_common.errors import BadRequest, ConfigurationError, Conflict
from memdeck_common.settings import Embedding
from memdeck_common.wire.spaces import NewSpace, Space
from tests.fakes.embedding_server import EmbeddingServer, serving
from tests.integration.memory.driver import ADMIN, EVERY_TASK, MakeMemories, Memories
from tests.support.waiting import eventually

PATIENT = 5.0
"""Seconds: a budget that is not missed."""
WITHOUT_FILLER = tuple(task for task in EVERY_TASK if task != "embedding")


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[EmbeddingServer]:
    async with serving() as one:
        yield one


def embedding(server: EmbeddingServer, **rest: Any) -> Embedding:
    return Embedding(**{"url": server.url, "model": "m", "query_budget": PATIENT, "timeout": 5.0, **rest})


async def space(memories: Memories, role: str) -> Space:
    return next(one for one in (await memories.desk.listed()).spaces if one.role == role)


async def vectors(memories: Memories, space_id: int) -> list[Any]:
    """Everything that a space holds."""
    rows = await memories.rows(f"SELECT embedding FROM memory.vectors_{space_id}")  # noqa: S608 - an integer
    return [row["embedding"] for row in rows]


async def filled(memories: Memories, role: str = "primary", parked: int = 0) -> Space:
    """The space once nothing waits for it any more."""

    async def looked() -> Space:
        found = await space(memories, role)
        assert found.filled_at
        assert (0, parked, found.memories) == (found.waiting, found.parked, found.embedded + found.parked)
        return found

    return await eventually(looked, what=f"the {role} space is filled")


async def test_without_an_embedder_nothing_is_queued(make_memories: MakeMemories) -> None:
    """No trigger, no second space, no remark."""
    memories = await make_memories()
    await memories.add("Alice likes cheese", user="u")
    found = await memories.search("cheese", {"user_id": "u"})
    assert ((), 1, 0, 0) == (
        found.degraded,
        len((await memories.desk.listed()).spaces),
        await memories.value("SELECT count(*) FROM memory.embedding_queue"),
        await memories.value("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'memory.vectors_1'::regclass"),
    )


async def test_memories_of_before_and_after_are_embedded(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """And searched in the primary space, by owner and by run."""
    before = await make_memories()
    await before.add("Alice likes old cheese", "Bob has a dog", user="u")
    memories = await make_memories(embedding=embedding(server))
    await memories.add("Carol plays the zither", user="u", run="r")
    found = await filled(memories)
    assert (3, 100.0, 64) == (found.embedded, found.percent, found.dimensions)
    for where in ({"user_id": "u"}, {"run_id": "r"}):
        answer = await memories.search("zither", where)
        assert "Carol plays the zither" == answer.hits[0].memory.text
        assert "embedder" not in answer.degraded
        assert "embed query remotely" in [stage.name for stage in answer.stages]


async def test_adds_do_not_wait_for_an_embedder_that_is_down(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """They are searchable at once; the queue drains when it is back."""
    memories = await make_memories(embedding=embedding(server))
    server.trouble = "error"
    await asyncio.gather(*(memories.add(f"fact number {n}", user="u") for n in range(60)))
    answer = await memories.search("fact number 7", {"user_id": "u"})
    assert ("fact number 7", ("embedder",)) == (answer.hits[0].memory.text, answer.degraded)
    assert 60 == (await space(memories, "primary")).waiting
    server.heal()
    assert 60 == (await filled(memories)).embedded


async def test_a_missed_budget_is_marked_and_the_vector_kept(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """The next search of the same text is answered in the primary space."""
    memories = await make_memories(embedding=embedding(server, query_budget=0.05))
    await memories.add("Alice likes cheese", user="u")
    await filled(memories)
    server.stall()
    assert ("embedder",) == (await memories.search("cheese", {"user_id": "u"})).degraded
    server.heal()

    async def marked() -> bool:
        return not (await memories.search("cheese", {"user_id": "u"})).degraded

    await eventually(marked)
    asked = len(server.requests)
    await memories.search("cheese", {"user_id": "u"})
    assert asked == len(server.requests)


async def test_changed_and_deleted_memories_take_their_vectors_along(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """A new text is embedded anew; what is forgotten leaves no vector; what is brought back gets one again."""
    memories = await make_memories(embedding=embedding(server))
    kept, gone = await memories.add("Alice likes cheese", "Bob has a dog", user="u")
    await filled(memories)
    await memories.change(kept, text="Alice likes trumpets")
    found = await filled(memories)
    assert "Alice likes trumpets" in server.texts
    assert "Alice likes trumpets" == (await memories.search("trumpets", {"user_id": "u"})).hits[0].memory.text
    receipt = await memories.delete_scope({"user_id": "u"})
    assert [] == await vectors(memories, found.id)
    await memories.service.undo_event(receipt.id, ADMIN)
    assert {kept, gone} == {memory.id for memory in await memories.page({"user_id": "u"})}
    assert 2 == (await filled(memories)).embedded


async def test_a_text_changed_while_it_is_embedded_is_embedded_again(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """The vector of the old text is not stored."""
    memories = await make_memories(embedding=embedding(server))
    server.stall()
    (memory_id,) = await memories.add("Alice likes cheese", user="u")
    await eventually(lambda: "Alice likes cheese" in server.texts)
    await memories.change(memory_id, text="Alice likes trumpets")
    server.heal()
    found = await filled(memories)
    (stored,) = await vectors(memories, found.id)
    assert server.vector("Alice likes trumpets", 64, "m") @ stored == pytest.approx(1.0, abs=1e-2)


async def test_poison_texts_are_parked_with_their_reason(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """The others of their batch are embedded; the local space finds them nevertheless."""
    server.poison = "arsenic"
    memories = await make_memories(embedding=embedding(server, batch=8))
    await memories.add(*(f"fact number {n}" for n in range(20)), "tea with arsenic", user="u")
    found = await filled(memories, parked=1)
    reason = await memories.value("SELECT parked FROM memory.embedding_queue")
    assert (20, 100.0) == (found.embedded, found.percent)
    assert "this text cannot be embedded" in reason
    assert "tea with arsenic" == (await memories.search("arsenic tea", {"user_id": "u"})).hits[0].memory.text


@pytest.mark.parametrize("trouble", ["nan", "zero", "dimensions", "empty", "garbage", "key", "busy"])
async def test_bad_answers_are_never_stored(
    make_memories: MakeMemories, server: EmbeddingServer, trouble: Any
) -> None:
    """Searches go on and are marked; when the embedder is well again, everything is as it should be."""
    memories = await make_memories(embedding=embedding(server))
    server.trouble = trouble
    await memories.add("Alice likes cheese", user="u")
    await eventually(lambda: "Alice likes cheese" in server.texts)
    answer = await memories.search("cheese", {"user_id": "u"})
    found = await space(memories, "primary")
    assert (("embedder",), 0, 0) == (answer.degraded, found.embedded, found.parked)
    assert await memories.value("SELECT count(*) FROM memory.embedding_queue")


async def test_other_dimensions_than_set_end_the_start_with_a_sentence(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """Nothing was made."""
    with pytest.raises(
        ConfigurationError, match=r"64 dimensions for m, not 65: set MEMDECK_EMBEDDING_DIMS=64"
    ):
        await make_memories(embedding=embedding(server, dims=65))
    assert 1 == len((await (await make_memories()).desk.listed()).spaces)


async def test_too_many_dimensions_name_the_setting(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """Postgres could hold them in another form only."""
    server.dimensions = 4096
    with pytest.raises(ConfigurationError, match="MEMDECK_EMBEDDING_DIMS"):
        await make_memories(embedding=embedding(server))


async def test_an_embedder_that_is_away_at_the_start_is_believed_its_dimensions(
    make_memories: MakeMemories,
) -> None:
    """Where they are set, its space is made at once."""
    known = Embedding(url="http://127.0.0.1:9/v1", model="m", dims=32)
    memories = await make_memories(embedding=known)
    assert 32 == (await space(memories, "primary")).dimensions


async def test_an_embedder_of_unknown_dimensions_is_waited_for(
    make_memories: MakeMemories, server: EmbeddingServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The local space answers and says so; when the embedder tells its dimensions, everything goes on as configured."""
    server.trouble = "error"
    memories = await make_memories(embedding=embedding(server))
    spaces, shown = memories.desk.spaces, memories.filler.look
    await memories.add("Alice likes cheese", user="u")
    answer = await memories.search("cheese", {"user_id": "u"})
    assert ("Alice likes cheese", ("embedder",)) == (answer.hits[0].memory.text, answer.degraded)
    assert ["local"] == [one.role for one in (await memories.desk.listed()).spaces]
    assert ("warn", "no answer") == ((service := await shown()) and (service.state, service.note))
    await eventually(lambda: spaces.modes.current == "reduced-precision")
    assert (
        1 == sum("cannot be used yet" in record.message for record in caplog.records) < len(server.requests)
    )
    server.heal()
    await eventually(lambda: spaces.primary is not None)
    assert (1, 64) == ((found := await filled(memories)).embedded, found.dimensions)
    await eventually(lambda: spaces.modes.current == "normal", what="the mode to be left")
    assert () == (await memories.search("Alice cheese", {"user_id": "u"})).degraded
    assert "ok" == ((service := await shown()) and service.state)


async def test_another_model_of_unknown_dimensions_leaves_the_space_that_there_is(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """Its embedder being away is no reason to search without the vectors that are there."""
    before = await make_memories(embedding=embedding(server))
    await before.add("Alice likes cheese", user="u")
    await filled(before)
    other = embedding(server, url="http://127.0.0.1:9/v1", model="other")
    memories = await make_memories(embedding=other)
    answer = await memories.search("cheese", {"user_id": "u"})
    assert "m" == (await space(memories, "primary")).model
    assert () == answer.degraded


async def test_the_model_is_changed_while_searches_go_on(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """Add, compare, switch, drop; the old space comes back when it is added again."""
    server.widths = {"wide": 96}
    memories = await make_memories(embedding=embedding(server))
    facts = [
        f"{name} likes {thing}"
        for name in ("Alice", "Bob", "Carol")
        for thing in ("tea", "dogs", "chess", "rain")
    ]
    await memories.add(*facts, user="u")
    await filled(memories)
    added = await memories.desk.add(NewSpace(model="wide"))
    assert ("candidate", 96) == (added.role, added.dimensions)
    await filled(memories, "candidate")
    compared = await memories.desk.compare(12)
    assert (12, True) == (compared.queries, 0.0 <= (compared.overlap_at_10 or -1.0) <= 1.0)
    assert "primary" == (await memories.desk.switch(added.id, force=False)).role
    answer = await memories.search("chess Bob", {"user_id": "u"})
    assert ("Bob likes chess", ()) == (answer.hits[0].memory.text, answer.degraded)
    old = await space(memories, "retired")
    (late,) = await memories.add("Dora likes cake", user="u")
    again = await memories.desk.add(NewSpace(model="m"))
    back = await filled(memories, "candidate")
    assert (old.id, 13, 1) == (again.id, back.embedded, server.texts.count("Alice likes tea") - 1)
    await memories.desk.drop(again.id, force=False)
    fresh = await memories.desk.add(NewSpace(model="m"))
    assert fresh.id > added.id
    assert late in {memory.id for memory in await memories.page({"user_id": "u"})}


async def test_switching_early_is_refused_unless_forced(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """What is missing in the new space is found in the local one."""
    memories = await make_memories(embedding=embedding(server))
    await memories.add("Alice likes cheese", "Bob has a dog", user="u")
    await filled(memories)
    server.widths, server.poison = {"wide": 96}, "Alice"
    added = await memories.desk.add(NewSpace(model="wide"))
    server.trouble = "error"
    with pytest.raises(Conflict, match="does not hold all memories"):
        await memories.desk.switch(added.id, force=False)
    await memories.desk.switch(added.id, force=True)
    server.heal()
    for where in ({"user_id": "u"}, {"OR": [{"user_id": "u"}, {"user_id": "v"}]}):
        assert "Alice likes cheese" == (await memories.search("cheese", where)).hits[0].memory.text


async def test_what_cannot_be_done_with_spaces_is_refused(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """With a sentence, and without a trace."""
    memories = await make_memories(embedding=embedding(server))
    desk, primary = memories.desk, await space(memories, "primary")
    for refused in (
        desk.add(NewSpace(model="m")),
        desk.compare(5),
        desk.switch(primary.id, force=True),
        desk.drop(primary.id, force=False),
        desk.drop(1, force=True),
        desk.drop(77, force=True),
    ):
        with pytest.raises(Conflict):
            await refused
    server.trouble = "key"
    with pytest.raises(BadRequest, match="refuses the key"):
        await desk.add(NewSpace(model="other"))
    assert 2 == len((await desk.listed()).spaces)


async def test_dropping_the_primary_space_leaves_the_local_one(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """With force; nothing is queued any more."""
    memories = await make_memories(embedding=embedding(server))
    await memories.add("Alice likes cheese", user="u")
    found = await filled(memories)
    await memories.desk.drop(found.id, force=True)
    await memories.add("Bob likes cheese", user="u")
    answer = await memories.search("cheese", {"user_id": "u"})
    assert (2, ()) == (len(answer.hits), answer.degraded)
    assert 0 == await memories.value("SELECT count(*) FROM memory.embedding_queue")


async def test_a_key_goes_to_its_own_origin_only(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """A candidate elsewhere is asked without it."""
    server.key = "sk-own"
    memories = await make_memories(embedding=embedding(server, api_key="sk-own"))
    async with serving() as other:
        await memories.desk.add(NewSpace(model="x", url=other.url))
        await eventually(lambda: other.headers)
        assert not any("Authorization" in headers for headers in other.headers)
    assert all("Bearer sk-own" == headers["Authorization"] for headers in server.headers)


async def test_one_daemon_of_a_database_works_the_queue(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """The other one sees what came of it."""
    one = await make_memories(embedding=embedding(server), name="one")
    other = await make_memories(embedding=embedding(server), name="other")
    await one.add("Alice likes cheese", user="u")
    await other.add("Bob likes cheese", user="u")
    await filled(one)
    assert sorted(server.texts).count("Bob likes cheese") == 1
    assert () == (await other.search("cheese", {"user_id": "u"})).degraded


async def test_a_searched_owner_gets_its_new_vectors(
    make_memories: MakeMemories, server: EmbeddingServer
) -> None:
    """A hot block that was loaded before they were there looks for them."""
    memories = await make_memories(embedding=embedding(server), background=WITHOUT_FILLER)
    await memories.add("Alice likes cheese", user="u")
    local = (await memories.search("cheese", {"user_id": "u"})).hits[0].cosine
    filler = await make_memories(embedding=embedding(server))
    await filled(filler)

    async def changed() -> bool:
        return (await memories.search("cheese", {"user_id": "u"})).hits[0].cosine != local

    await eventually(changed)
