"""Every arm of a search has no more time than its request."""

import asyncio
from typing import Any

import pytest

from memdeck_common.errors import StoreUnavailable
from memdeck_daemon.infra.resilience import deadline
from tests.integration.memory.driver import MakeMemories

ALICE = {"user_id": "alice"}
SOON = 2.0
"""Seconds: far more than the requests below have, far less than a statement may take."""


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(ALICE, id="all of one owner"),
        pytest.param({"AND": [ALICE, {"created_at": {"gte": "2000-01-01"}}]}, id="filter of one owner"),
        pytest.param({"agent_id": "ops"}, id="candidates"),
        pytest.param({"OR": [ALICE, {"user_id": "bob"}]}, id="candidates of several"),
    ],
)
async def test_a_database_that_hangs_is_given_up_with_the_request(
    make_memories: MakeMemories, where: dict[str, Any]
) -> None:
    """Although the statement could go on; connection and search are good for the next one."""
    memories = await make_memories()
    await memories.add("Alice drinks tea", user="alice", agent="ops")
    async with memories.database.transaction() as blocker:
        await blocker.execute("LOCK TABLE memory.memories IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(SOON):
            with deadline.within(0.2), pytest.raises(StoreUnavailable):
                await memories.search("tea", where)
    assert ["Alice drinks tea"] == await memories.texts("tea", where)
