"""The embedded cluster: everything from "there is a home" to an address that takes connections, and its supervision.

Owns the order of a start: lock, find or make, clear away, configure, run, see to database and extension. Refuses two
supervisors of one cluster, data of another major version, and to begin empty where data of this home exists. When the
daemon dies, the server stops by itself (Linux) or is stopped by the next start; see docs/decisions/0002.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import asyncpg

from memdeck_common.clock import Clock
from memdeck_common.errors import DatabaseUnusable
from memdeck_common.log import action
from memdeck_common.paths import Home
from memdeck_common.settings import Database
from memdeck_daemon.infra.postgres import account, binaries, configuration, creation, extension, tuning
from memdeck_daemon.infra.postgres.journal import Journal
from memdeck_daemon.infra.postgres.location import Cluster, Location, locate, private_folder
from memdeck_daemon.infra.postgres.locks import SupervisorLock
from memdeck_daemon.infra.postgres.server import Server

log = logging.getLogger(__name__)

WATCH = 0.1
"""Seconds between two looks at the child."""
FIRST_PAUSE, LAST_PAUSE = 0.1, 30.0
"""Seconds before the server is started again after it died; doubled each time that it does not last."""
LASTING = 60.0
ROTATION = 600.0
"""Seconds between two looks at the size of the log."""
COMMAND_TIMEOUT = 60.0
REFUSALS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What setting up may raise beside our own."""


