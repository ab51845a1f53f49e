"""The pool against a real server: what its connections know, and how it treats those that no longer answer."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import numpy as np
import pytest

from memdeck_common.settings import Database
from memdeck_daemon.infra.postgres import codecs
from memdeck_daemon.infra.postgres.cluster import EmbeddedCluster
from memdeck_daemon.infra.postgres.pool import CheckedPool, PoolUsage, RestCheck, open_pool

SETTINGS = Database(pool_min=2, pool_max=3, command_timeout=7)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[CheckedPool]:
    """A pool whose connections are checked each time."""
    admin = await asyncpg.connect(database)
    await admin.execute("create extension vector")
    await admin.close()
    made = await open_pool(database, SETTINGS, check=RestCheck(rested=0))
    yield made
    await made.close()


async def test_a_pool_is_warm_and_says_how_much_is_used(pool: CheckedPool) -> None:
    """`pool_min` connections are open before anybody asks."""
    assert PoolUsage.of(pool) == PoolUsage(in_use=0, size=2, maximum=3)
    async with pool.acquire(), pool.acquire(), pool.acquire():
        assert PoolUsage.of(pool) == PoolUsage(in_use=3, size=3, maximum=3)


async def test_sessions_are_set_up(pool: CheckedPool) -> None:
    """And stay so after the connection was given back."""
    names = (
        "application_name",
        "plan_cache_mode",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
    )
    for _ in range(2):
        async with pool.acquire() as connection:
            shown = [await connection.fetchval(f"show {name}") for name in names]
            assert shown == ["memdeckd", "force_custom_plan", "7s", "30s"]


async def test_json_is_plain_objects(pool: CheckedPool) -> None:
    """In both directions, for both types."""
    value = {"a": [1, 2.5, None, "ü"], "b": {"c": True}}
    assert await pool.fetchval("select $1::jsonb", value) == value
    assert await pool.fetchval("select $1::json", value) == value
    assert await pool.fetchval("select $1::jsonb ->> 'a'", value) == '[1, 2.5, null, "ü"]'


@pytest.mark.parametrize(("name", "kind"), [("vector", np.float32), ("halfvec", np.float16)])
async def test_vectors_are_arrays(pool: CheckedPool, name: str, kind: type[np.floating]) -> None:
    """In both directions; other kinds of numbers are converted; elements of arrays are encoded first."""
    vector = np.array([0.5, -1.25, 3.0], kind)
    found = await pool.fetchval(f"select $1::{name}", vector)
    assert (found.dtype, found.tolist()) == (kind, vector.tolist())
    assert await pool.fetchval(f"select $1::{name}::text", [0.5, -1.25, 3]) == "[0.5,-1.25,3]"
    encode = codecs.encode_vector if name == "vector" else codecs.encode_halfvec
    both = await pool.fetchval(f"select $1::{name}[]", [encode(vector), encode(vector * 2)])
    assert [v.tolist() for v in both] == [[0.5, -1.25, 3.0], [1.0, -2.5, 6.0]]


async def test_pgvector_in_another_schema_is_found(database: str) -> None:
    """Managed services put extensions into a schema of their own."""
    admin = await asyncpg.connect(database)
    await admin.execute('create schema "Ext 1"; create extension vector schema "Ext 1"')
    await admin.close()
    pool = await open_pool(database, SETTINGS)
    assert await pool.fetchval("select $1::vector <-> '[1,3]'", [1, 2]) == 1
    await pool.close()


async def test_a_connection_that_no_longer_answers_is_replaced(pool: CheckedPool, database: str) -> None:
    """The borrower notices nothing."""
    admin = await asyncpg.connect(database)
    await admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'memdeckd' and datname = current_database()"
    )
    await admin.close()
    results = await asyncio.gather(*(pool.fetchval("select 1") for _ in range(5)))
    assert results == [1] * 5


async def test_a_restarted_server_is_found_again(pool: CheckedPool, shared_cluster: EmbeddedCluster) -> None:
    """With the pool that was opened before."""
    assert await pool.fetchval("select 1") == 1
    await shared_cluster.stop()
    await shared_cluster.start()
    assert await pool.fetchval("select 1") == 1


async def test_an_open_transaction_is_rolled_back_on_return(pool: CheckedPool) -> None:
    """Although connections are not reset by a round trip of their own."""
    async with pool.acquire() as connection:
        await connection.execute("create table t (a int)")
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("insert into t values (1)")
        await transaction.rollback()
    assert await pool.fetchval("select count(*) from t") == 0


async def test_a_pool_minimum_above_its_maximum_is_lowered(database: str) -> None:
    """Two settings that contradict each other do not stop the daemon."""
    pool = await open_pool(database, msgspec.structs.replace(SETTINGS, pool_min=9))
    assert PoolUsage.of(pool).size == 3
    await pool.close()
