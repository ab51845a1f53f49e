"""Puts synthetic memories into a database as fast as it takes them: COPY, in short transactions.

Owns the rows as they would be had each been added, but for receipts and history, which searches do not read. Triggers are
off meanwhile: the vectors come along, nothing waits for an embedder. The local vectors are the leading dimensions of the
others; the local space is not what is measured.
"""

import asyncio
import hashlib
import io
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import numpy as np
from numpy.typing import NDArray

from bench.synthetic import ACTORS, Batch, Synthetic, created_ms
from memdeck_daemon.infra.postgres import configuration
from memdeck_daemon.infra.postgres.cluster import dsn

BATCH: Final = 10_000
LOCAL: Final = 256
HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"


async def connected(sandbox: Path) -> asyncpg.Connection:
    """A connection to the embedded database of a daemon that runs in a sandbox."""
    socket = await asyncio.to_thread(lambda: next(sandbox.rglob(".s.PGSQL.5432")))
    connection = await asyncpg.connect(dsn(socket.parent, configuration.DATABASE), command_timeout=600)
    await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    return connection


class Loader:
    """Loads one database."""

    def __init__(
        self, connection: Any, life: Synthetic, users: Sequence[str], space: int | None, run_length: int
    ) -> None:
        """`space`: number of the space of the vectors, beside the local one; `run_length`: memories of a run; 0: no runs."""
        self._connection, self._life, self._users, self._space = connection, life, users, space
        self._run_length = run_length
        self.counts: Counter[str] = Counter()

    async def load(self, memories: int, say: Callable[[int], None]) -> None:
        """All of them: one user after the other in parts of equal size."""
        share = -(-memories // len(self._users))
        for first in range(0, memories, BATCH):
            batch = self._life.batch(first, min(BATCH, memories - first))
            owners = [self._users[(first + place) // share] for place in range(len(batch.ids))]
            async with self._connection.transaction():
                await self._put(first, batch, owners)
            self.counts.update(owners)
            say(first + len(batch.ids))
        await self._counters()
        await self._connection.execute("ANALYZE memory.memories, memory.locator")

    async def _put(self, first: int, batch: Batch, owners: list[str]) -> None:
        lines = [
            self._line(first + place, owner, memory_id, text)
            for place, (owner, memory_id, text) in enumerate(zip(owners, batch.ids, batch.texts, strict=True))
        ]
        columns = "owner id user_id run_id arrival actor_id text hash created_at updated_at".split()
        await self._copy("memories", "".join(lines).encode(), columns, "text")
        located = "".join(f"{i}\tuser:{o}\n" for o, i in zip(owners, batch.ids, strict=True))
        await self._copy("locator", located.encode(), ["id", "owner"], "text")
        short = batch.vectors[:, :LOCAL].astype(np.float32)
        short /= np.linalg.norm(short, axis=1, keepdims=True)
        tables = {"vectors_1": short.astype(np.float16)}
        if self._space is not None:
            tables[f"vectors_{self._space}"] = batch.vectors
        for table, vectors in tables.items():
            for owner in dict.fromkeys(owners):
                chosen = [place for place, one in enumerate(owners) if one == owner]
                raw = _binary(f"user:{owner}", [batch.ids[place] for place in chosen], vectors[chosen])
                await self._copy(table, raw, ["owner", "id", "embedding"], "binary")

    def _line(self, number: int, owner: str, memory_id: uuid.UUID, text: str) -> str:
        at = datetime.fromtimestamp(created_ms(number) / 1e3, UTC).isoformat()
        run, arrival = "\\N", "\\N"
        if self._run_length:
            run, arrival = f"run-{number // self._run_length}", str(number % self._run_length + 1)
        digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        actor = ACTORS[number % len(ACTORS)]
        return (
            f"user:{owner}\t{memory_id}\t{owner}\t{run}\t{arrival}\t{actor}\t{text}\t{digest}\t{at}\t{at}\n"
        )

    async def _copy(self, table: str, raw: bytes, columns: list[str], kind: str) -> None:
        await self._connection.copy_to_table(
            table, schema_name="memory", source=io.BytesIO(raw), columns=columns, format=kind
        )

    async def _counters(self) -> None:
        rows = [("user", name, 1, count, count) for name, count in self.counts.items()]
        await self._connection.copy_records_to_table(
            "identifiers",
            schema_name="memory",
            records=rows,
            columns=["kind", "value", "generation", "memories", "owned"],
        )
        if self._run_length:
            await self._connection.execute(
                "INSERT INTO memory.runs (owner, run_id, last_arrival) "
                "SELECT owner, run_id, max(arrival) FROM memory.memories WHERE run_id IS NOT NULL GROUP BY 1, 2"
            )
            await self._connection.execute(
                "INSERT INTO memory.identifiers (kind, value, generation, memories, owned) "
                "SELECT 'run', run_id, 1, count(*), 0 FROM memory.memories WHERE run_id IS NOT NULL GROUP BY 2"
            )


def _binary(owner: str, ids: Sequence[uuid.UUID], vectors: NDArray[np.float16]) -> bytes:
    """COPY's binary format of rows (owner, id, embedding), all of one length."""
    name, dimensions = owner.encode(), vectors.shape[1]
    kind = np.dtype([
        ("fields", ">i2"), ("name_length", ">i4"), ("name", f"S{len(name)}"), ("id_length", ">i4"), ("id", "V16"),
        ("length", ">i4"), ("dimensions", ">u2"), ("unused", ">u2"), ("values", ">f2", (dimensions,)),
    ])  # fmt: skip
    rows = np.zeros(len(ids), kind)
    rows["fields"], rows["name_length"], rows["name"], rows["id_length"] = 3, len(name), name, 16
    rows["id"] = np.frombuffer(b"".join(one.bytes for one in ids), "V16")
    rows["length"], rows["dimensions"], rows["values"] = 4 + 2 * dimensions, dimensions, vectors
    return HEADER + rows.tobytes() + TRAILER