class EmbeddedCluster:
    """PostgreSQL as a child of the daemon."""

    def __init__(
        self,
        home: Home,
        settings: Database,
        instance: str,
        *,
        progress: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """`progress` gets sentences for the person who waits."""
        self._home = home
        self._settings = settings
        self._instance = instance
        self._progress = progress
        self._clock = clock
        self._system_root = Path(settings.system_root)
        self._journal = Journal(home)
        self._locks: list[SupervisorLock] = []
        self._server: Server | None = None
        self._socket = Path()
        self._started_at = 0.0
        self._asked_to_stop = asyncio.Event()
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The postmaster's pid; None while none runs."""
        return self._server.pid if self._server is not None else None

    @property
    def log_file(self) -> Path:
        """Where the server writes its log."""
        return self._journal.path

    @property
    def dsn(self) -> str:
        """The address of the database: a socket, no password."""
        return dsn(self._socket, configuration.DATABASE)

    async def start(self) -> str:
        """Bring the cluster up and return the address of its database. On a failure nothing is left running.

        Raises:
            DatabaseUnusable: with one sentence that says what to do.
        """
        self._asked_to_stop.clear()
        try:
            await self._prepare()
            await self._run()
        except BaseException as error:
            await self.stop()
            if isinstance(error, REFUSALS):
                raise DatabaseUnusable(_trouble(error, self._home)) from None
            raise
        return self.dsn

    async def stop(self) -> None:
        """Stop the server and let go of the cluster; may be called more than once.

        A task that runs `supervise` is cancelled first, or a restart under way is waited for.
        """
        self._asked_to_stop.set()
        async with self._turn:
            if self._server is not None:
                await self._server.stop()
            for lock in reversed(self._locks):
                lock.release()
            self._locks.clear()

    async def supervise(self) -> None:
        """Start the server again whenever it dies, until `stop`; the daemon runs this as a task of its own."""
        pause, rotated = FIRST_PAUSE, self._clock.monotonic()
        while not self._asked_to_stop.is_set():
            code = self._exit_code()
            if code is None:
                await asyncio.sleep(WATCH)
                if self._clock.monotonic() - rotated > ROTATION:
                    rotated = self._clock.monotonic()
                    await asyncio.to_thread(self._journal.rotate)
                continue
            lasted = self._clock.monotonic() - self._started_at
            pause = FIRST_PAUSE if lasted > LASTING else min(pause * 2, LAST_PAUSE)
            log.error(
                "the embedded database ended with code %s and is started again",
                code,
                extra=action("postgres_ended", code=code),
            )
            await asyncio.sleep(pause)
            await self._restart()

    def _exit_code(self) -> int | None:
        return self._server.ended() if self._server is not None else None

    async def _restart(self) -> None:
        try:
            await self._run()
        except (DatabaseUnusable, *REFUSALS) as error:
            failed = action("postgres_restart_failed")
            log.error("the embedded database does not start: %s", error, extra=failed)  # noqa: TRY400 - one sentence
        else:
            log.info("the embedded database runs again", extra=action("postgres_restarted", pid=self.pid))

    async def _prepare(self) -> None:
        as_root = os.geteuid() == 0
        location = await asyncio.to_thread(locate, self._home, self._system_root, as_root=as_root)
        self._journal.open()
        await self._lock(self._home.postgres / "lock")
        programs = binaries.packaged()
        if as_root:
            programs = await asyncio.to_thread(binaries.shared_copy, programs, self._system_root / "binaries")
        cluster = await self._found_or_made(location, programs, as_root=as_root)
        _check_major(cluster)
        owner = account.owner_of(cluster.data)
        if not as_root and owner.foreign:
            raise DatabaseUnusable(
                f"{cluster.data} belongs to {owner.name}: start memdeckd as that user or as root."
            )
        await self._lock(cluster.lock)
        self._socket = cluster.socket_folder(owner.uid)
        self._server = Server(
            cluster,
            owner,
            programs,
            self._journal,
            limit=self._settings.start_timeout,
            progress=self._progress,
            clock=self._clock,
        )

    async def _found_or_made(
        self, location: Location, programs: binaries.Binaries, *, as_root: bool
    ) -> Cluster:
        await asyncio.to_thread(creation.sweep, location)
        cluster = location.current()
        if cluster is not None:
            return cluster
        self._progress("making a new database")
        owner = await asyncio.to_thread(account.service_account) if as_root else account.daemon_account()
        return await creation.create(
            location,
            self._instance,
            owner,
            programs,
            self._journal,
            clock=self._clock,
            limit=self._settings.start_timeout,
        )

    async def _lock(self, path: Path) -> None:
        lock = SupervisorLock(path)
        await lock.acquire(self._clock)
        self._locks.append(lock)

    async def _run(self) -> None:
        async with self._turn:
            server = self._server
            if server is None or self._asked_to_stop.is_set():
                return
            self._started_at = self._clock.monotonic()
            private_folder(self._socket, server.account.uid, server.account.gid)
            self._configure(server.cluster, server.account)
            await server.start(self._socket)
            await self._see_to_database()

    def _configure(self, cluster: Cluster, owner: account.Account) -> None:
        tuned = tuning.settings_for(
            tuning.this_machine(),
            connections=self._settings.pool_max,
            shared_buffers=self._settings.shared_buffers,
        )
        place = {"cluster_name": cluster.name, "unix_socket_directories": str(self._socket)}
        users = {account.daemon_account().name, owner.name, "root"}
        configuration.write(cluster.data, {**tuning.FIXED, **tuned, **place}, owner, users)

    async def _see_to_database(self) -> None:
        try:
            connection = await self._connect(configuration.DATABASE)
        except asyncpg.InvalidCatalogNameError:
            connection = await self._connect("postgres")
            try:
                await connection.execute(f"create database {configuration.DATABASE}")
            finally:
                await connection.close()
            connection = await self._connect(configuration.DATABASE)
        try:
            await extension.ensure(connection)
            await extension.update(connection)
        finally:
            await connection.close()

    async def _connect(self, database: str) -> asyncpg.Connection:
        return await asyncpg.connect(
            dsn(self._socket, database), timeout=self._settings.start_timeout, command_timeout=COMMAND_TIMEOUT
        )


def dsn(socket: Path, database: str) -> str:
    """The address of a database behind a socket; all parts are named, lest PGUSER or PGSSLMODE decide."""
    place = quote(str(socket), safe="")
    return f"postgresql://{configuration.SUPERUSER}@/{database}?host={place}&port=5432&sslmode=disable"


def _check_major(cluster: Cluster) -> None:
    found = (cluster.data / "PG_VERSION").read_text(encoding="utf-8").strip()
    if found != str(binaries.MAJOR):
        raise DatabaseUnusable(
            f"The database in {cluster.folder} is of PostgreSQL {found}, this memdeck carries {binaries.MAJOR}: "
            "run `memdeck db upgrade`, which makes a backup first."
        )


def _trouble(error: Exception, home: Home) -> str:
    if not isinstance(error, OSError):
        return f"The embedded database of {home.root} refuses its set-up: {error}. Its log is in {home.root}/logs."
    where = error.filename or home.root
    return (
        f"The database of {home.root} cannot be started: {where}: {error.strerror or type(error).__name__}. "
        "Check that this path exists, is writable for the user of memdeckd and has free space."
    )
