"""Memories as the platform dialect's addresses (`/v1`, `/v2`, `/v3`) send and take them.

The self-hosted dialect's shapes stand in `wire/oss.py`. Identifiers may be top level or inside `filters`.
"""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

Identifier = Annotated[str, Meta(min_length=1, max_length=512)]


class Message(Struct, frozen=True, kw_only=True):
    """One message of a conversation."""

    role: str = "user"
    content: Any
    """Text; or the parts of a multimodal message, of which the text parts are kept."""
    name: str | None = None
    """Who said it; becomes `actor_id`."""


class Score(Struct, frozen=True, kw_only=True):
    """One part of a score: `weight · value` of a feature."""

    feature: str
    """dense_cosine, bm25, … (docs/api.md)."""
    group: str
    """dense, lexical, graph or recency: its colour in the console."""
    raw: float
    """The feature as it was measured: cosine, BM25."""
    part: float
    """What it adds to the score; the parts of a hit sum to its score."""


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a hit stands where it stands."""

    parts: list[Score]
    final_score: float
    threshold: float
    semantic_score: float
    """Cosine, floor 0: what the threshold applies to."""
    keyword_hit: bool
    """Keyword hits are exempt from the threshold."""


class Memory(Struct, frozen=True, kw_only=True):
    """One memory."""

    id: str
    memory: str
    hash: str
    metadata: dict[str, Any] | None
    categories: list[str] | None
    created_at: str
    updated_at: str
    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    session_id: str | None = None
    """The run id under the name that get_all uses."""
    actor_id: str | None = None
    role: str | None = None
    expiration_date: str | None = None
    immutable: bool = False
    score: float | UnsetType = UNSET
    """Only in search answers."""
    score_details: Explanation | UnsetType = UNSET
    """Only when asked for with `explain`."""
    degraded: list[str] | UnsetType = UNSET
    """Only of a memory that was asked for by itself: what the answer had to do without, where that was anything."""


class Page(Struct, frozen=True, kw_only=True):
    """A page of memories, newest first."""

    count: int
    next: str | None
    previous: str | None
    results: list[Memory]
    degraded: list[str] | UnsetType = UNSET
    """What the answer had to do without, where that was anything."""


class Stage(Struct, frozen=True, kw_only=True):
    """One stage of a search: when it began after the search did, and how long it took."""

    name: str
    begin_ms: float
    milliseconds: float
    parallel: bool = False
    """An arm: runs beside its neighbours."""


class SearchAnswer(Struct, frozen=True, kw_only=True):
    """The hits of a search, best first."""

    results: list[Memory]
    degraded: list[str] = field(default_factory=list)
    """What the answer had to do without."""
    total: int | UnsetType = UNSET
    """With `explain`: how many memories the named identifiers hold."""
    stages: list[Stage] | UnsetType = UNSET
    """With `explain`: where the time went."""


class Added(Struct, frozen=True, kw_only=True):
    """What became of one message."""

    id: str
    memory: str
    data: dict[str, Any]
    """`{"memory": text}`: where platform clients look for it."""
    event: str
    """ADD, or NONE where nothing was stored (`reason` says why)."""
    role: str | None = None
    actor_id: str | None = None
    outcome: str | UnsetType = UNSET
    """What became of it: stored, changed, deleted; queued (kept on the disk, done later); dropped (`reason` says why)."""
    duplicate_of: str | UnsetType = UNSET
    """The memory of this owner that held the same text already."""
    reason: str | UnsetType = UNSET


class Receipt(Struct, frozen=True, kw_only=True):
    """The answer of an add."""

    status: str
    """SUCCEEDED; PENDING while extraction goes on, and with 202 while it is kept on the disk."""
    event_id: str
    message: str
    results: list[Added] | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET
    """True where an earlier add with the same Idempotency-Key is told again: nothing was stored now."""


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One change of a memory, oldest first."""

    id: str
    memory_id: str
    input: list[Any]
    old_memory: str | None
    new_memory: str | None
    user_id: str | None
    event: str
    """ADD, UPDATE or DELETE."""
    metadata: dict[str, Any] | None
    created_at: str
    updated_at: str
    is_deleted: bool
    actor_id: str | None
    role: str | None
    changed_by: str
    """Label of the key that made the change."""
    undo_until: str | None
    """Until when this change can be undone; None where it cannot."""


class Done(Struct, frozen=True, kw_only=True):
    """A sentence, and the event by which a deletion of a scope can be undone."""

    message: str
    event_id: str | UnsetType = UNSET
    count: int | UnsetType = UNSET
    status: str | UnsetType = UNSET
    """PENDING, with 202, while the write is kept on the disk: `GET /v1/receipts/{event_id}` tells what became of it."""


class Entity(Struct, frozen=True, kw_only=True):
    """A user, agent, app or run that has memories."""

    id: str
    name: str
    type: str
    created_at: str
    updated_at: str
    owner: str
    metadata: dict[str, Any] | None
    total_memories: int


class Entities(Struct, frozen=True, kw_only=True):
    """A page of entities."""

    count: int
    next: str | None
    previous: str | None
    results: list[Entity]
    total_users: int
    total_agents: int
    total_apps: int
    total_runs: int
