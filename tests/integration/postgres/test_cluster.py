"""The embedded cluster with the real programs: starts, what it takes over, what it refuses."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from memdeck_common.clock import SystemClock
from memdeck_common.errors import DatabaseUnusable
from memdeck_common.paths import Home
from memdeck_common.settings import Database
from memdeck_daemon.infra.postgres import account, binaries
from memdeck_daemon.infra.postgres.cluster import EmbeddedCluster
from tests.integration.postgres.conftest import ClusterOf, postgres_under
from tests.support.waiting import eventually, eventually_sync


class HurriedClock(SystemClock):
    """Waits of seconds are over in tens of milliseconds."""

    def monotonic(self) -> float:
        return super().monotonic() * 100


@asynccontextmanager
async def connected(cluster: EmbeddedCluster) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(cluster.dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def put(cluster: EmbeddedCluster, text: str) -> None:
    async with connected(cluster) as connection:
        await connection.execute("create table if not exists notes (text text)")
        await connection.execute("insert into notes values ($1)", text)


async def notes(cluster: EmbeddedCluster) -> list[str]:
    async with connected(cluster) as connection:
        return [row["text"] for row in await connection.fetch("select text from notes")]


def data_of(home: Home) -> Path:
    return home.postgres / (home.postgres / "CURRENT").read_text().strip() / "data"


async def started(cluster_of: ClusterOf, home: Home, **options: Any) -> EmbeddedCluster:
    cluster = cluster_of(home, **options)
    await cluster.start()
    return cluster


async def made(cluster_of: ClusterOf, home: Home) -> Path:
    """The data of a stopped cluster that holds the note `kept`."""
    cluster = await started(cluster_of, home)
    await put(cluster, "kept")
    await cluster.stop()
    return data_of(home)


async def test_a_first_start_makes_a_database_with_pgvector(cluster_of: ClusterOf, home: Home) -> None:
    """The address is a socket without a password; nothing listens on the network; data has checksums."""
    cluster = await started(cluster_of, home)
    assert cluster.dsn.startswith("postgresql://memdeck@/memdeck?host=%2F")
    async with connected(cluster) as connection:
        assert await connection.fetchval("select '[1,2]'::vector <-> '[1,3]'::vector") == 1
        shown = {
            name: await connection.fetchval(f"show {name}")
            for name in ("listen_addresses", "data_checksums", "synchronous_commit", "jit", "server_encoding")
        }
    expected = {"listen_addresses": "", "data_checksums": "on", "synchronous_commit": "on", "jit": "off"}
    assert {**expected, "server_encoding": "UTF8"} == shown


async def test_a_later_start_finds_the_data(cluster_of: ClusterOf, home: Home) -> None:
    """Stop is idempotent and leaves no process; losing the run folder loses nothing."""
    data = await made(cluster_of, home)
    shutil.rmtree(home.run, ignore_errors=True)
    cluster = await started(cluster_of, home)
    assert data_of(home) == data
    assert await notes(cluster) == ["kept"]
    await cluster.stop()
    await cluster.stop()
    assert cluster.pid is None
    assert postgres_under(data) == []


async def test_a_lost_pointer_is_found_again(cluster_of: ClusterOf, home: Home) -> None:
    """Deleting CURRENT does not begin an empty database."""
    await made(cluster_of, home)
    (home.postgres / "CURRENT").unlink()
    assert await notes(await started(cluster_of, home)) == ["kept"]


async def test_a_lost_pointer_among_several_clusters_is_asked_for(cluster_of: ClusterOf, home: Home) -> None:
    """Guessing could bring back an old state."""
    data = await made(cluster_of, home)
    shutil.copytree(data.parent, data.parent.with_name("older-copy"))
    (home.postgres / "CURRENT").unlink()
    with pytest.raises(DatabaseUnusable, match=r"several databases exist.*older-copy"):
        await cluster_of(home).start()


async def test_a_pointer_into_nothing_is_refused(cluster_of: ClusterOf, home: Home) -> None:
    """The data may be on a disk that is not mounted."""
    data = await made(cluster_of, home)
    data.parent.rename(data.parent.with_name(".elsewhere"))
    with pytest.raises(DatabaseUnusable, match=r"CURRENT names .* where there is no database"):
        await cluster_of(home).start()


async def test_a_server_that_outlived_its_daemon_is_stopped_first(cluster_of: ClusterOf, home: Home) -> None:
    """As on macOS, where nothing tells a server that its daemon was killed. It does live on by itself: the control."""
    data = await made(cluster_of, home)
    orphan = run_as_owner(data, str(_programs(data).postgres), "-D", str(data))
    await eventually(lambda: "ready" in _pid_file(data))
    assert orphan.poll() is None
    told: list[str] = []
    cluster = await started(cluster_of, home, progress=told.append)
    assert orphan.poll() == 0
    assert any(f"earlier daemon (pid {orphan.pid})" in line for line in told)
    assert await notes(cluster) == ["kept"]


def _programs(data: Path) -> binaries.Binaries:
    if os.geteuid() != 0:
        return binaries.packaged()
    return binaries.shared_copy(binaries.packaged(), data.parents[2] / "binaries")


def _pid_file(data: Path) -> str:
    path = data / "postmaster.pid"
    return path.read_text() if path.exists() else ""


def run_as_owner(data: Path, *command: str) -> subprocess.Popen[bytes]:
    """Start a program as the user of the data, without any of the product's means."""
    owner = account.owner_of(data)
    change: dict[str, Any] = (
        {"user": owner.uid, "group": owner.gid, "extra_groups": []} if owner.foreign else {}
    )
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/", **change)


