"""A daemon whose Postgres comes and goes, and which is ended by kill −9 in between, as its clients see it."""

import asyncio
import contextlib
import itertools
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from memdeck_common.client import Address, Client
from memdeck_common.clock import SystemClock
from memdeck_common.errors import MemdeckError, Unauthenticated, Unavailable
from memdeck_common.paths import Home
from memdeck_common.settings import Database as DatabaseSettings
from memdeck_common.wire.keys import NewKey
from memdeck_daemon.infra.postgres.cluster import EmbeddedCluster
from tests.support.cable import Cable, laid
from tests.support.daemon import DaemonFactory, DaemonFailedError, RunningDaemon
from tests.support.waiting import eventually

QUICK = {"MEMDECK_POSTGRES_ACQUIRE_TIMEOUT": "1", "MEMDECK_INDEX_INTERVAL": "0.05"}


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedCluster]:
    """A Postgres outside of the daemon."""
    base = Path(tempfile.mkdtemp(prefix="memdeck-outside-", dir="/tmp")).resolve()
    base.chmod(0o755)
    settings = DatabaseSettings(system_root=str(base / "system"))
    one = EmbeddedCluster(
        Home(base / "home"), settings, "outside", progress=lambda _: None, clock=SystemClock()
    )
    asyncio.run(one.start())
    yield one
    asyncio.run(one.stop())
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
async def cable(server: EmbeddedCluster) -> AsyncIterator[Cable]:
    """The way to a database of its own."""
    async with laid(server.dsn) as one:
        yield one


@pytest.fixture
def daemon(make_daemon: DaemonFactory, cable: Cable) -> RunningDaemon:
    """Not started."""
    return make_daemon(environment={"MEMDECK_DATABASE_URL": cable.dsn, **QUICK}, start=False)


async def start(daemon: RunningDaemon, *, ready: bool = True) -> None:
    await asyncio.to_thread(lambda: daemon.start(ready=ready))


def client_of(daemon: RunningDaemon, key: str = "") -> Client:
    return Client(Address(daemon.url, key or daemon.key))


async def ready(daemon: RunningDaemon) -> None:
    async with client_of(daemon) as client:

        async def looked() -> bool:
            return (await client.ready()).status == "ready"

        await eventually(looked, timeout=30, what="a daemon that is ready")


async def test_a_daemon_starts_without_its_database(daemon: RunningDaemon, cable: Cable) -> None:
    """It says what is missing, takes writes of keys that it knew, survives kill −9, and heals when the database is there."""
    await start(daemon)
    async with client_of(daemon) as client:
        key = (await client.create_key(NewKey(label="agent", role="agent", users=["alice"]))).key
        revoked = await client.create_key(NewKey(label="gone", role="agent"))
        await client.revoke_key(revoked.id)
    await asyncio.to_thread(daemon.stop)
    cable.cut()
    await start(daemon, ready=False)
    async with client_of(daemon, key) as client:
        health = await client.health()
        assert ("down", True) == (health.status, any("PostgreSQL at" in said for said in health.missing))
        told = await client.add([{"role": "user", "content": "kept"}], user_id="alice")
        assert "PENDING" == told.status
        assert "PENDING" == (await client.receipt(told.event_id)).status
        with pytest.raises(Unavailable):
            await client.page({"user_id": "alice"})
    async with client_of(daemon) as client:
        assert ("waiting", 1) == ((status := await client.spool()).state, status.waiting)
        (line,) = [line async for line in client.export_spool()]
        assert b'"text":"kept"' in line
    async with client_of(daemon, revoked.key) as client:
        with pytest.raises(Unauthenticated):
            await client.page({"user_id": "alice"})
    daemon.kill()
    await start(daemon, ready=False)
    async with client_of(daemon, key) as client:
        assert 1 == next(s.in_use for s in (await client.health()).services if s.name == "spool")
        cable.mend()
        await ready(daemon)
        assert ["kept"] == [memory.memory for memory in (await client.page({"user_id": "alice"})).results]
        done = await client.receipt(told.event_id)
        assert ("SUCCEEDED", "stored") == (done.status, done.results[0].outcome)
        found = await client.search("kept", {"user_id": "alice"})
        assert ["kept"] == [memory.memory for memory in found.results]
        assert [] == (await client.health()).missing
        await client.delete_scope(user_id="alice")
    assert 0 == await asyncio.to_thread(daemon.stop)


