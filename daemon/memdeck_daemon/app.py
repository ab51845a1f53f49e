"""The composition root: every part of the daemon is built here, in reading order, on one stack.

A failed start unwinds the same stack as a stop, in reverse order, so nothing that was started outlives it.
"""

import asyncio
import hashlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from memdeck_common import __version__
from memdeck_common.clock import SystemClock, SystemIdentity
from memdeck_common.log import action
from memdeck_common.settings import Settings
from memdeck_common.wire.health import DaemonFile
from memdeck_daemon.api.access.access import Access
from memdeck_daemon.api.access.store import PostgresKeyStore
from memdeck_daemon.api.answers import Answers
from memdeck_daemon.api.application import build_application
from memdeck_daemon.api.http.server import serve as listen
from memdeck_daemon.infra import heap, stores
from memdeck_daemon.infra import home as homes
from memdeck_daemon.infra.caching.l1 import L1
from memdeck_daemon.infra.caching.tiered import L1_SECONDS, Tiered
from memdeck_daemon.infra.postgres import gateway as gateways
from memdeck_daemon.infra.postgres.database import Database, guard_of
from memdeck_daemon.infra.postgres.dedicated import connecting
from memdeck_daemon.infra.postgres.gateway import Gateway
from memdeck_daemon.infra.postgres.pulse import Pulse
from memdeck_daemon.infra.resilience.breaker import Breaker
from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.infra.tasks import Tasks
from memdeck_daemon.memory import wing
from memdeck_daemon.memory.recall import fusion
from memdeck_daemon.memory.searcher.client import Reachable
from memdeck_daemon.operations.telemetry import caches, lag, probes
from memdeck_daemon.operations.telemetry.service import Boot, Telemetry

log = logging.getLogger(__name__)


