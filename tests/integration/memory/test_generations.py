"""Who owns the counters, with the locks of a real server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from memdeck_common.clock import SystemClock
from memdeck_common.settings import Database as Settings
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.infra.postgres.dedicated import APPLICATION, connecting
from memdeck_daemon.infra.postgres.pool import open_pool
from memdeck_daemon.infra.tasks import Tasks
from memdeck_daemon.memory.generations import Generations, Standing
from memdeck_daemon.memory.model import Identifier, Identifiers
from memdeck_daemon.memory.store import counters
from tests.support.waiting import eventually

ALICE = Identifier("user", "alice")
LINGER = 0.1
SOON = 0.5
"""Seconds: a newcomer calls, it does not wait for the next look."""
HOLD = 4_711
BLOCK_COMMIT = f"""
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock({HOLD}); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON memory.identifiers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold();
"""


@dataclass(slots=True)
class Daemon:
    """One daemon's generations and its pool."""

    generations: Generations
    database: Database
    stop: Callable[[], Awaitable[None]]

    async def write(self) -> None:
        """Change what belongs to Alice."""
        async with self.generations.writing() as write:
            write.touched(await counters.bump(write.connection, [(Identifiers(user="alice"), 1)]))

    async def stamp(self) -> tuple[int, ...] | None:
        """The stamp of Alice, as a search gets it."""
        return self.generations.current((ALICE,)) or await self.generations.read((ALICE,))

    async def generation(self) -> int | None:
        """Its counter."""
        stamp = await self.stamp()
        return None if stamp is None else stamp[1]

    async def becomes(self, standing: Standing, within: float = 10.0) -> None:
        await eventually(lambda: self.generations.standing == standing, timeout=within, what=standing)

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Rows of a statement of the test's own."""
        return list(await self.database.fetch(query, *arguments))


Make = Callable[..., Awaitable[Daemon]]


@pytest_asyncio.fixture(loop_scope="session")
async def make(dsn: str) -> AsyncIterator[Make]:
    """Starts daemons on one database; `locked=False`: one that has lost its lock for good."""
    async with AsyncExitStack() as every:

        async def start(*, locked: bool = True) -> Daemon:
            stack = await every.enter_async_context(AsyncExitStack())
            settings = Settings(pool_min=1, pool_max=4)
            pool = await open_pool(dsn, settings)
            stack.push_async_callback(pool.close)
            database = Database(pool, acquire_timeout=5)
            connect = connecting(lambda: dsn, settings) if locked else None
            generations = Generations(database, SystemClock(), connect, linger=LINGER)
            tasks = await stack.enter_async_context(Tasks(asyncio.Event()))
            tasks.start("generations", generations.run())
            return Daemon(generations, database, stack.aclose)

        yield start


@pytest_asyncio.fixture(loop_scope="session")
async def owner(make: Make) -> Daemon:
    """A daemon that owns the counters."""
    one = await make()
    await one.becomes("sole")
    return one


async def test_a_newcomer_shares_at_once_and_leaves_the_owner_alone_again(owner: Daemon, make: Make) -> None:
    """Each sees what the other has committed, whoever owns."""
    await owner.write()
    assert 1 == await owner.generation()
    other = await make()
    await other.becomes("company", SOON)
    assert "company" == owner.generations.standing
    await other.write()
    assert [2, 2] == [await owner.generation(), await other.generation()]
    await owner.write()
    assert [3, 3] == [await owner.generation(), await other.generation()]
    await other.stop()
    await owner.becomes("sole")
    assert 3 == await owner.generation()
    await owner.write()
    assert 4 == await owner.generation()


async def test_many_writes_do_not_keep_a_daemon_from_owning(make: Make) -> None:
    """They hold the writers' lock for a moment each."""
    one = await make()

    async def write() -> None:
        while one.generations.standing != "sole":
            await one.write()

    await asyncio.wait_for(asyncio.gather(*(write() for _ in range(3))), 15)
    assert (await one.rows("SELECT generation FROM memory.identifiers"))[0][0] == await one.generation()


async def test_a_write_without_the_lock_waits_until_the_owner_has_stepped_down(
    owner: Daemon, make: Make
) -> None:
    """So nothing that the owner answers from memory is older than it."""
    await owner.write()
    assert 1 == await owner.generation()
    stray = await make(locked=False)
    await stray.write()
    assert "company" == owner.generations.standing
    assert 2 == await owner.generation()


async def test_a_terminated_connection_ends_ownership_at_once(owner: Daemon) -> None:
    """The counters are read until the lock is held again."""
    await owner.write()
    await owner.stamp()
    assert owner.generations.current((ALICE,)) is not None
    ended = await owner.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 "
        "AND datname = current_database()",
        APPLICATION,
    )
    assert 1 == len(ended)
    await owner.becomes("apart", SOON)
    assert owner.generations.current((ALICE,)) is None
    assert 1 == await owner.generation()
    await owner.becomes("sole")


async def test_a_commit_that_is_cancelled_leaves_no_stamp_until_it_is_read(owner: Daemon) -> None:
    """While the commit hangs and after its client has given up; then the database tells how it ended."""
    await owner.write()
    await owner.stamp()
    async with owner.database.connection() as admin:
        await admin.execute(BLOCK_COMMIT)
        await admin.execute(f"SELECT pg_advisory_lock({HOLD})")
        try:
            write = asyncio.create_task(owner.write())
            await eventually(lambda: waits(owner))
            assert owner.generations.current((ALICE,)) is None
            assert await owner.stamp() is None
            write.cancel()
            await asyncio.gather(write, return_exceptions=True)
            assert owner.generations.current((ALICE,)) is None
        finally:
            await admin.execute(f"SELECT pg_advisory_unlock({HOLD})")
    told = (await owner.rows("SELECT generation FROM memory.identifiers"))[0][0]
    assert told == await owner.generation()
    assert owner.generations.current((ALICE,)) is not None


async def waits(daemon: Daemon) -> bool:
    return bool(
        await daemon.rows(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted", HOLD
        )
    )


@pytest.mark.parametrize("count", [1, 8, 9, 200])
async def test_generations_are_in_the_order_of_their_names(owner: Daemon, count: int) -> None:
    """By single look-ups or by one join; names without a row are 0."""
    names = [Identifier("agent", f"{count}-{number}") for number in range(count)]
    async with owner.generations.writing() as write:
        for name in names[: count // 2 + 1]:
            write.touched(await counters.bump(write.connection, [(Identifiers(agent=name.value), 1)]))
        write.touched(
            await counters.bump(write.connection, [(Identifiers(agent=names[count // 2].value), 1)])
        )
    async with owner.database.connection() as connection:
        lineage, found = await counters.generations(connection, names)
    assert [1] * (count // 2) + [2] + [0] * (count - count // 2 - 1) == found
    stamp = await owner.generations.read(names)
    assert stamp is not None
    assert found == list(stamp[1:])
    assert [[lineage]] == [list(row) for row in await owner.rows("SELECT id FROM memory.lineage")]
