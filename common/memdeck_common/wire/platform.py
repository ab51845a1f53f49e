"""What mem0's platform clients send (`/v1`, `/v2`, `/v3`, `/api/v1`), and the answers that are not memories.

Memories, pages and receipts stand in `wire/memory.py`. Unknown fields of bodies are ignored; unknown fields of a deletion
are refused, since one that is meant to narrow must not be passed over.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from memdeck_common.wire.memory import Added, Memory
from memdeck_common.wire.oss import Name, Share, TopK, Truth

Messages = str | dict[str, Any] | list[dict[str, Any] | str]
Time = int | float | str
"""Epoch seconds, or an ISO time."""
PageNumber = Annotated[int, Meta(ge=1, le=1_000_000)]
PageSize = Annotated[int, Meta(ge=1, le=200)]


class Scoped(Struct, frozen=True, kw_only=True):
    """Identifiers at the top level; they may stand inside `filters` instead."""

    user_id: Name | None = None
    agent_id: Name | None = None
    app_id: Name | None = None
    run_id: Name | None = None
    filters: dict[str, Any] | None = None


class AddBody(Scoped, frozen=True, kw_only=True):
    """`POST /v3/memories/add/`."""

    messages: Messages
    metadata: dict[str, Any] | None = None
    infer: Truth | None = True
    expiration_date: str | None = None
    """YYYY-MM-DD"""
    timestamp: Time | None = None
    """When it was said; becomes created_at."""
    immutable: Truth | None = False
    categories: list[str] | None = None
    memory_type: str | None = None
    output_format: str | None = None
    """Only for `/v1/memories/`: `v1.1` asks for an object with `results`."""


class SearchBody(Scoped, frozen=True, kw_only=True):
    """`POST /v3/memories/search/`."""

    query: str
    top_k: TopK | None = None
    limit: TopK | None = None
    """Another name for top_k."""
    threshold: Share | None = None
    explain: Truth | None = False
    show_expired: Truth | None = False
    fields: list[str] | None = None
    categories: list[str] | None = None
    metadata: dict[str, Any] | None = None
    output_format: str | None = None


class PageBody(Scoped, frozen=True, kw_only=True):
    """`POST /v3/memories/`."""

    page: PageNumber | None = None
    page_size: PageSize | None = None
    show_expired: Truth | None = False
    start_date: Time | None = None
    end_date: Time | None = None
    fields: list[str] | None = None
    categories: list[str] | None = None
    metadata: dict[str, Any] | None = None


class PageQuery(Struct, frozen=True, kw_only=True):
    """Query of addresses that have pages."""

    page: PageNumber | None = None
    page_size: PageSize | None = None


class ListQuery(Struct, frozen=True, kw_only=True):
    """Query of `GET /v1/memories/`."""

    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    page: PageNumber | None = None
    page_size: PageSize | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] | None = None
    show_expired: bool = False


class UpdateBody(Struct, frozen=True, kw_only=True):
    """`PUT /v1/memories/{id}/`."""

    text: str | None = None
    metadata: dict[str, Any] | None = None
    timestamp: Time | None = None
    expiration_date: str | UnsetType | None = UNSET
    """YYYY-MM-DD; null clears it."""


class DeleteQuery(Struct, frozen=True, kw_only=True):
    """Query of `DELETE /v1/memories/{id}/`."""

    delete_linked: bool = False
    """Memories are not linked here, so this changes nothing."""


class DeleteAllQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query of `DELETE /v1/memories/`: at least one identifier; `*` for all of a kind (administrators)."""

    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    filters: str | None = None
    """A filter as JSON, or as the Python literal that mem0's client puts there."""
    org_id: str | None = None
    project_id: str | None = None
    source: str | None = None


class BatchUpdateItem(Struct, frozen=True, kw_only=True):
    """One change of a batch."""

    memory_id: str
    text: str | None = None
    metadata: dict[str, Any] | None = None


class BatchUpdateBody(Struct, frozen=True, kw_only=True):
    """`PUT /v1/batch/`: all or nothing."""

    memories: Annotated[list[BatchUpdateItem], Meta(min_length=1, max_length=1000)]


class BatchDeleteItem(Struct, frozen=True, kw_only=True):
    """One memory of a batch."""

    memory_id: str


class BatchDeleteBody(Struct, frozen=True, kw_only=True):
    """`DELETE /v1/batch/`: all or nothing."""

    memories: Annotated[list[BatchDeleteItem], Meta(min_length=1, max_length=1000)]


