"""One run of the embedded server: cleared way, start, readiness, stop.

Owns the order in which things are asked to end: a fast shutdown (SIGINT), an immediate one (SIGQUIT, which costs a
crash recovery at the next start and no data), and only then SIGKILL.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from memdeck_common.clock import Clock
from memdeck_common.errors import DatabaseAway, DatabaseUnusable
from memdeck_daemon.infra.postgres import pidfile, processes
from memdeck_daemon.infra.postgres.account import Account
from memdeck_daemon.infra.postgres.binaries import Binaries
from memdeck_daemon.infra.postgres.journal import Journal
from memdeck_daemon.infra.postgres.location import SOCKET_NAME, Cluster
from memdeck_daemon.infra.postgres.progress import Stalled, Wait

STILL = 8.0
"""Seconds without any movement after which a clean stop is given up. One that is asked for during crash recovery can hang
for good (PostgreSQL 18 with its I/O workers); an immediate stop loses nothing, it recovers at the next start."""
IMMEDIATE = 10.0
"""Seconds for an immediate shutdown; the server itself kills its children after 5."""
ORPHANS = 5.0
"""Seconds for backends to notice that their postmaster is gone."""
TRIES = 5
READY = {"ready", "standby"}


class Server:
    """Starts, watches and stops the postmaster of one cluster."""

    def __init__(
        self,
        cluster: Cluster,
        account: Account,
        binaries: Binaries,
        journal: Journal,
        *,
        limit: float,
        progress: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """`limit`: seconds without progress after which a wait is given up."""
        self.cluster = cluster
        self.account = account
        self._binaries = binaries
        self._journal = journal
        self._limit = limit
        self._progress = progress
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's pid while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def ended(self) -> int | None:
        """The exit code of a postmaster that is no more (negative: the signal); None while it runs."""
        return self._child.poll() if self._child is not None else None

    async def start(self, socket_folder: Path) -> None:
        """Run the postmaster until it takes connections, after whatever is left of an earlier one has gone.

        Raises:
            DatabaseUnusable: it does not start, with the reason, or nothing moves for the limit.
        """
        for attempt in range(1, TRIES + 1):
            await self.clear()
            self._journal.open()
            _remove_socket(socket_folder)
            try:
                await self._launch()
            except DatabaseUnusable:
                # A daemon killed a moment ago may have left a server that was not yet to be seen.
                if attempt == TRIES or not self._journal.another_server():
                    raise
            else:
                return

    async def _launch(self) -> None:
        data = self.cluster.data
        command = [str(self._binaries.postgres), "-D", str(data)]
        self._child = processes.spawn(
            command, self.account, log=self._journal.path, environment=self._not_alive()
        )
        wait = Wait(self._clock, self._limit, self._signs, self._tell_start)
        try:
            while not self._is_ready():
                if (code := self._child.poll()) is not None:
                    raise self._journal.failure("The embedded database", code, data)
                await wait.step()
        except Stalled:
            raise DatabaseAway(
                f"The embedded database has not become ready and nothing has moved for {self._limit:.0f} s: "
                f"look at {self._journal.path}, or raise MEMDECK_POSTGRES_START_TIMEOUT."
            ) from None

    def _not_alive(self) -> dict[str, str]:
        """Tells PostgreSQL that the number in its pid file now belongs to an unrelated process.

        It ignores the pids of itself, its parent and its grandparent there, and takes the last from the environment
        (pg_ctl's way). Better than removing the file, which also guards the shared memory of orphaned backends.
        """
        stale = pidfile.read(self.cluster.data)
        if stale is None or not processes.exists(stale.pid):
            return {}
        # Looked at last: a server that a killed daemon was just starting must not be declared dead.
        ours = processes.residents(self.cluster.data, self.cluster.name)
        return {} if stale.pid in ours.postmasters else {"PG_GRANDPARENT_PID": str(stale.pid)}

    def _is_ready(self) -> bool:
        said = pidfile.read(self.cluster.data)
        return said is not None and said.pid == self.pid and said.status in READY

    def _signs(self) -> object:
        return self._journal.size, processes.work_done(self.pid or 0)

    def _tell_start(self, seconds: float) -> None:
        said = self._journal.recovery() or "the database is starting up"
        self._progress(f"waiting for the embedded database for {seconds:.0f} s: {said}")

    async def stop(self) -> None:
        """Shut down: fast, then immediate, then by force. Does nothing when it does not run."""
        child = self._child
        if child is not None and child.poll() is None:
            pids = frozenset({child.pid})
            await self._end(pids, lambda: child.poll() is None, "stopping the embedded database")
        self._child = None

    async def clear(self) -> None:
        """See that nothing of an earlier run is left: neither postmaster, nor backends, nor an unreadable pid file.

        Raises:
            DatabaseUnusable: something cannot be got rid of.
        """
        data, name = self.cluster.data, self.cluster.name
        found = await asyncio.to_thread(processes.residents, data, name)
        if found.postmasters:
            self._progress(
                f"waiting for the database of an earlier daemon (pid {min(found.postmasters)}) to stop"
            )
            pids = found.postmasters
            await self._end(pids, lambda: any(map(_runs, pids)), "stopping the database of an earlier daemon")
        if found:
            await self._clear_orphans()
        if pidfile.read(data) is None:
            # Empty after a power cut: PostgreSQL would ask for a person to remove it.
            (data / pidfile.NAME).unlink(missing_ok=True)

    async def _clear_orphans(self) -> None:
        begun = self._clock.monotonic()
        while found := await asyncio.to_thread(processes.residents, self.cluster.data, self.cluster.name):
            waited = self._clock.monotonic() - begun
            if waited > ORPHANS + IMMEDIATE:
                pids = sorted(found.postmasters | found.others)
                raise DatabaseUnusable(
                    f"Processes of an earlier run of the database cannot be ended: {pids}."
                )
            if waited > ORPHANS:
                processes.interrupt(found.postmasters | found.others, signal.SIGKILL)
            await asyncio.sleep(0.05)

    async def _end(self, pids: frozenset[int], runs: Callable[[], bool], what: str) -> None:
        for number, limit in (
            (signal.SIGINT, min(self._limit, STILL)),
            (signal.SIGQUIT, IMMEDIATE),
            (signal.SIGKILL, IMMEDIATE),
        ):
            processes.interrupt(pids, number)
            wait = Wait(
                self._clock,
                limit,
                lambda: tuple(map(processes.work_done, pids)),
                lambda seconds: self._progress(f"{what}: {seconds:.0f} s so far"),
            )
            with suppress(Stalled):
                while runs():
                    await wait.step()
                return
        raise DatabaseUnusable(f"Process {min(pids)} survives SIGKILL: its disk does not answer.")


def _runs(pid: int) -> bool:
    """Whether a process that is not our child still does something; a zombie does not."""
    try:
        return processes.PROC.joinpath(str(pid), "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return not processes.PROC.joinpath("self").exists() and processes.exists(pid)


def _remove_socket(folder: Path) -> None:
    # The folder is this cluster's own and no server of it lives: what lies here is a stale socket and its lock.
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        with suppress(FileNotFoundError):
            os.unlink(folder / name)  # noqa: PTH108 - a socket may dangle
