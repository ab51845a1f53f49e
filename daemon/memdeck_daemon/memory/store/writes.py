"""Adds: many in one transaction.

Owns the statements that put a batch of adds down: receipts, arrival numbers, memories with locator, vector, history and
outbox, and last the counters. Either the whole batch is stored or nothing of it.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory import intents
from memdeck_daemon.memory.model import Event, NewMemories, NewMessage, Outcome
from memdeck_daemon.memory.store import counters, ledger, vectors
from memdeck_daemon.memory.store.rows import day_of


@dataclass(frozen=True, slots=True)
class Row:
    """One memory about to be stored."""

    id: uuid.UUID
    history_id: uuid.UUID
    message: NewMessage
    hash: uuid.UUID
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Add:
    """One add about to be stored, with the vectors of its memories."""

    intent: intents.Add
    rows: tuple[Row, ...]

    @property
    def new(self) -> NewMemories:
        """What the caller gave."""
        return self.intent.new

    @property
    def idempotency_key(self) -> ledger.IdempotencyKey | None:
        """The key that the caller chose, if any."""
        key, intent = self.new.idempotency_key, self.intent
        return (
            ledger.IdempotencyKey(intent.caller.key_id, key, intent.digest, intent.receipt_id)
            if key
            else None
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """What a committed batch tells: the outcomes of each add, and the counters."""

    outcomes: list[tuple[Outcome, ...]]
    counters: list[counters.Counter]
    arrivals: dict[uuid.UUID, int]
    """The place of each memory within its run, where it has one."""


INSERT: Final = """
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
        $8::text[], $9::text[], $10::text[], $11::uuid[], $12::text[], $13::text[], $14::text[], $15::text[],
        $16::boolean[], $17::timestamptz[], $18::timestamptz[], $19::uuid[], $20::uuid[], $21::text[])
    AS g (id, owner, user_id, agent_id, app_id, run_id, arrival, actor_id, role, text, hash, metadata, categories,
        memory_type, expiration_date, immutable, created_at, changed_at, history_id, receipt_id, changed_by)
), located AS (
    INSERT INTO memory.locator (id, owner) SELECT id, owner FROM given
), logged AS (
    INSERT INTO memory.history (id, memory_id, receipt_id, owner, user_id, agent_id, app_id, run_id, event, new_text,
        metadata, actor_id, role, changed_by, created_at)
    SELECT history_id, id, receipt_id, owner, user_id, agent_id, app_id, run_id, 'ADD', text, metadata::jsonb, actor_id,
        role, changed_by, created_at FROM given
), announced AS (
    INSERT INTO memory.outbox (owner, memory_id, change) SELECT owner, id, 'put' FROM given
)
INSERT INTO memory.memories (owner, id, user_id, agent_id, app_id, run_id, arrival, actor_id, role, text, hash, metadata,
    categories, memory_type, expiration_date, immutable, created_at, updated_at)
SELECT owner, id, user_id, agent_id, app_id, run_id, arrival, actor_id, role, text, hash, metadata::jsonb,
    ARRAY(SELECT jsonb_array_elements_text(categories::jsonb)), memory_type, expiration_date::date, immutable,
    created_at, changed_at FROM given
