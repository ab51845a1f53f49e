"""Making a new cluster, all or nothing.

Owns initdb. The cluster is made under a temporary name and gets its real one when it is complete and on disk, so that
whatever interrupts this leaves no half-made database behind, only a folder that a later start removes.
"""

import os
import shutil
import subprocess
from pathlib import Path

from memdeck_common.clock import Clock
from memdeck_common.errors import DatabaseUnusable
from memdeck_daemon.infra.postgres import configuration, processes
from memdeck_daemon.infra.postgres.account import Account
from memdeck_daemon.infra.postgres.binaries import Binaries
from memdeck_daemon.infra.postgres.journal import Journal
from memdeck_daemon.infra.postgres.location import UNFINISHED, Cluster, Location, private_folder, sync_folder
from memdeck_daemon.infra.postgres.progress import Stalled, Wait

NEEDED = 128 << 20
"""Bytes that an empty cluster and its first write-ahead log take."""
LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""The builtin provider sorts the same on every system and in every version; a libc locale does not."""


async def create(
    location: Location,
    instance: str,
    account: Account,
    binaries: Binaries,
    journal: Journal,
    *,
    clock: Clock,
    limit: float,
) -> Cluster:
    """Make a cluster, make it current, return it.

    Raises:
        DatabaseUnusable: there is no room for it, or initdb fails.
        OSError: a folder cannot be written.
    """
    _check_room(location.clusters)
    cluster = location.fresh(instance)
    draft = Cluster(location.clusters / f"{UNFINISHED}{cluster.name}")
    private_folder(draft.folder, account.uid, account.gid)
    await _initdb(draft.data, account, binaries, journal, clock, limit)
    draft.folder.rename(cluster.folder)
    sync_folder(location.clusters)
    location.point_to(cluster)
    return cluster


async def _initdb(
    data: Path, account: Account, binaries: Binaries, journal: Journal, clock: Clock, limit: float
) -> None:
    command = [str(binaries.initdb), f"--pgdata={data}", f"--username={configuration.SUPERUSER}", *LOCALE]
    command += ["--auth-local=peer", "--auth-host=scram-sha-256", "--no-instructions"]
    child = processes.spawn(command, account, log=journal.path)
    wait = Wait(clock, limit, lambda: _written(data), lambda _: None)
    try:
        while child.poll() is None:
            await wait.step()
    except Stalled:
        raise DatabaseUnusable(f"Making the database in {data.parent} hangs: is its disk in order?") from None
    finally:
        _end(child)
    if child.returncode != 0:
        raise journal.failure("Making the embedded database", child.returncode, data)


def _written(data: Path) -> int:
    # initdb is done within a second; on a slow disk the number of files tells that it gets on.
    return sum(len(files) for _, _, files in os.walk(data))


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.kill()
        child.wait()


def sweep(location: Location) -> None:
    """Remove what interrupted makings left; the caller holds the home's lock.

    Every start does it: a helper of a killed initdb may still write while its folder is removed, and so keep it.
    """
    for leftover in location.unfinished():
        shutil.rmtree(leftover, ignore_errors=True)


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED:
        raise DatabaseUnusable(
            f"A new database needs {NEEDED >> 20} MB, but only {free >> 20} MB are free on the disk that holds {folder}: "
            "free some space or choose another home with --home."
        )
