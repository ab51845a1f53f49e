"""Keys without a database."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from memdeck_common.errors import StoreUnavailable
from memdeck_daemon.api.access.store import KeyRow


class FakeKeyStore:
    """All keys in one process; several `Access` may share it, as daemons share a database."""

    def __init__(self) -> None:
        self.rows: dict[uuid.UUID, KeyRow] = {}
        self.available = True
        self.touches = 0

    def _check(self) -> None:
        if not self.available:
            raise StoreUnavailable

    async def all(self) -> list[KeyRow]:
        """Every key, newest first."""
        self._check()
        return sorted(self.rows.values(), key=lambda row: (row.created_at, row.id), reverse=True)

    async def insert(self, row: KeyRow) -> None:
        """Keep a new key."""
        self._check()
        self.rows[row.id] = row

    async def revoke(self, key_id: uuid.UUID, at: datetime) -> None:
        """End a key."""
        self._check()
        row = self.rows[key_id]
        self.rows[key_id] = replace(row, revoked_at=row.revoked_at or at)

    async def touch(self, used: Mapping[uuid.UUID, datetime]) -> None:
        """Note when keys were last used."""
        self._check()
        self.touches += 1
        for key_id, at in used.items():
            self.rows[key_id] = replace(self.rows[key_id], last_used_at=at)
