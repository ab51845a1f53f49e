"""Processes: starting those of PostgreSQL, finding those of one cluster, telling whether they get on.

Owns the rule that nothing is ever signalled which is not proven to belong to the cluster: on Linux a process named
`postgres` whose working directory is the data directory, elsewhere one whose command line names the data directory or
the cluster's name. A number in a file proves nothing, numbers are used again.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from memdeck_daemon.infra.postgres import launcher
from memdeck_daemon.infra.postgres.account import Account

PROC = Path("/proc")
PS_TIMEOUT = 5.0
MULTIPLE_FIELDS = 2


def spawn(
    command: Sequence[str], account: Account, *, log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program under an account; it is interrupted (SIGINT) when the daemon dies, on Linux.

    Call it from the main thread: the signal comes when the thread that started the program ends. The child gets a
    session of its own, so that Ctrl-C on a terminal reaches the daemon alone, and nothing of the daemon's environment,
    whose PGPORT or PGDATA would reach the server. Its output is appended to `log`.
    """
    uid, gid = (account.uid, account.gid) if account.foreign else (-1, -1)
    prefix = [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), str(uid), str(gid)]
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        return subprocess.Popen(
            [*prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC", **(environment or {})},
            start_new_session=True,
        )
    finally:
        os.close(output)


@dataclass(frozen=True, slots=True)
class Residents:
    """The live processes of one cluster."""

    postmasters: frozenset[int]
    others: frozenset[int]

    def __bool__(self) -> bool:
        return bool(self.postmasters or self.others)


def residents(data: Path, cluster_name: str) -> Residents:
    """The processes of the cluster in `data`; `cluster_name` stands in the titles of its backends."""
    if PROC.joinpath("self", "cwd").exists():
        return _from_proc(data.resolve())
    listing = subprocess.run(
        ["/bin/ps", "-axww", "-o", "pid=,command="], capture_output=True, timeout=PS_TIMEOUT, check=True
    )
    return from_listing(listing.stdout.decode(errors="replace"), data, cluster_name)


def from_listing(text: str, data: Path, cluster_name: str) -> Residents:
    """The processes of a cluster in the output of `ps -o pid=,command=`."""
    postmasters: set[int] = set()
    others: set[int] = set()
    for line in text.splitlines():
        fields = line.split(None, 1)
        if len(fields) < MULTIPLE_FIELDS or not fields[0].isdigit():
            continue
        pid, command = int(fields[0]), fields[1].strip()
        if command.endswith(f"/postgres -D {data}"):
            postmasters.add(pid)
        elif command.startswith(f"postgres: {cluster_name}: "):
            others.add(pid)
    return Residents(frozenset(postmasters), frozenset(others))


def _from_proc(data: Path) -> Residents:
    postmasters: set[int] = set()
    others: set[int] = set()
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # it ended, or belongs to somebody else
            if (entry / "comm").read_text().strip() != "postgres" or (entry / "cwd").readlink() != data:
                continue
            # Only the postmaster keeps its arguments, the others show a title.
            is_postmaster = b"\0-D\0" in (entry / "cmdline").read_bytes()
            (postmasters if is_postmaster else others).add(int(entry.name))
    return Residents(frozenset(postmasters), frozenset(others))


def exists(pid: int) -> bool:
    """Whether there is a process of this number, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def interrupt(pids: frozenset[int], number: signal.Signals) -> None:
    """Send a signal to processes found by `residents`."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def work_done(pid: int) -> tuple[int, ...]:
    """Processor time of a postmaster and its children and bytes of the children so far: it changes while they do something.

    The postmaster's own bytes are left out: once a minute it reads its lock file, also when all is stuck. Empty where the
    system does not say; then only the log tells.
    """
    done: list[int] = []
    with suppress(OSError, ValueError):
        children = (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()
        for process in (str(pid), *children):
            fields = (PROC / process / "stat").read_text().rpartition(")")[2].split()
            done += [int(fields[11]), int(fields[12])]
            if process == str(pid):
                continue
            with suppress(OSError):
                done += [
                    int(line.split()[1])
                    for line in (PROC / process / "io").read_text().splitlines()
                    if line.startswith(("rchar", "wchar"))
                ]
    return tuple(done)
