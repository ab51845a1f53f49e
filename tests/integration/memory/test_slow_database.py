"""Searches while the database is slow: what is at hand comes first, and the answer says so."""

import pytest

from memdeck_daemon.memory.recall import hotset
from tests.integration.memory.driver import ADMIN, MakeMemories, Memories

U = {"user_id": "u"}


async def slow_after_a_search(make_memories: MakeMemories) -> Memories:
    """A user of two memories, one of which was found; then the database becomes slow."""
    memories = await make_memories()
    modes = memories.desk.spaces.modes
    await memories.add("a zebra crossed", "a walrus sang", user="u")
    assert 1 == len((await memories.search("zebra", U, top_k=1)).hits)
    modes._slow.enter = 0.0
    modes.database("slow")
    return memories


async def test_memories_at_hand_come_before_the_database(
    make_memories: MakeMemories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were read of late; a question that they do not answer goes to the database, however slow."""
    monkeypatch.setattr(hotset, "KEPT", 1)  # an owner of more memories than are kept
    memories = await slow_after_a_search(make_memories)
    modes = memories.desk.spaces.modes
    at_hand = await memories.search("zebra or walrus", U)
    assert (["a zebra crossed"], ("history",)) == (
        [hit.memory.text for hit in at_hand.hits],
        at_hand.degraded,
    )
    assert "hydrate" not in {stage.name for stage in at_hand.stages}
    for where in ({"AND": [U, {"created_at": {"gte": "2000-01-01"}}]}, {"run_id": "nobody"}):
        assert "history" not in (await memories.search("walrus", where)).degraded
    (hit,) = at_hand.hits
    await memories.service.delete(hit.memory.id, ADMIN)
    after = await memories.search("zebra or walrus", U)
    assert ["a walrus sang"] == [hit.memory.text for hit in after.hits]
    assert "history" not in after.degraded
    modes._slow.leave = 0.0
    modes.database("well")
    assert "history" not in (await memories.search("walrus", U)).degraded


async def test_all_memories_of_a_small_owner_are_at_hand(make_memories: MakeMemories) -> None:
    memories = await slow_after_a_search(make_memories)
    at_hand = await memories.search("zebra or walrus", U)
    assert {"a zebra crossed", "a walrus sang"} == {hit.memory.text for hit in at_hand.hits}
    assert ("history",) == at_hand.degraded


async def test_larger_scopes_are_searched_by_words_while_the_dense_arm_is_slow(
    make_memories: MakeMemories,
) -> None:
    """And the answer says so."""
    memories = await make_memories()
    await memories.add("a zebra crossed", user="u", agent="a")
    recall, modes = memories.service._recall, memories.desk.spaces.modes
    recall.pace.less, modes._dense.enter = 0, 0.0
    modes.dense(slow=True)
    found = await memories.search("zebra", {"agent_id": "a"})
    assert (["a zebra crossed"], True) == (
        [hit.memory.text for hit in found.hits],
        "dense" in found.degraded,
    )
    modes._dense.leave = 0.0
    assert "dense" not in (await memories.search("zebra", {"agent_id": "a"})).degraded