class Ping(Struct, frozen=True, kw_only=True):
    """`GET /v1/ping/`: what a client reads when it is made."""

    status: str
    org_id: str
    project_id: str
    user_email: str | None


class EventRecord(Struct, frozen=True, kw_only=True):
    """`GET /v1/event/{id}/` and `GET /v1/receipts/{id}`: what became of a write."""

    id: str
    event_type: str
    status: str
    """SUCCEEDED; PENDING while it is kept on the disk; FAILED when it could not be done (`error` says why)."""
    message: str
    results: list[Added]
    count: int
    latency: float
    """Milliseconds."""
    error: str | None
    created_at: str
    updated_at: str
    undone_at: str | None


class Events(Struct, frozen=True, kw_only=True):
    """A page of events, newest first."""

    count: int
    next: str | None
    previous: str | None
    results: list[EventRecord]


class ExportBody(Scoped, frozen=True, kw_only=True):
    """`POST /v1/exports/`."""

    schema: str | dict[str, Any] | None = None
    """The shape that is asked for, as an object or JSON text; exports always hold whole memories."""


class ExportGetBody(Scoped, frozen=True, kw_only=True):
    """`POST /v1/exports/get/`: by id, or by a filter."""

    memory_export_id: str | None = None


class ExportCreated(Struct, frozen=True, kw_only=True):
    """Where the export will be."""

    id: str
    message: str


class Export(Struct, frozen=True, kw_only=True):
    """`POST /v1/exports/get/`: whole memories, newest first."""

    memories: list[Memory]
    count: int


class FeedbackBody(Struct, frozen=True, kw_only=True):
    """`POST /v1/feedback/`; null takes an earlier verdict back."""

    memory_id: str
    feedback: str | None = None
    """POSITIVE, NEGATIVE or VERY_NEGATIVE."""
    feedback_reason: str | None = None


class FeedbackKept(Struct, frozen=True, kw_only=True):
    """The verdict as it is stored."""

    id: str
    memory_id: str
    feedback: str | None
    feedback_reason: str | None


class ProjectQuery(Struct, frozen=True, kw_only=True):
    """Query of the project's address."""

    fields: list[str] = field(default_factory=list)
    org_id: str | None = None
    project_id: str | None = None


class ProjectPatch(Struct, frozen=True, kw_only=True):
    """What of a project can be changed."""

    custom_instructions: str | UnsetType | None = UNSET
    agent_custom_instructions: str | UnsetType | None = UNSET
    custom_categories: list[Any] | UnsetType | None = UNSET
    memory_depth: str | UnsetType | None = UNSET
    usecase_setting: Any = UNSET
    multilingual: bool | UnsetType | None = UNSET


class Profile(Struct, frozen=True, kw_only=True):
    """A user's profile: memdeck makes none."""

    status: Literal["not_enabled"] = "not_enabled"
    profile: None = None
    entity_type: str = "user"
    entity_id: str
    updated_at: None = None
    generation_count: int = 0


class ProfileJob(Struct, frozen=True, kw_only=True):
    """A job that makes profiles: memdeck has none."""

    status: Literal["not_enabled"] = "not_enabled"
    job_id: str | None = None
    status_url: str | None = None
    operation: str | None = None
    entity_type: str = "user"
    job: dict[str, Any] = field(default_factory=dict)
    message: str = "Profiles are not enabled: memdeck does not make them."


class ProfileSettings(Struct, frozen=True, kw_only=True):
    """Settings of profiles: off."""

    status: Literal["not_enabled"] = "not_enabled"
    enabled: bool = False
    capabilities: dict[str, Any] = field(default_factory=dict)
    entities: dict[str, Any] = field(default_factory=dict)


class Stats(Struct, frozen=True, kw_only=True):
    """`GET /v1/stats/`."""

    total_memories: int | None
    """null for keys that may not see everything."""
    total_users: int
    total_agents: int
    total_apps: int
    total_runs: int


class Picked(Struct, frozen=True, kw_only=True):
    """An answer of which only some `fields` of each memory were asked for; the rest is as in the whole answer."""

    results: list[dict[str, Any]]


class LegacyAdded(Struct, frozen=True, kw_only=True):
    """`POST /v1/memories/` with `output_format: v1.1`."""

    results: list[Added]
    event_id: str
