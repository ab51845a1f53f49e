"""The files that PostgreSQL reads at a start: `memdeck.conf`, `pg_hba.conf` and `pg_ident.conf`.

Owns them: all three are written anew at each start, because the machine, the place of the cluster and the user of the
daemon may have changed. What a person sets with ALTER SYSTEM is read last and wins. Nobody gets in but through the
socket, as a user of this system whom the kernel vouches for; no password exists.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from memdeck_daemon.infra.postgres.account import Account

SUPERUSER = "memdeck"
DATABASE = "memdeck"
INCLUDE = "include_if_exists = 'memdeck.conf'"
HBA = f"""# Written by memdeckd at each start.
local all         {SUPERUSER} peer map=memdeck
local replication {SUPERUSER} peer map=memdeck
"""


def write(data: Path, settings: Mapping[str, str], account: Account, users: Iterable[str]) -> None:
    """Write all three; `users` are the system's users who may connect, files go to `account`.

    Raises:
        OSError: one cannot be written.
    """
    lines = "".join(f"{name} = {quoted(value)}\n" for name, value in settings.items())
    _replace(data / "memdeck.conf", f"# Written by memdeckd at each start.\n{lines}", account)
    _replace(data / "pg_hba.conf", HBA, account)
    _replace(data / "pg_ident.conf", identities(users), account)
    main = data / "postgresql.conf"
    text = _read(main)
    if INCLUDE not in text.splitlines():
        _replace(main, f"{text.rstrip()}\n\n{INCLUDE}\n", account)


def identities(users: Iterable[str]) -> str:
    """The map from users of the system to the one role."""
    rows = "".join(f'memdeck "{user}" {SUPERUSER}\n' for user in sorted(set(users)))
    return f"# Written by memdeckd at each start.\n{rows}"


def quoted(value: str) -> str:
    """A value for postgresql.conf."""
    doubled = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"


# The folder belongs to an account that root does not trust: no link in it is followed, no path used twice.


def _read(path: Path) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
        return file.read()


def _replace(path: Path, text: str, account: Account) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if account.foreign:
            os.fchown(file.fileno(), account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