"""

ARRIVALS: Final = """
INSERT INTO memory.runs AS r (owner, run_id, last_arrival)
SELECT owner, run_id, amount FROM unnest($1::text[], $2::text[], $3::bigint[]) AS g (owner, run_id, amount)
ORDER BY owner, run_id
ON CONFLICT (owner, run_id) DO UPDATE SET last_arrival = r.last_arrival + excluded.last_arrival
RETURNING owner, run_id, last_arrival
"""

DUPLICATES: Final = """
SELECT DISTINCT ON (m.owner, m.hash) m.owner, m.hash, m.id FROM memory.memories m
JOIN unnest($1::text[], $2::uuid[]) AS g (owner, hash) ON m.owner = g.owner AND m.hash = g.hash
ORDER BY m.owner, m.hash, m.created_at, m.id
"""


async def insert(connection: Any, adds: Sequence[Add]) -> Stored:
    """Store a batch inside the transaction that `connection` is in."""
    arrivals = await _arrivals(connection, adds)
    known = await _duplicates(connection, adds)
    outcomes = [_outcomes(add, known) for add in adds]
    entries = [
        ledger.Entry.of(add.intent, told, note=add.intent.note)
        for add, told in zip(adds, outcomes, strict=True)
    ]
    await ledger.insert(connection, entries)
    await ledger.remember_keys(connection, [key for add in adds if (key := add.idempotency_key)])
    pairs = [(add, row) for add in adds for row in add.rows]
    if pairs:
        await connection.execute(INSERT, *_columns(pairs, arrivals))
        await vectors.insert(connection, [(a.new.identifiers.owner, r.id, r.vector) for a, r in pairs])
    touched = await counters.bump(
        connection, [(add.new.identifiers, len(add.rows)) for add in adds if add.rows]
    )
    return Stored(outcomes, touched, arrivals)


async def _arrivals(connection: Any, adds: Sequence[Add]) -> dict[uuid.UUID, int]:
    """The arrival number of each memory that belongs to a run, in the order of the batch."""
    runs: dict[tuple[str, str], list[uuid.UUID]] = {}
    for add in adds:
        if add.new.identifiers.run is not None:
            inside = runs.setdefault((add.new.identifiers.owner, add.new.identifiers.run), [])
            inside.extend(row.id for row in add.rows)
    runs = {run: ids for run, ids in sorted(runs.items()) if ids}
    if not runs:
        return {}
    owners, names = [run[0] for run in runs], [run[1] for run in runs]
    rows = await connection.fetch(ARRIVALS, owners, names, [len(ids) for ids in runs.values()])
    numbers: dict[uuid.UUID, int] = {}
    for row in rows:
        ids = runs[row["owner"], row["run_id"]]
        first = row["last_arrival"] - len(ids) + 1
        numbers |= {memory_id: first + place for place, memory_id in enumerate(ids)}
    return numbers


async def _duplicates(connection: Any, adds: Sequence[Add]) -> dict[tuple[str, uuid.UUID], uuid.UUID]:
    pairs = {(add.new.identifiers.owner, row.hash) for add in adds for row in add.rows}
    if not pairs:
        return {}
    owners, hashes = zip(*sorted(pairs), strict=True)
    rows = await connection.fetch(DUPLICATES, list(owners), list(hashes))
    return {(row["owner"], row["hash"]): row["id"] for row in rows}


def _outcomes(add: Add, known: dict[tuple[str, uuid.UUID], uuid.UUID]) -> tuple[Outcome, ...]:
    """What became of each message; the first of equal texts within the batch becomes the known one."""
    told = []
    for row in add.rows:
        place = (add.new.identifiers.owner, row.hash)
        original = known.setdefault(place, row.id)
        told.append(
            Outcome(
                Event.ADD,
                row.message.text,
                id=row.id,
                role=row.message.role,
                actor=row.message.actor,
                duplicate_of=original if original != row.id else None,
            )
        )
    return (*told, *add.intent.skipped)


def _columns(pairs: Sequence[tuple[Add, Row]], arrivals: dict[uuid.UUID, int]) -> list[list[Any]]:
    """The parameters of `INSERT`, column by column."""
    lines = [_line(add, row, arrivals.get(row.id)) for add, row in pairs]
    return [list(column) for column in zip(*lines, strict=True)]


def _line(add: Add, row: Row, arrival: int | None) -> tuple[Any, ...]:
    new, names, intent = add.new, add.new.identifiers, add.intent
    return (
        row.id, names.owner, names.user, names.agent, names.app, names.run, arrival, row.message.actor, row.message.role,
        row.message.text, row.hash, msgspec.json.encode(new.metadata).decode(),
        msgspec.json.encode(new.categories).decode(), new.memory_type, day_of(new.expiration_date), new.immutable,
        new.created_at or intent.at, intent.at, row.history_id, intent.receipt_id, intent.caller.name,
    )  # fmt: skip
