"""The nouns of sessions: traces, windows, contexts.

Owns plain values. Refuses I/O and wire shapes.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from memdeck_daemon.memory.model import Identifiers, Json

TraceKind = Literal["replay", "telemetry"]
Source = Literal["window", "memories", "traces"]

KEPT: Final[dict[TraceKind, timedelta]] = {"replay": timedelta(days=90), "telemetry": timedelta(days=30)}
"""How long traces live: replay feeds learning, telemetry is for looking things up."""


@dataclass(frozen=True, slots=True)
class NewTrace:
    """A trace to be kept, validated."""

    identifiers: Identifiers
    kind: TraceKind = "replay"
    event: str | None = None
    decision: str | None = None
    rationale: str | None = None
    outcome: str | None = None
    reward: float | None = None
    memory_ids: tuple[uuid.UUID, ...] = ()
    metadata: Json = field(default_factory=dict)
    created_at: datetime | None = None
    idempotency_key: str | None = None

    @property
    def texts(self) -> tuple[str | None, ...]:
        """What it says, in the order in which it is read."""
        return (self.event, self.decision, self.rationale, self.outcome)


@dataclass(frozen=True, slots=True)
class Trace:
    """One episode: what happened, what was decided, why, and what came of it."""

    id: uuid.UUID
    identifiers: Identifiers
    kind: TraceKind
    event: str | None
    decision: str | None
    rationale: str | None
    outcome: str | None
    reward: float | None
    memory_ids: tuple[uuid.UUID, ...]
    metadata: Json
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Said:
    """One entry of a window: a memory of the session as far as a context needs it."""

    id: uuid.UUID
    text: str
    role: str | None
    actor: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """A context that is asked for."""

    identifiers: Identifiers
    query: str | None
    token_budget: int
    window: int
    """Entries of the window at most."""
    memories: int
    traces: int
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a context."""

    source: Source
    id: uuid.UUID
    text: str
    tokens: int
    created_at: datetime
    role: str | None = None
    actor: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What an agent should have in mind, within a budget of tokens."""

    pieces: tuple[Piece, ...]
    """By source (window, memories, traces); the window in the order in which it was said, the others best or newest first."""
    text: str
    tokens: int
    query: str
    """What memories were searched for; empty when nothing was."""
    left_out: dict[Source, int]
    """How many of each source the budget had no room for."""
    degraded: tuple[str, ...]