async def serve(settings: Settings, *, check_answers: bool = True) -> int:
    """Run the daemon until it is told to stop; the exit code.

    `check_answers=False` takes every kept answer for valid: the control run of the search for stale answers.

    Raises:
        ConfigurationError: something that was set or found cannot be used; the sentence says what to do.
    """
    stopping, failed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with running(settings, failed, check_answers=check_answers) as daemon:
        _tell(daemon)
        heap.settle()
        waits = [asyncio.create_task(event.wait()) for event in (stopping, failed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        log.info("stopping", extra=action("stopping"))
    return 1 if failed.is_set() else 0


@asynccontextmanager
async def running(
    settings: Settings, failed: asyncio.Event, *, check_answers: bool = True
) -> AsyncIterator[DaemonFile]:
    """A whole daemon, serving; `failed` is set when a part of it ended by itself."""
    clock = SystemClock()
    identity = SystemIdentity(clock)
    home = settings.home
    boot = Boot(settings.instance, identity.uuid().hex[-12:], clock.now())
    async with AsyncExitStack() as stack:
        homes.prepare(home)
        stack.enter_context(homes.locked(home))

        embedder = asyncio.create_task(asyncio.to_thread(wing.load_embedder))
        stack.callback(embedder.cancel)
        gateway = await stack.enter_async_context(gateways.opened(settings, clock, _progress, failed))
        modes = Modes(clock)
        telemetry = Telemetry(boot, clock.now, modes)
        logging.getLogger().addHandler(telemetry.tail)
        stack.callback(logging.getLogger().removeHandler, telemetry.tail)
        guard = guard_of(
            clock,
            settings.database.pool_max,
            settings.database.acquire_timeout,
            lambda breaker: modes.database("well" if breaker.closed else "away"),
        )
        database = Database(
            gateway,
            acquire_timeout=settings.database.acquire_timeout,
            observe=telemetry.observe_query,
            guard=guard,
        )
        pulse = Pulse(lambda: gateway.dsn, guard.breaker, modes, clock.monotonic, database.abandon)
        if gateway.missing:
            guard.breaker.open("not there yet")  # nobody has to find out
        await pulse.beat()
        access = Access(settings.server, home, PostgresKeyStore(database), clock, identity)
        await access.load()
        beside = await stack.enter_async_context(stores.opened(settings, clock))
        memory = await stack.enter_async_context(
            wing.opened(
                database,
                await embedder,
                settings.memory,
                folder=home.indexes / "lexical",
                spool_folder=home.spool,
                name=f"lexical:{_fingerprint(home.root)}",
                clock=clock,
                identity=identity,
                observe=telemetry.latencies.record,
                connect=connecting(lambda: gateway.dsn, settings.database),
                checked=check_answers,
                embedding=settings.embedding,
                shared=beside.redis,
                modes=modes,
                instance=settings.instance,
                vectors_folder=home.indexes / "vectors",
                apart=Reachable(lambda: gateway.dsn, settings.database),
            )
        )
        guard.tell = lambda breaker: _told(breaker, modes, memory)
        tiers = Tiered(
            L1(settings.cache.l1_bytes, L1_SECONDS, clock),
            beside.redis,
            f"memdeck:{settings.instance}:answer:",
        )
        stack.push_async_callback(tiers.close)
        ground = f"ranking {fusion.VERSION}, threshold {settings.memory.default_threshold}, space "
        answers = Answers(
            tiers,
            memory.generations,
            clock,
            lambda: f"{ground}{memory.desk.spaces.searched}",
            memory.unverified,
        )
        started = boot.started_at.timestamp()
        telemetry.watch(
            [
                probes.api_probe(telemetry.latencies, started, lambda: telemetry.in_flight),
                probes.postgres_probe(
                    pulse.ping, lambda: gateway.usage, telemetry.latencies, lambda: pulse.read_only
                ),
                probes.embedder_probe(telemetry.latencies, started, memory.filler.look),
                memory.projection.look,
                memory.spool.look,
                probes.disk_probe(home.root),
                *(probes.store_probe(name, store) for name, store in beside.named.items()),
                caches.cache_probe(tiers, telemetry.metrics_registry, clock.monotonic),
            ],
            lambda known: probes.counts(memory.service.totals, home.root, known),
            memory.writer.take_batches,
            lambda: [guard.breaker, *beside.breakers(), *memory.desk.spaces.breakers()],
            lambda: [*_without(gateway), *memory.spool.missing()],
        )
        telemetry.metrics_registry.spool.read = memory.spool.depths
        await telemetry.tick()

        tasks = await stack.enter_async_context(Tasks(failed))
        tasks.start("pulse", pulse.run())
        for name, work in memory.background.items():
            tasks.start(name, work())
        tasks.start("answers", tiers.run())
        tasks.start("access", access.run())
        tasks.start("telemetry", telemetry.run())
        tasks.start("lag", lag.watch(telemetry.metrics_registry.loop_lag.observe))

        application = build_application(
            settings,
            memory.service,
            access,
            telemetry,
            clock,
            answers,
            session_memory=memory.sessions,
            projections=memory.projections,
            spaces=memory.desk,
            spool=memory.spool,
        )
        addresses = await stack.enter_async_context(listen(application, settings.server, telemetry))
        telemetry.url = addresses.url
        telemetry.serving = True
        daemon = DaemonFile(
            url=addresses.url,
            metrics_url=addresses.metrics_url,
            pid=os.getpid(),
            boot_id=boot.boot_id,
            version=__version__,
            instance=settings.instance,
        )
        stack.enter_context(homes.announced(home, daemon))
        yield daemon


def _without(gateway: Gateway) -> list[str]:
    return [f"database: {gateway.missing}"] if gateway.missing else []


def _told(breaker: Breaker, modes: Modes, memory: wing.Wing) -> None:
    """The database's breaker has opened or closed."""
    modes.database("well" if breaker.closed else "away")
    if breaker.closed:
        memory.spool.replay.soon()


def _fingerprint(path: os.PathLike[str]) -> str:
    """What tells this home's index from another daemon's in a shared database."""
    return hashlib.blake2b(f"{os.uname().nodename}:{os.fspath(path)}".encode(), digest_size=6).hexdigest()


def _progress(sentence: str) -> None:
    log.info("%s", sentence, extra=action("starting"))


def _tell(daemon: DaemonFile) -> None:
    sys.stdout.write(f"memdeck is ready at {daemon.url} (metrics {daemon.metrics_url}, pid {daemon.pid})\n")
    sys.stdout.flush()
