"""An external PostgreSQL: whether memdeck can live in it, and if not, one sentence that says what to do.

Owns the check at a start. The address holds a password: messages are made of its host, port, user and database only,
never of a driver's text that might quote it.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from memdeck_common.errors import DatabaseAway, DatabaseUnusable
from memdeck_common.settings import Database
from memdeck_daemon.infra.postgres import extension

VARIABLE = "MEMDECK_DATABASE_URL"
LEAST = 150_000
LEAST_MAJOR = 15
PAUSE = 0.5
PATIENCE = 5
"""Times that a connection may exceed its time at the start: `connect_timeout` is what a request would wait, and a machine
that is booting is slower than that."""
DEFAULT_PORT = 5432
UNREADABLE = (
    f"{VARIABLE} cannot be read: write postgresql://user:password@host:5432/database, "
    "with special characters of the password as %-codes."
)
STATE = """
select current_setting('server_version') as version,
       current_setting('server_version_num')::int as number,
       current_setting('server_encoding') as encoding,
       pg_is_in_recovery() as replica,
       to_regclass('control.migrations') is not null as ours,
       has_database_privilege(current_database(), 'CREATE') as may_create,
       quote_ident(current_database()) as database,
       quote_ident(current_user) as role
"""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a database URL that may be shown."""

    server: str
    user: str
    database: str


def address_of(url: str) -> Address:
    """Read a URL of the form `postgresql://user:password@host:port/database`.

    Raises:
        DatabaseUnusable: it is not of that form.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or parse_qs(parts.query).get("host", [""])[0]
        port = parts.port or DEFAULT_PORT
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    if parts.scheme not in {"postgresql", "postgres"} or not host:
        raise DatabaseUnusable(UNREADABLE)
    server = host if host.startswith("/") else f"{host}:{port}"
    user = unquote(parts.username or "")
    return Address(server, user, unquote(parts.path.lstrip("/")) or user)


async def check_external(url: str, settings: Database) -> None:
    """See that the server can be used; pgvector is created in the database when it is only not created yet.

    A server that says it is starting up is waited for.

    Raises:
        DatabaseAway: it cannot be reached now.
        DatabaseUnusable: it cannot be used, and what a person must do.
    """
    where = address_of(url)
    connection = await _connect(url, where, settings)
    try:
        judge(await connection.fetchrow(STATE), where)
        await extension.ensure(connection)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        gone = is_passing(error) or isinstance(error, asyncpg.InterfaceError)
        raise (DatabaseAway if gone else DatabaseUnusable)(
            f"PostgreSQL at {where.server} broke off the check ({type(error).__name__}): look at its log."
        ) from None
    finally:
        await connection.close(timeout=settings.connect_timeout)


def judge(state: Mapping[str, Any], where: Address) -> None:
    """Whether memdeck can live in a database of this state.

    Raises:
        DatabaseUnusable: it cannot, and what a person must do.
    """
    if state["number"] < LEAST:
        raise DatabaseUnusable(
            f"PostgreSQL at {where.server} is version {state['version']}, but memdeck needs {LEAST_MAJOR} or later: "
            f"upgrade it or point {VARIABLE} to another one."
        )
    if state["replica"] and not state["ours"]:  # one of ours may be promoted; until then it is read
        raise DatabaseUnusable(
            f"PostgreSQL at {where.server} is a read-only replica: point {VARIABLE} to its primary."
        )
    if state["encoding"] != "UTF8":
        raise DatabaseUnusable(
            f"Database {state['database']} at {where.server} has encoding {state['encoding']}: "
            "make one with `create database memdeck encoding 'UTF8' template template0;` and use that."
        )
    if not state["may_create"]:
        raise DatabaseUnusable(
            f"Role {state['role']} may not create schemas in database {state['database']} at {where.server}: "
            f"let its owner run `grant create on database {state['database']} to {state['role']};`."
        )


async def _connect(url: str, where: Address, settings: Database) -> Any:
    clock = asyncio.get_running_loop().time
    until = clock() + settings.start_timeout
    while True:
        try:
            return await asyncpg.connect(
                url, timeout=settings.connect_timeout * PATIENCE, command_timeout=settings.command_timeout
            )
        except asyncpg.CannotConnectNowError:
            if clock() >= until:
                raise DatabaseAway(
                    f"PostgreSQL at {where.server} has been starting up or shutting down "
                    f"for {settings.start_timeout:.0f} s: look at its log."
                ) from None
        except Exception as error:  # noqa: BLE001 - the driver raises what it likes, and may quote the URL
            raise (DatabaseAway if is_passing(error) else DatabaseUnusable)(refusal(error, where)) from None
        await asyncio.sleep(PAUSE)


def is_passing(error: Exception) -> bool:
    """Whether what the server or the way to it fails may work later, with the same settings."""
    passing = (
        OSError,
        asyncpg.TooManyConnectionsError,
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,  # it was stopped meanwhile, or crashed
        asyncpg.ReadOnlySQLTransactionError,  # pgvector is created as soon as it takes writes
    )
    return isinstance(error, passing) and not isinstance(error, ssl.SSLError)


def refusal(error: Exception, where: Address) -> str:
    """Why a connection was not made, and what to do about it."""
    match error:
        case asyncpg.InvalidCatalogNameError():
            said = f'has no database "{where.database}": create it with `create database "{where.database}";`'
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            said = f'refuses user "{where.user}": correct user and password in {VARIABLE}, or its pg_hba.conf'
        case asyncpg.TooManyConnectionsError():
            said = "has no connection left: raise its max_connections or stop other clients"
        case asyncpg.PostgresConnectionError():
            said = (
                "closes the connection at once: it is starting or stopping, or something in between is broken"
            )
        case ssl.SSLError():
            said = f"and this machine agree on no TLS: check sslmode and certificates in {VARIABLE}"
        case TimeoutError():
            said = f"does not answer: check that it runs, and host, port and firewall in {VARIABLE}"
        case OSError():
            said = f"cannot be reached ({error.strerror or 'no connection'}): start it, or correct {VARIABLE}"
        case ValueError():  # the driver reads more strictly
            return UNREADABLE
        case _:
            said = f"refuses the connection ({type(error).__name__}): check {VARIABLE}"
    return f"PostgreSQL at {where.server} {said}."