async def test_a_pid_file_that_names_another_process_is_no_obstacle(
    cluster_of: ClusterOf, home: Home
) -> None:
    """After a restart of the machine the number belongs to somebody else, who is left alone."""
    data = await made(cluster_of, home)
    stranger = run_as_owner(data, "/bin/sleep", "60")
    try:
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n1700000000\n5432\n\n\n\nready   \n")
        assert await notes(await started(cluster_of, home)) == ["kept"]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_an_empty_pid_file_is_no_obstacle(cluster_of: ClusterOf, home: Home) -> None:
    """A power cut leaves one; PostgreSQL alone would ask for a person."""
    data = await made(cluster_of, home)
    (data / "postmaster.pid").touch()
    assert await notes(await started(cluster_of, home)) == ["kept"]


async def test_busy_backends_of_a_killed_postmaster_are_ended_before_the_next_start(
    cluster_of: ClusterOf, home: Home, settings: Database
) -> None:
    """They do not notice by themselves, and a second server beside them would ruin the data."""
    patient = msgspec.structs.replace(settings, start_timeout=20 * 100)
    cluster = await started(cluster_of, home, settings=patient, clock=HurriedClock())
    await put(cluster, "kept")
    data = data_of(home)
    async with connected(cluster) as connection:
        endless = "select count(*) from generate_series(1, 10000000000) a where a < 0"
        busy = asyncio.ensure_future(connection.execute(endless))
        await eventually(lambda: backends(data, "SELECT"))
        (orphan,) = backends(data, "SELECT")
        os.kill(cluster.pid or 0, signal.SIGKILL)
        await eventually(lambda: cluster.pid is None)
        assert backends(data, "SELECT") == [orphan]
        supervision = asyncio.ensure_future(cluster.supervise())
        assert await eventually(lambda: _noted(cluster)) == ["kept"]
        assert backends(data, "SELECT") == []
        await asyncio.gather(busy, return_exceptions=True)
    supervision.cancel()
    await asyncio.gather(supervision, return_exceptions=True)


def backends(data: Path, title: str) -> list[int]:
    return [pid for pid, arguments in postgres_under(data) if title in arguments[0]]


async def test_a_killed_server_is_started_again(cluster_of: ClusterOf, home: Home) -> None:
    """Supervision brings it back, on the same address, with its data."""
    cluster = await started(cluster_of, home)
    await put(cluster, "kept")
    supervision = asyncio.ensure_future(cluster.supervise())
    pid = cluster.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: cluster.pid not in {None, pid}, what="another server runs")
    assert await eventually(lambda: _noted(cluster)) == ["kept"]
    supervision.cancel()
    await asyncio.gather(supervision, return_exceptions=True)


async def _noted(cluster: EmbeddedCluster) -> list[str]:
    try:
        return await notes(cluster)
    except (OSError, asyncpg.PostgresError):
        return []