async def test_a_new_database_is_made_fit_when_it_comes(
    make_daemon: DaemonFactory, server: EmbeddedCluster
) -> None:
    """One that nobody has migrated: what was acknowledged before there was a single table is stored."""
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("DROP DATABASE IF EXISTS fresh WITH (FORCE)")
    await connection.execute("CREATE DATABASE fresh")
    await connection.close()
    async with laid(server.dsn.replace("/memdeck?", "/fresh?")) as cable:
        cable.cut()
        daemon = make_daemon(environment={"MEMDECK_DATABASE_URL": cable.dsn, **QUICK}, start=False)
        await start(daemon, ready=False)
        async with client_of(daemon) as client:
            told = await client.add([{"role": "user", "content": "early"}], user_id="alice")
            cable.mend()
            await ready(daemon)
            assert "SUCCEEDED" == (await client.receipt(told.event_id)).status
            assert ["early"] == [
                memory.memory for memory in (await client.page({"user_id": "alice"})).results
            ]
        assert "migrated the database: 0001" in daemon.log()
        assert 0 == await asyncio.to_thread(daemon.stop)


async def test_a_wrong_address_ends_the_start(make_daemon: DaemonFactory, server: EmbeddedCluster) -> None:
    """What will not heal by itself is told at once, in a sentence."""
    url = server.dsn.replace("/memdeck?", "/nowhere?")
    broken = make_daemon(environment={"MEMDECK_DATABASE_URL": url}, start=False)
    with pytest.raises(DaemonFailedError, match="exit code 78") as caught:
        await start(broken)
    assert 'has no database "nowhere"' in str(caught.value)


async def test_sigterm_loses_nothing_that_was_acknowledged(daemon: RunningDaemon, cable: Cable) -> None:
    """Requests under way are answered, exit code 0; what was told as queued is done after the next start."""
    await start(daemon)
    async with client_of(daemon) as client:
        adds = [
            asyncio.create_task(client.add([{"role": "user", "content": f"t{n}"}], user_id=f"s{n % 5}"))
            for n in range(60)
        ]
        await asyncio.wait(adds, return_when=asyncio.FIRST_COMPLETED)
        cable.cut()
        code = await asyncio.to_thread(daemon.stop)
        told = await asyncio.gather(*adds, return_exceptions=True)
    assert 0 == code
    cable.mend()
    await start(daemon)
    acknowledged = {r.event_id for r in told if not isinstance(r, BaseException)}
    assert acknowledged
    async with client_of(daemon) as client:
        for event_id in acknowledged:
            assert "SUCCEEDED" == (await client.receipt(event_id)).status
        for n in range(5):
            await client.delete_scope(user_id=f"s{n}")


SEED = 20261120
WRITERS = 4


@dataclass
class Crew:
    """Writers that go on whatever happens."""

    daemon: RunningDaemon
    tried: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    """Receipts."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, number: int) -> None:
        for count in itertools.count():
            if self.stop.is_set():
                return
            text = f"w{number} n{count}"
            self.tried.add(text)
            try:
                async with client_of(self.daemon) as client:
                    told = await client.add([{"role": "user", "content": text}], user_id=f"k{number}")
                self.acknowledged.add(told.event_id)
            except (MemdeckError, OSError, DaemonFailedError):
                await self.rest(0.05)

    async def rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), seconds)


async def kill(daemon: RunningDaemon, cable: Cable, *, away: bool) -> None:
    """Kill the daemon, and start it again while its database is there, or away at first."""
    daemon.kill()
    if away:
        cable.cut()
    await start(daemon, ready=False)
    cable.mend()


async def test_nothing_is_lost_or_doubled_by_kills_and_cuts(daemon: RunningDaemon, cable: Cable) -> None:
    """Writers go on while the cable is cut, commits lose their answers, and the daemon is killed: in spool, replay, commit."""
    rng = random.Random(SEED)  # noqa: S311 - reproducible
    await start(daemon)
    crew = Crew(daemon)
    writers = [asyncio.create_task(crew.write(number)) for number in range(WRITERS)]
    for _ in range(6):
        await crew.rest(rng.uniform(0.05, 0.4))
        cable.cut()
        await crew.rest(rng.uniform(0.05, 0.4))
        cable.mend()
        await crew.rest(rng.uniform(0.05, 0.4))
        cable.fault = "lose_commit"
        await crew.rest(rng.uniform(0.05, 0.4))
        await kill(daemon, cable, away=rng.random() < 0.5)
    crew.stop.set()
    await asyncio.gather(*writers)
    await ready(daemon)
    async with client_of(daemon) as client:
        stored = [
            memory.memory
            for number in range(WRITERS)
            for page in range(1, 40)
            for memory in (await client.page({"user_id": f"k{number}"}, page=page, page_size=200)).results
        ]
        for receipt_id in crew.acknowledged:
            assert "SUCCEEDED" == (await client.receipt(receipt_id)).status, receipt_id
    assert len(crew.acknowledged) > 20
    assert len(stored) == len(set(stored)), "doubled"
    assert set(stored) <= crew.tried
    assert len(stored) >= len(crew.acknowledged)
