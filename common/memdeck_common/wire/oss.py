"""Bodies of mem0's self-hosted dialect: `/memories`, `/search`, `/entities`, `/configure`, `/requests`, `/api-keys`.

No prefix, no trailing slash. Unknown fields are ignored, as mem0's own server does.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

Truth = bool | Literal["true", "True", "false", "False", "yes", "no", "on", "off", "1", "0"]
"""A boolean, or one of the words that mem0's own server takes for one."""
Name = str | int
"""An identifier; numbers are taken as text."""
TopK = Annotated[int, Meta(ge=0, le=1000)]
Share = Annotated[float, Meta(ge=0, le=1)]


class OssMessage(Struct, frozen=True, kw_only=True):
    """One message of a conversation."""

    role: str
    content: str | list[Any] | dict[str, Any] | None
    """Text; of multimodal parts, the text is kept."""
    name: str | None = None
    """Who said it; becomes `actor_id`."""


class OssAdd(Struct, frozen=True, kw_only=True):
    """`POST /memories`."""

    messages: list[OssMessage]
    user_id: Name | None = None
    agent_id: Name | None = None
    run_id: Name | None = None
    app_id: Name | None = None
    metadata: dict[str, Any] | None = None
    expiration_date: str | None = None
    """YYYY-MM-DD"""
    infer: Truth | None = True
    memory_type: str | None = None
    prompt: str | None = None
    timestamp: int | float | str | None = None
    """Epoch seconds or an ISO time: when it was said."""


class OssUpdate(Struct, frozen=True, kw_only=True):
    """`PUT /memories/{id}`."""

    text: str | None = None
    metadata: dict[str, Any] | None = None
    expiration_date: str | UnsetType | None = UNSET
    """YYYY-MM-DD; null clears it."""


class OssSearch(Struct, frozen=True, kw_only=True):
    """`POST /search`."""

    query: str
    filters: dict[str, Any] | None = None
    user_id: Name | None = None
    agent_id: Name | None = None
    run_id: Name | None = None
    app_id: Name | None = None
    top_k: TopK | None = None
    limit: TopK | None = None
    """Another name for top_k."""
    threshold: Share | None = None
    explain: Truth | None = False
    show_expired: Truth | None = False


class OssListQuery(Struct, frozen=True, kw_only=True):
    """Query of `GET /memories`."""

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    app_id: str | None = None
    top_k: TopK | None = None
    limit: TopK | None = None
    show_expired: bool = False


class OssDeleteQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query of `DELETE /memories`. Unknown fields are refused: one that is meant to narrow must not be passed over."""

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    app_id: str | None = None


class OssMemory(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One memory; identifiers, actor and the like only where they are set."""

    id: str
    memory: str
    hash: str
    metadata: dict[str, Any] | None
    score: float | UnsetType | None = UNSET
    """null for a single memory, a number in search answers, absent in lists."""
    created_at: str
    updated_at: str
    user_id: str | UnsetType = UNSET
    agent_id: str | UnsetType = UNSET
    app_id: str | UnsetType = UNSET
    run_id: str | UnsetType = UNSET
    actor_id: str | UnsetType = UNSET
    role: str | UnsetType = UNSET
    expiration_date: str | UnsetType = UNSET
    score_details: dict[str, Any] | UnsetType = UNSET
    degraded: list[str] | UnsetType = UNSET
    """Only of a memory that was asked for by itself: what the answer had to do without, where that was anything."""


class OssRow(Struct, frozen=True, kw_only=True):
    """One memory in an administrator's list of everything."""

    id: str
    memory: str
    user_id: str | None
    agent_id: str | None
    run_id: str | None
    hash: str
    expiration_date: str | None
    metadata: dict[str, Any]
    created_at: str
    updated_at: str


class OssMemories(Struct, frozen=True, kw_only=True):
    """`GET /memories`."""

    results: list[OssMemory]
    degraded: list[str] | UnsetType = UNSET
    """What the answer had to do without, where that was anything."""


class OssRows(Struct, frozen=True, kw_only=True):
    """`GET /memories` without an identifier."""

    results: list[OssRow]
    degraded: list[str] | UnsetType = UNSET
    """What the answer had to do without, where that was anything."""


class OssFound(Struct, frozen=True, kw_only=True):
    """`POST /search`."""

    results: list[OssMemory]
    degraded: list[str] = field(default_factory=list)
    """What the answer had to do without."""


class OssAddedItem(Struct, frozen=True, kw_only=True):
    """What became of one message."""

    id: str
    memory: str
    event: str
    actor_id: str | UnsetType | None = UNSET
    role: str | UnsetType | None = UNSET
    duplicate_of: str | UnsetType = UNSET
    """The memory that held the same text already."""


class OssAdded(Struct, frozen=True, kw_only=True):
    """`POST /memories`."""

    results: list[OssAddedItem]
    event_id: str | UnsetType = UNSET
    """`GET /v1/receipts/{event_id}` tells what became of each message."""
    status: str | UnsetType = UNSET
    """PENDING, with 202, while the memories are kept on the disk and not in the database yet."""
    message: str | UnsetType = UNSET
    """Where something other than what was asked for was done."""


class OssHistoryEntry(Struct, frozen=True, kw_only=True):
    """One change of a memory."""

    id: str
    memory_id: str
    old_memory: str | None
    new_memory: str | None
    event: str
    created_at: str
    updated_at: str
    is_deleted: bool
    actor_id: str | None
    role: str | None


class OssEntity(Struct, frozen=True, kw_only=True):
    """A user, agent or run that has memories."""

    id: str
    type: str
    total_memories: int
    created_at: str
    updated_at: str


class OssDone(Struct, frozen=True, kw_only=True):
    """A sentence."""

    message: str
    event_id: str | UnsetType = UNSET
    """The event by which a deletion can be undone: `POST /v1/events/{event_id}/undo`."""
    count: int | UnsetType = UNSET


class OssProviders(Struct, frozen=True, kw_only=True):
    """`GET /configure/providers`."""

    llm: list[str]
    embedder: list[str]


class OssRequest(Struct, frozen=True, kw_only=True):
    """One of the last requests."""

    id: str
    method: str
    path: str
    status_code: int
    latency_ms: float
    auth_type: str
    created_at: str


class OssRequestsQuery(Struct, frozen=True, kw_only=True):
    """Query of `GET /requests`."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class OssSetupStatus(Struct, frozen=True, kw_only=True):
    """`GET /auth/setup-status`."""

    needsSetup: bool  # noqa: N815 - mem0's own spelling


class OssNewKey(Struct, frozen=True, kw_only=True):
    """`POST /api-keys`."""

    label: Annotated[str, Meta(max_length=200)]


class OssKey(Struct, frozen=True, kw_only=True):
    """A key as it is listed."""

    id: str
    label: str
    key_prefix: str
    created_at: str
    last_used_at: str | None


class OssCreatedKey(Struct, frozen=True, kw_only=True):
    """A key as it is made; `key` is told this once."""

    id: str
    key: str
    label: str
    key_prefix: str
    created_at: str
