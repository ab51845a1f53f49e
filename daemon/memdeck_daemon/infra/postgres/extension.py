"""pgvector in a database: present, new enough, made where it may be made.

Owns the one check that embedded and external servers share.
"""

from typing import Any

import asyncpg

from memdeck_common.errors import DatabaseUnusable

LEAST = (0, 8)
STATE = """
select (select extversion from pg_extension where extname = 'vector') as installed,
       (select default_version from pg_available_extensions where name = 'vector') as available,
       current_database() as database
"""


def number(version: str) -> tuple[int, ...]:
    """`0.8.5` as (0, 8, 5); what is not a number ends it."""
    parts: list[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)


async def ensure(connection: Any) -> None:
    """See that pgvector 0.8 or later is there: create it or bring it up to date where this role may.

    Raises:
        DatabaseUnusable: it is absent or too old, and what a person must do.
    """
    state = await connection.fetchrow(STATE)
    installed, available, database = state["installed"], state["available"], state["database"]
    if installed is not None and number(installed) >= LEAST:
        return
    if available is None or number(available) < LEAST:
        has = f"pgvector {installed or available}" if installed or available else "no pgvector"
        raise DatabaseUnusable(
            f"This PostgreSQL has {has}, but memdeck needs pgvector 0.8 or later: "
            "install it on the server (Debian: the package postgresql-NN-pgvector; managed services: choose a newer version)."
        )
    statement = (
        "create extension if not exists vector" if installed is None else "alter extension vector update"
    )
    try:
        await connection.execute(statement)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.UniqueViolationError) as error:
        if isinstance(error, asyncpg.UniqueViolationError):  # somebody else made it at the same time
            return
        raise DatabaseUnusable(
            f'This role may not set up pgvector: let a superuser run `{statement};` in database "{database}".'
        ) from None


async def update(connection: Any) -> None:
    """Bring an installed pgvector up to what the server carries; for the embedded server, whose wheel moves on."""
    state = await connection.fetchrow(STATE)
    if state["installed"] != state["available"]:
        await connection.execute("alter extension vector update")
