"""Schema migrations: plain SQL files, applied once, in order, each in a transaction of its own.

Owns `control.migrations`. A file is `NNNN_name.sql`, numbered from 1 without gaps, and never changes once it was applied:
its SHA-256 is kept. Refuses changed files, gaps, and databases that a newer build has already moved on. Daemons that
start at the same time wait for each other; the lock ends with the transaction, so it also works behind a connection
proxy, and cannot be left behind.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import asyncpg

from memdeck_common.errors import DatabaseAway, DatabaseUnusable

FILE = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
LOCK = 0x6D656D6465636B
"""`memdeck`: the advisory lock."""
LOCK_TIMEOUT = "30s"
LONGEST = 3600.0
"""Seconds that one file may take."""
LEDGER = """
create schema if not exists control;
create table if not exists control.migrations (
    number     integer primary key,
    name       text not null,
    checksum   text not null,
    applied_at timestamptz not null default now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hexadecimal; line ends do not count, version control may change them."""
        return hashlib.sha256(self.sql.replace("\r\n", "\n").encode()).hexdigest()


def default_directory() -> Traversable:
    """The migrations of this build, inside a wheel too."""
    return files("memdeck_daemon.infra.postgres") / "migrations"


def load(directory: Traversable | Path) -> list[Migration]:
    """All migrations of a directory, in order.

    Raises:
        DatabaseUnusable: a name does not fit, a number is missing or there twice.
    """
    found: list[Migration] = []
    for entry in directory.iterdir():
        if not entry.name.endswith(".sql"):
            continue
        match = FILE.fullmatch(entry.name)
        if match is None:
            raise DatabaseUnusable(
                f"Migration {entry.name} is not named NNNN_name.sql: this installation is damaged, reinstall it."
            )
        found.append(Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.name)
    for expected, migration in enumerate(found, 1):
        if migration.number != expected:
            raise DatabaseUnusable(
                f"Migration {migration.name} stands where number {expected:04} is expected: "
                "this installation is incomplete, reinstall it."
            )
    return found


def pending(available: Sequence[Migration], applied: Mapping[int, tuple[str, str]]) -> list[Migration]:
    """The migrations still to apply; `applied` holds name and checksum by number.

    Raises:
        DatabaseUnusable: what was applied is not the beginning of what is available.
    """
    if applied and max(applied) > len(available):
        name, _ = applied[max(applied)]
        raise DatabaseUnusable(
            f"The database is newer than this memdeck: it knows {name}, this build ends at {len(available):04}. "
            "Install the newer memdeck, or restore a backup made by this one."
        )
    for number in range(1, max(applied, default=0) + 1):
        migration = available[number - 1]
        if number not in applied:
            raise DatabaseUnusable(
                f"The database lacks migration {migration.name} although later ones were applied: restore a backup."
            )
        if applied[number][1] != migration.checksum:
            raise DatabaseUnusable(
                f"Migration {migration.name} was changed after it was applied to this database: reinstall memdeck, "
                "or restore the file that was applied."
            )
    return list(available[max(applied, default=0) :])


async def migrate(connection: Any, directory: Traversable | Path | None = None) -> list[str]:
    """Apply what is pending and return the names of the files that were applied.

    Each file and its entry in the ledger are one transaction: a failure or a kill leaves the previous state. A database
    that takes no writes is left as it is: it can be read if nothing is pending.

    Raises:
        DatabaseAway: it takes no writes, and something is pending.
        DatabaseUnusable: the files and the database do not fit, another process holds the lock for 30 s, or a file fails.
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError: the server went away.
    """
    available = load(directory or default_directory())
    if await connection.fetchval("select current_setting('transaction_read_only') = 'on'"):
        await _check(connection, available)
        return []
    done: list[str] = []
    while True:
        name = await _apply_next(connection, available)
        if name is None:
            return done
        done.append(name)


async def _check(connection: Any, available: Sequence[Migration]) -> None:
    known = await connection.fetchval("select to_regclass('control.migrations') is not null")
    if todo := pending(available, await _applied(connection) if known else {}):
        raise DatabaseAway(
            f"The database takes no writes and lacks migration {todo[0].name}: it is applied as soon as it takes them."
        )


async def _applied(connection: Any) -> dict[int, tuple[str, str]]:
    rows = await connection.fetch("select number, name, checksum from control.migrations")
    return {row["number"]: (row["name"], row["checksum"]) for row in rows}


async def _apply_next(connection: Any, available: Sequence[Migration]) -> str | None:
    async with connection.transaction():
        await _lock(connection)
        await connection.execute(LEDGER)
        todo = pending(available, await _applied(connection))
        if not todo:
            return None
        migration = todo[0]
        try:
            await connection.execute(migration.sql, timeout=LONGEST)
        except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
            raise  # the server went away: the file is not to blame
        except asyncpg.PostgresError as error:
            raise DatabaseUnusable(
                f"Migration {migration.name} failed and was rolled back: {error}. The database is as it was before."
            ) from error
        await connection.execute(
            "insert into control.migrations (number, name, checksum) values ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.checksum,
        )
        return migration.name


async def _lock(connection: Any) -> None:
    await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'; set local statement_timeout = 0")
    try:
        await connection.execute("select pg_advisory_xact_lock($1)", LOCK, timeout=LONGEST)
    except asyncpg.LockNotAvailableError:
        raise DatabaseUnusable(
            "Another process has been migrating this database for more than 30 s: wait until it is done and start again."
        ) from None
    await connection.execute("set local lock_timeout = 0")
