"""Scopes whose vectors are too many to be compared one by one."""

from dataclasses import replace

from tests.integration.memory.driver import Memories


async def test_a_scope_beyond_exact_search_is_searched_by_words_and_says_so(
    memories: Memories, user: str
) -> None:
    """It must neither take seconds nor pretend that it compared every vector."""
    await memories.add("the zebra crossed the road", "an animal with stripes", user=user, agent=user)
    service = memories.service
    recall = service._recall
    service._recall = replace(recall, most_exact=1)
    try:
        found = await memories.search("zebra", {"agent_id": user}, threshold=0.99)
    finally:
        service._recall = recall
    assert "dense" in found.degraded
    assert "the zebra crossed the road" == found.hits[0].memory.text
    assert "dense" not in (await memories.search("zebra", {"agent_id": user})).degraded
