"""Unique search over HTTP against a bare loop that runs the same arms: `python -m bench.bare`.

The same questions about the same memories, in turns: once as requests of 20 clients to a daemon of the benchmark's own,
once as calls of the memory service in this process, one after the other, each answer encoded and thrown away. What lies
between the two is the price of HTTP, keys, limits, the result cache and telemetry.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import uvloop

from bench import machine
from bench.daemon import OwnDaemon
from bench.driver import ADD, UNIQUE, Driver, Outcome
from bench.measurement import slices
from bench.workload import Fact, Workload
from memdeck_common.clock import SystemClock, SystemIdentity
from memdeck_common.paths import Home
from memdeck_common.settings import Database as DatabaseSettings
from memdeck_common.settings import Memory as MemorySettings
from memdeck_daemon.api.mem0 import oss_views
from memdeck_daemon.infra.postgres.cluster import EmbeddedCluster
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.infra.postgres.dedicated import connecting
from memdeck_daemon.infra.postgres.migrations import migrate
from memdeck_daemon.infra.postgres.pool import open_pool
from memdeck_daemon.infra.tasks import Tasks
from memdeck_daemon.memory import filters, wing
from memdeck_daemon.memory.model import Caller, Identifiers, NewMemories, NewMessage, Reach
from memdeck_daemon.memory.service import MemoryService

CALLER: Final = Caller("bench", "bench", Reach(all_scopes=True))
TOP_K: Final = 20
WARM: Final = 8.0
"""Seconds after which a process that is alone owns the counters."""


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(prog="python -m bench.bare", description=__doc__.splitlines()[0])
    options.add_argument("--memories", type=int, default=10_000, help="memories of 100 users (10000)")
    options.add_argument("--searches", type=int, default=12_000, help="searches of each side (12000)")
    options.add_argument("--rounds", type=int, default=4, help="turns of each side (4)")
    options.add_argument("--clients", type=int, default=20, help="clients of the daemon (20)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    given = options.parse_args()
    with OwnDaemon() as own, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        own.start()
        rates = runner.run(_measured(own, given))
    shares = [ours / bare for ours, bare in zip(rates["memdeck"], rates["bare"], strict=True)]
    found = {
        "machine": machine.described(),
        "memdeck_per_second": round(statistics.median(rates["memdeck"])),
        "bare_per_second": round(statistics.median(rates["bare"])),
        "share": round(statistics.median(shares), 3),
        "shares": [round(share, 3) for share in shares],
    }
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


async def _measured(own: OwnDaemon, given: argparse.Namespace) -> dict[str, list[float]]:
    work = Workload(seed=1, memories=given.memories, users=100, prefix="bench")
    rates: dict[str, list[float]] = {"memdeck": [], "bare": []}
    async with Driver(own.url, own.key) as driver, _service() as service:
        _checked(await driver.run(ADD, work.adds(), clients=given.clients, limit=600))
        for facts in _batches(work.facts, given.clients):
            await asyncio.gather(*(service.add(_new(fact), CALLER) for fact in facts))
        await asyncio.sleep(WARM)
        questions = work.questions(given.searches)
        warm = work.questions(given.searches // 4)
        _checked(await driver.run(UNIQUE, warm, clients=given.clients, limit=600))
        await _searched(service, warm)
        for part in slices(questions, given.rounds):
            outcome = _checked(await driver.run(UNIQUE, part, clients=given.clients, limit=600))
            rates["memdeck"].append(len(part) / outcome.seconds)
            began = time.perf_counter()
            await _searched(service, part)
            rates["bare"].append(len(part) / (time.perf_counter() - began))
    return rates


def _batches(facts: Sequence[Fact], size: int) -> Iterator[Sequence[Fact]]:
    return (facts[begin : begin + size] for begin in range(0, len(facts), size))


def _new(fact: Fact) -> NewMemories:
    return NewMemories((NewMessage(fact.text),), Identifiers(user=fact.user))


def _checked(outcome: Outcome) -> Outcome:
    if outcome.failed or outcome.unsent:
        raise SystemExit(f"requests failed: {dict(outcome.errors)}, {outcome.unsent} not sent")
    return outcome


async def _searched(service: MemoryService, bodies: Sequence[bytes]) -> None:
    for body in bodies:
        asked = msgspec.json.decode(body)
        where = filters.parse(asked["filters"])
        found = await service.search(
            asked["query"], where, CALLER, top_k=TOP_K, threshold=None, show_expired=False, explain=False
        )
        msgspec.json.encode(oss_views.searched(found, False))


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mdbare-") as folder:
        # As root, the database belongs to another user, who must be able to reach its folder.
        Path(folder).chmod(0o711)
        Path(folder, "home").mkdir()
        yield Path(folder)


@contextlib.asynccontextmanager
async def _service() -> AsyncIterator[MemoryService]:
    """The memory wing over a database of its own, without the API."""
    clock, settings = SystemClock(), DatabaseSettings()
    async with contextlib.AsyncExitStack() as stack:
        scratch = stack.enter_context(_scratch())
        settings = msgspec.structs.replace(settings, system_root=str(scratch / "clusters"))
        home = Home(scratch / "home")
        cluster = EmbeddedCluster(home, settings, "bench", progress=lambda _: None, clock=clock)
        stack.push_async_callback(cluster.stop)
        dsn = await cluster.start()
        connection = await asyncpg.connect(dsn, timeout=30)
        await migrate(connection)
        await connection.close()
        pool = await open_pool(dsn, settings)
        stack.push_async_callback(pool.close)
        memory = await stack.enter_async_context(
            wing.opened(
                Database(pool, acquire_timeout=settings.acquire_timeout),
                wing.load_embedder(),
                MemorySettings(),
                folder=home.indexes / "lexical",
                spool_folder=home.spool,
                name="lexical:bench",
                clock=clock,
                identity=SystemIdentity(clock),
                observe=lambda _name, _seconds: None,
                connect=connecting(lambda: dsn, settings),
            )
        )
        tasks = await stack.enter_async_context(Tasks(asyncio.Event()))
        for name, work in memory.background.items():
            tasks.start(name, work())
        yield memory.service


if __name__ == "__main__":
    sys.exit(main())
