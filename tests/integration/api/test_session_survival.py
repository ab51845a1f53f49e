"""What a session holds lives through kill −9 of the daemon."""

import asyncio

from memdeck_common.client import Address, Client
from memdeck_common.wire.sessions import Context
from tests.support.daemon import DaemonFactory, RunningDaemon


async def context(daemon: RunningDaemon) -> Context:
    async with Client(Address(daemon.url, await asyncio.to_thread(lambda: daemon.key))) as client:
        return await client.context(user_id="ada", run_id="chat", query="What is the violin called?")


async def test_a_session_survives_a_kill(make_daemon: DaemonFactory) -> None:
    """Everything that was answered before is told after: the window in its order, memories, traces."""
    daemon: RunningDaemon = await asyncio.to_thread(make_daemon)
    async with Client(Address(daemon.url, await asyncio.to_thread(lambda: daemon.key))) as client:
        await client.add(
            [{"role": "user", "content": "The violin is called Bruno"}], user_id="ada", run_id="old"
        )
        for number in range(5):
            said = {"role": "user", "name": "Ada", "content": f"turn {number}"}
            await client.add([said], user_id="ada", run_id="chat")
        await client.append_trace("bot", decision="Order strings", user_id="ada", run_id="chat")
        before = await client.context(user_id="ada", run_id="chat", query="What is the violin called?")
        await asyncio.to_thread(daemon.kill)
    await asyncio.to_thread(daemon.start)
    after = await context(daemon)
    assert [f"Ada: turn {number}" for number in range(5)] == [
        part.text for part in after.parts if part.source == "window"
    ]
    assert {"window", "memories", "traces"} == {part.source for part in after.parts}
    assert (before.text, before.tokens, []) == (after.text, after.tokens, after.degraded)
