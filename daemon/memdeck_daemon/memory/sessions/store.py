"""Rows of windows and traces.

Owns their statements. A window is read from the memories themselves, so that what was changed, deleted or has expired is
never told again.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import FIELD_OF, Identifiers
from memdeck_daemon.memory.sessions.model import NewTrace, Said, Trace, TraceKind
from memdeck_daemon.memory.store.conditions import Arguments, condition
from memdeck_daemon.memory.store.reads import Branches
from memdeck_daemon.memory.store.rows import identifiers_of

INSERT: Final = """
INSERT INTO memory.traces AS t (id, owner, user_id, agent_id, app_id, run_id, kind, event, decision, rationale, outcome,
    reward, memory_ids, metadata, digest, appended_by, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (id) DO NOTHING RETURNING t.*
"""
BY_ID: Final = "SELECT t.* FROM memory.traces t WHERE t.id = $1"
PURGE: Final = """
WITH old AS (SELECT id FROM memory.traces WHERE expires_at < $1 LIMIT $2)
DELETE FROM memory.traces t USING old WHERE t.id = old.id
"""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the service adds to a new trace."""

    id: uuid.UUID
    digest: bytes
    by: str
    created_at: datetime
    expires_at: datetime


async def window(
    connection: Any, where: Filter, branches: Branches, *, run: bool, limit: int, today: date
) -> list[Said]:
    """The newest memories, in the order in which they were said.

    With `run` they are one run's and were numbered on arrival; otherwise they go by their own time. Where the owner is not
    named, the runs of several owners may be meant, whose numbers do not compare: ids, which grow with time, do.
    """
    arguments = Arguments()
    sql = condition(where, branches, arguments, today=today)
    owned = all(any(name.kind == "user" for name in branch) for branch in branches)
    order = "m.created_at DESC, m.id DESC" if not run else "m.arrival DESC" if owned else "m.id DESC"
    rows = await connection.fetch(
        f"SELECT m.id, m.text, m.role, m.actor_id, m.created_at FROM memory.memories m WHERE {sql} "  # noqa: S608
        f"ORDER BY {order} LIMIT {arguments.add(limit)}",
        *arguments.values,
    )
    return [
        Said(row["id"], row["text"], row["role"], row["actor_id"], row["created_at"])
        for row in reversed(rows)
    ]


async def append(connection: Any, new: NewTrace, stamp: Stamp) -> tuple[Trace, bool]:
    """Store a trace; the one that has its id already, and whether that has another digest."""
    names = new.identifiers
    row = await connection.fetchrow(
        INSERT,
        stamp.id, names.owner, names.user, names.agent, names.app, names.run, new.kind, new.event, new.decision,
        new.rationale, new.outcome, new.reward, list(new.memory_ids), new.metadata, stamp.digest, stamp.by,
        stamp.created_at, stamp.expires_at,
    )  # fmt: skip
    if row is None:
        row = await connection.fetchrow(BY_ID, stamp.id)
    return _trace(row), row["digest"] != stamp.digest


async def traces(
    connection: Any, names: Identifiers, kind: TraceKind, *, limit: int, now: datetime
) -> list[Trace]:
    """The newest traces that carry all of these names, newest first."""
    arguments = Arguments()
    named = [f"t.{FIELD_OF[name.kind]} = {arguments.add(name.value)}" for name in names.named()]
    sql = " AND ".join([*named, f"t.kind = {arguments.add(kind)}", f"t.expires_at > {arguments.add(now)}"])
    rows = await connection.fetch(
        f"SELECT t.* FROM memory.traces t WHERE t.deleted_by IS NULL AND {sql} "  # noqa: S608 - values are parameters
        f"ORDER BY t.created_at DESC, t.id DESC LIMIT {arguments.add(limit)}",
        *arguments.values,
    )
    return [_trace(row) for row in rows]


async def delete(connection: Any, where: Filter, branches: Branches, event_id: uuid.UUID) -> None:
    """Hide the traces of names whose memories are deleted; `where` looks at names alone."""
    arguments = Arguments()
    sql = condition(where, branches, arguments, today=None)
    event = arguments.add(event_id)
    await connection.execute(
        f"UPDATE memory.traces m SET deleted_by = {event}, deleted_at = now() WHERE {sql} AND m.deleted_by IS NULL",  # noqa: S608
        *arguments.values,
    )


async def restore(connection: Any, event_id: uuid.UUID) -> None:
    """Show again what `delete` hid."""
    await connection.execute(
        "UPDATE memory.traces SET deleted_by = NULL, deleted_at = NULL WHERE deleted_by = $1", event_id
    )


async def purge_deleted(connection: Any, undo_hours: float) -> None:
    """Delete for good what can no longer be shown again."""
    await connection.execute(
        "DELETE FROM memory.traces WHERE deleted_at < now() - make_interval(secs => $1)", undo_hours * 3600
    )


async def purge(connection: Any, now: datetime, limit: int) -> int:
    """Delete traces whose time is over; how many, at most `limit`."""
    return int((await connection.execute(PURGE, now, limit)).rpartition(" ")[2])


def _trace(row: Mapping[str, Any]) -> Trace:
    return Trace(
        id=row["id"],
        identifiers=identifiers_of(row),
        kind=row["kind"],
        event=row["event"],
        decision=row["decision"],
        rationale=row["rationale"],
        outcome=row["outcome"],
        reward=row["reward"],
        memory_ids=tuple(row["memory_ids"]),
        metadata=row["metadata"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )
