"""`control.keys`: the SQL of API keys.

Owns the rows and nothing else. The port (`KeyStore`) has an in-memory twin for tests.
"""

import uuid
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from memdeck_common.wire.keys import Role


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as it is stored: its digest, never the key."""

    id: uuid.UUID
    label: str
    key_prefix: str
    digest: bytes
    role: Role
    users: tuple[str, ...]
    agents: tuple[str, ...]
    rate_limit: int | None
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class KeyStore(Protocol):
    """Where keys are kept."""

    async def all(self) -> list[KeyRow]:
        """Every key, revoked ones included, newest first."""

    async def insert(self, row: KeyRow) -> None:
        """Keep a new key."""

    async def revoke(self, key_id: uuid.UUID, at: datetime) -> None:
        """End a key; one that has ended keeps its date."""

    async def touch(self, used: Mapping[uuid.UUID, datetime]) -> None:
        """Note when keys were last used."""


class Database(Protocol):
    """What this store needs of the database (`infra.postgres.database.Database`)."""

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """A connection; its errors are those of `errors.py`."""


class PostgresKeyStore:
    """Keys in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[KeyRow]:
        """Every key, revoked ones included, newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, label, key_prefix, digest, role, users, agents, rate_limit, created_at, last_used_at,"
                " revoked_at FROM control.keys ORDER BY created_at DESC, id DESC"
            )
        return [
            KeyRow(**{**dict(row), "users": tuple(row["users"]), "agents": tuple(row["agents"])})
            for row in rows
        ]

    async def insert(self, row: KeyRow) -> None:
        """Keep a new key."""
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO control.keys (id, label, key_prefix, digest, role, users, agents, rate_limit, created_at)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                row.id, row.label, row.key_prefix, row.digest, row.role,
                list(row.users), list(row.agents), row.rate_limit, row.created_at,
            )  # fmt: skip

    async def revoke(self, key_id: uuid.UUID, at: datetime) -> None:
        """End a key; one that has ended keeps its date."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE control.keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", key_id, at
            )

    async def touch(self, used: Mapping[uuid.UUID, datetime]) -> None:
        """Note when keys were last used."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE control.keys SET last_used_at = used.at"
                " FROM unnest($1::uuid[], $2::timestamptz[]) AS used (id, at)"
                " WHERE keys.id = used.id AND (last_used_at IS NULL OR last_used_at < used.at)",
                list(used), list(used.values()),
            )  # fmt: skip
