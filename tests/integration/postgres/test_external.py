"""The check of an external server, against one that listens on TCP with passwords."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator

import asyncpg
import msgspec
import pytest

from memdeck_common.errors import DatabaseUnusable
from memdeck_common.settings import Database
from memdeck_daemon.infra.postgres.external import check_external
from tests.support.postgres import PASSWORD, PostgresServer

SETTINGS = Database(connect_timeout=5, start_timeout=5)
QUOTED = "s3cret%3A%2F%40word"


@pytest.fixture(scope="module")
def outside() -> Iterator[PostgresServer]:
    one = PostgresServer()
    yield one.start()
    one.dispose()


@pytest.fixture(scope="module")
def server(outside: PostgresServer) -> str:
    """`host:port`."""
    return f"127.0.0.1:{outside.port}"


@pytest.fixture
async def url(server: str) -> AsyncIterator[str]:
    """The address of a fresh database, with the right of its superuser."""
    root = f"postgresql://owner:{QUOTED}@{server}"
    admin = await asyncpg.connect(f"{root}/postgres")
    name = f"d{os.urandom(4).hex()}"
    await admin.execute(f"create database {name}")
    yield f"{root}/{name}"
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


async def refused(url: str) -> str:
    with pytest.raises(DatabaseUnusable) as caught:
        await check_external(url, SETTINGS)
    message = str(caught.value)
    assert PASSWORD not in message
    assert QUOTED not in message
    assert caught.value.__cause__ is None
    return message


async def test_a_usable_server_gets_pgvector(url: str) -> None:
    """The extension is created when only that is missing; the check can be made again."""
    await check_external(url, SETTINGS)
    await check_external(url, SETTINGS)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("select count(*) from pg_extension where extname = 'vector'") == 1
    await connection.close()


async def test_an_absent_server_is_said_with_its_address() -> None:
    """And what to do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
        message = await refused(f"postgresql://owner:{QUOTED}@{nobody}/x")
    assert message.startswith(f"PostgreSQL at {nobody} cannot be reached")
    assert message.endswith("start it, or correct MEMDECK_DATABASE_URL.")


async def test_a_server_that_does_not_answer_is_said() -> None:
    """The connection is taken and then nothing comes."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        quick = msgspec.structs.replace(SETTINGS, connect_timeout=0.1)
        with pytest.raises(DatabaseUnusable, match="does not answer"):
            await check_external(f"postgresql://u:p@127.0.0.1:{mute.getsockname()[1]}/x", quick)


async def test_a_server_may_take_longer_at_the_start_than_at_a_request() -> None:
    """What it says late is heard."""
    quick = msgspec.structs.replace(SETTINGS, connect_timeout=0.1)

    async def leave_late(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asyncio.get_running_loop().call_later(0.15, writer.close)

    async with await asyncio.start_server(leave_late, "127.0.0.1", 0) as late:
        port = late.sockets[0].getsockname()[1]
        with pytest.raises(DatabaseUnusable, match="cannot be reached"):
            await check_external(f"postgresql://u:p@127.0.0.1:{port}/x", quick)


async def test_a_wrong_password_is_said_without_it(server: str) -> None:
    """The user is named."""
    assert 'refuses user "owner"' in await refused(f"postgresql://owner:{QUOTED}x@{server}/x")
    assert "%-codes" in await refused(f"postgresql://owner:{PASSWORD}@{server}/x")


async def test_a_missing_database_is_said(server: str) -> None:
    """With the statement that makes it."""
    assert 'create database "nowhere"' in await refused(f"postgresql://owner:{QUOTED}@{server}/nowhere")


async def test_a_role_without_rights_is_told_what_its_owner_must_run(url: str) -> None:
    """First the right to create schemas, then the extension, which only a superuser may create."""
    admin = await asyncpg.connect(url)
    name = url.rpartition("/")[2]
    await admin.execute(f"create role guest_{name} login password 'p'")
    guest = f"postgresql://guest_{name}:p@{url.partition('@')[2]}"
    try:
        assert f"grant create on database {name} to guest_{name};" in await refused(guest)
        await admin.execute(f"grant create on database {name} to guest_{name}")
        assert f'`create extension if not exists vector;` in database "{name}"' in await refused(guest)
        await admin.execute("create extension vector")
        await check_external(guest, SETTINGS)
    finally:
        await admin.execute(f"drop owned by guest_{name} cascade; drop role guest_{name}")
        await admin.close()


async def test_another_encoding_is_refused(url: str) -> None:
    """Memories are Unicode."""
    admin = await asyncpg.connect(url)
    name = f"{url.rpartition('/')[2]}_ascii"
    await admin.execute(f"create database {name} encoding 'SQL_ASCII' template template0")
    try:
        assert "has encoding SQL_ASCII" in await refused(f"{url}_ascii")
    finally:
        await admin.execute(f"drop database {name}")
        await admin.close()


async def test_a_server_without_pgvector_is_refused(url: str, outside: PostgresServer) -> None:
    """And again usable once it is installed."""
    (control,) = outside.folder.rglob("extension/vector.control")
    hidden = control.rename(control.with_suffix(".hidden"))
    try:
        assert "has no pgvector, but memdeck needs pgvector 0.8 or later" in await refused(url)
        control.write_text(hidden.read_text().replace("0.8.5", "0.7.4"))
        assert "has pgvector 0.7.4, but memdeck needs" in await refused(url)
    finally:
        hidden.rename(control)
    await check_external(url, SETTINGS)


async def test_an_old_pgvector_is_brought_up_to_date(url: str, outside: PostgresServer) -> None:
    """The server carries a newer one, so nobody has to do it by hand."""
    (folder,) = {path.parent for path in outside.folder.rglob("extension/vector.control")}
    script = folder / "vector--0.7.4.sql"
    script.write_text((folder / "vector--0.8.5.sql").read_text())
    update = folder / "vector--0.7.4--0.8.0.sql"
    kept = update.read_text()
    update.write_text("")
    admin = await asyncpg.connect(url)
    try:
        await admin.execute("create extension vector version '0.7.4'")
        await check_external(url, SETTINGS)
        assert await admin.fetchval("select extversion from pg_extension where extname = 'vector'") == "0.8.5"
    finally:
        await admin.close()
        update.write_text(kept)
        script.unlink()
