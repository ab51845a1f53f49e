"""The system account that PostgreSQL runs as.

Owns the choice: the daemon's own account, except for root, which PostgreSQL refuses. Then it is the account that owns
the cluster, or for a new cluster `memdeck`, which is created where the system allows it. Refuses accounts without a
name, because both initdb and peer authentication look the name up.
"""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from memdeck_common.errors import DatabaseUnusable

SERVICE = "memdeck"
FALLBACKS = ("postgres", "_postgres", "nobody")
"""Accounts taken where `memdeck` neither exists nor can be made: macOS has `_postgres`."""
CREATE_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the system."""

    name: str
    uid: int
    gid: int

    @property
    def foreign(self) -> bool:
        """Whether a process must change its user to become this account."""
        return self.uid != os.geteuid()


def daemon_account() -> Account:
    """The account of this process.

    Raises:
        DatabaseUnusable: its uid has no name.
    """
    return _named(os.geteuid())


def owner_of(path: Path) -> Account:
    """The account that owns a cluster made earlier.

    Raises:
        DatabaseUnusable: it belongs to root or to an account without a name.
    """
    uid = path.stat().st_uid
    if uid == 0:
        raise DatabaseUnusable(
            f"{path} belongs to root, but PostgreSQL refuses to run as root: "
            f"give it to an unprivileged user with `chown -R {SERVICE} {path}`."
        )
    return _named(uid)


def service_account() -> Account:
    """The unprivileged account for a new cluster of a daemon that runs as root; it may be created here (blocks).

    Raises:
        DatabaseUnusable: there is none and none can be made.
    """
    found = _lookup(SERVICE)
    if found is None:
        _create()
    for name in (SERVICE, *FALLBACKS):
        found = _lookup(name)
        if found is not None and found.uid != 0:
            return found
    raise DatabaseUnusable(
        "PostgreSQL refuses to run as root and no unprivileged user could be made: "
        f"create one with `useradd --system {SERVICE}`, or start memdeckd as an ordinary user."
    )


def _create() -> None:
    commands = (
        ("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVICE),
        ("adduser", "-S", "-D", "-H", SERVICE),  # BusyBox
    )
    for command in commands:
        program = shutil.which(command[0], path="/usr/sbin:/sbin:/usr/bin:/bin")
        if program is not None:
            # A second daemon may be making it too: whether it exists afterwards decides, not the exit code.
            subprocess.run([program, *command[1:]], capture_output=True, timeout=CREATE_TIMEOUT, check=False)
            return


def _lookup(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _named(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise DatabaseUnusable(
            f"User id {uid} has no name on this system, which PostgreSQL needs: add it to /etc/passwd, "
            "or set MEMDECK_DATABASE_URL to an external PostgreSQL."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