async def test_supervision_ends_with_the_stop(cluster_of: ClusterOf, home: Home) -> None:
    """A server that was stopped is not started again."""
    cluster = await started(cluster_of, home)
    supervision = asyncio.ensure_future(cluster.supervise())
    await cluster.stop()
    await asyncio.wait_for(supervision, 5)
    assert postgres_under(data_of(home)) == []


async def test_a_second_daemon_of_one_home_is_refused(cluster_of: ClusterOf, home: Home) -> None:
    """It says who is there, and does not touch the first one's server."""
    cluster = await started(cluster_of, home)
    with pytest.raises(DatabaseUnusable, match=rf"Another memdeckd \(pid {os.getpid()}\) uses this database"):
        await cluster_of(home, clock=HurriedClock()).start()
    assert cluster.pid is not None


async def test_another_major_version_is_refused(cluster_of: ClusterOf, home: Home) -> None:
    """Its data is left as it is."""
    data = await made(cluster_of, home)
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(DatabaseUnusable, match=r"PostgreSQL 17.*carries 18.*memdeck db upgrade"):
        await cluster_of(home).start()


async def test_a_setting_that_postgres_refuses_is_told_in_its_words(
    cluster_of: ClusterOf, home: Home, settings: Database
) -> None:
    """And nothing is left running."""
    await made(cluster_of, home)
    wrong = msgspec.structs.replace(settings, shared_buffers="plenty")
    with pytest.raises(DatabaseUnusable, match='invalid value for parameter "shared_buffers": "plenty"'):
        await cluster_of(home, settings=wrong).start()
    assert postgres_under(data_of(home)) == []
    await cluster_of(home).start()


async def test_an_initdb_that_fails_leaves_nothing_half_made(
    cluster_of: ClusterOf, home: Home, settings: Database
) -> None:
    """What an interrupted one left is swept away, and the next start makes a whole database."""
    folder = home.postgres if os.geteuid() != 0 else Path(settings.system_root) / "0badcafe"
    home.postgres.mkdir()
    (home.postgres / "ID").write_text("0badcafe\n")
    leftover = folder / ".new-test-1" / "data"
    leftover.mkdir(parents=True)
    folder.chmod(0o711)
    (leftover / "PG_VERSION").write_text("18\n")
    await put(await started(cluster_of, home), "kept")
    assert not leftover.exists()


async def test_what_a_sweep_could_not_remove_goes_at_a_later_start(cluster_of: ClusterOf, home: Home) -> None:
    """Though a whole database is there by then: a helper of a killed initdb may have kept its folder."""
    first = await started(cluster_of, home)
    await first.stop()
    leftover = data_of(home).parent.parent / ".new-test-1" / "data"
    leftover.mkdir(parents=True)
    await started(cluster_of, home)
    assert not leftover.exists()


async def test_a_home_that_is_a_file_is_a_clear_error(cluster_of: ClusterOf, base: Path) -> None:
    """The sentence names the path."""
    (base / "file").touch()
    with pytest.raises(DatabaseUnusable, match=f"{base}/file"):
        await cluster_of(Home(base / "file")).start()


async def test_a_long_path_moves_the_socket(base: Path, cluster_of: ClusterOf, settings: Database) -> None:
    """Systems limit a socket's path to about a hundred bytes; its folder elsewhere is private."""
    deep = Home(base / ("deep-" * 20))
    deeper = msgspec.structs.replace(settings, system_root=str(base / ("system-" * 15)))
    cluster = await started(cluster_of, deep, settings=deeper)
    async with connected(cluster) as connection:
        folder = Path(await connection.fetchval("show unix_socket_directories"))
    assert not folder.is_relative_to(base)
    assert _mode(folder) == 0o700
    await cluster.stop()
    shutil.rmtree(folder)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_programs_are_copied_once_and_mended(base: Path) -> None:
    """A copy that lost bytes to a power cut is made again; a good one is left alone."""
    target = base / "copies"
    copied = binaries.shared_copy(binaries.packaged(), target)
    first = copied.postgres.stat().st_ino
    assert binaries.shared_copy(binaries.packaged(), target).postgres.stat().st_ino == first
    (copied.bin / "initdb").write_bytes(b"")
    binaries.shared_copy(binaries.packaged(), target)
    assert (copied.bin / "initdb").stat().st_size > 0
    assert subprocess.run([copied.initdb, "--version"], check=True, capture_output=True).stdout.startswith(
        b"initdb"
    )
    eventually_sync(lambda: not list(target.glob(".new-*")))
