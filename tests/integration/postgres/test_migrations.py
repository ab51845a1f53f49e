"""Migrations against a real server: once, in order, whole or not at all."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from memdeck_common.errors import DatabaseAway, DatabaseUnusable
from memdeck_daemon.infra.postgres import migrations
from memdeck_daemon.infra.postgres.migrations import migrate


def write(folder: Path, **files: str) -> Path:
    for name, sql in files.items():
        (folder / f"{name.removeprefix('_')}.sql").write_text(sql)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        _0001_a="create table a (x int); insert into a values (1);",
        _0002_b="alter table a add y int;",
    )


async def test_pending_files_are_applied_once(database: str, folder: Path) -> None:
    """A later file is applied by the next call."""
    connection = await asyncpg.connect(database)
    assert await migrate(connection, folder) == ["0001_a.sql", "0002_b.sql"]
    assert await migrate(connection, folder) == []
    write(folder, _0003_c="insert into a values (2, 3);")
    assert await migrate(connection, folder) == ["0003_c.sql"]
    assert await connection.fetchval("select sum(x) from a") == 3
    await connection.close()


async def test_a_database_that_takes_no_writes_is_left_as_it_is(database: str, folder: Path) -> None:
    """It can be read when nothing is missing; what is missing waits until it takes writes."""
    connection = await asyncpg.connect(database)
    await connection.execute("set default_transaction_read_only = on")
    with pytest.raises(DatabaseAway, match=r"lacks migration 0001_a\.sql"):
        await migrate(connection, folder)
    await connection.execute("set default_transaction_read_only = off")
    await migrate(connection, folder)
    await connection.execute("set default_transaction_read_only = on")
    assert await migrate(connection, folder) == []
    write(folder, _0003_c="insert into a values (2, 3);")
    with pytest.raises(DatabaseAway, match=r"lacks migration 0003_c\.sql"):
        await migrate(connection, folder)
    await connection.close()


async def test_a_failing_file_leaves_what_was_before(database: str, folder: Path) -> None:
    """Its own first statements included; the message names the file."""
    connection = await asyncpg.connect(database)
    write(folder, _0003_c="insert into a values (2, 3); select nonsense;")
    with pytest.raises(DatabaseUnusable, match=r"0003_c\.sql failed.*nonsense"):
        await migrate(connection, folder)
    assert await connection.fetchval("select count(*) from a") == 1
    assert await connection.fetchval("select max(number) from control.migrations") == 2
    await connection.close()


async def test_a_server_that_goes_away_meanwhile_is_no_failing_file(database: str, folder: Path) -> None:
    """It is worth another try, so it must not be told as something that a person has to mend."""
    connection = await asyncpg.connect(database)
    write(folder, _0003_c="select pg_terminate_backend(pg_backend_pid());")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await migrate(connection, folder)
    await connection.close()


async def test_daemons_that_start_together_apply_each_file_once(database: str, folder: Path) -> None:
    """One does the work, the others find it done."""
    connections = [await asyncpg.connect(database) for _ in range(4)]
    applied = await asyncio.gather(*(migrate(connection, folder) for connection in connections))
    assert sorted(name for names in applied for name in names) == ["0001_a.sql", "0002_b.sql"]
    for connection in connections:
        await connection.close()


async def test_a_changed_file_and_a_newer_database_are_refused(database: str, folder: Path) -> None:
    """Nothing is applied then."""
    connection = await asyncpg.connect(database)
    await migrate(connection, folder)
    original = (folder / "0001_a.sql").read_text()
    write(folder, _0001_a="create table a (x bigint);", _0003_c="create table c ();")
    with pytest.raises(DatabaseUnusable, match=r"0001_a\.sql was changed"):
        await migrate(connection, folder)
    assert await connection.fetchval("select to_regclass('c')") is None
    write(folder, _0001_a=original)
    await migrate(connection, folder)
    (folder / "0003_c.sql").unlink()
    with pytest.raises(DatabaseUnusable, match=r"newer than this memdeck: it knows 0003_c\.sql"):
        await migrate(connection, folder)
    await connection.close()


async def test_a_lock_that_is_held_for_too_long_is_said(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than waited for without end."""
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", "50ms")
    connection, holder = await asyncpg.connect(database), await asyncpg.connect(database)
    await holder.execute("select pg_advisory_lock($1)", migrations.LOCK)
    with pytest.raises(DatabaseUnusable, match="Another process has been migrating"):
        await migrate(connection, folder)
    await holder.close()
    await connection.close()


async def test_the_product_s_own_migrations_apply(database: str) -> None:
    """All of them, on an empty database."""
    connection = await asyncpg.connect(database)
    own = [migration.name for migration in migrations.load(migrations.default_directory())]
    assert await migrate(connection) == own
    await connection.close()
