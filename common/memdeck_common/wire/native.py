"""Bodies of memdeck's own routes: `/v1/agents/{agent_id}/…` and undo."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from memdeck_common.wire.memory import Memory
from memdeck_common.wire.oss import Name, Share, TopK


class StoreMemory(Struct, frozen=True, kw_only=True):
    """`POST /v1/agents/{agent_id}/store_memory`: one text, or the messages of a conversation."""

    content: Annotated[str, Meta(min_length=1)] | None = None
    messages: str | dict[str, Any] | list[dict[str, Any] | str] | None = None
    """Text, a message or a list of messages; instead of `content`."""
    user_id: Name | None = None
    app_id: Name | None = None
    run_id: Name | None = None
    metadata: dict[str, Any] | None = None
    categories: list[str] | None = None
    timestamp: int | float | str | None = None
    """Epoch seconds or an ISO time: when it was said."""
    expiration_date: str | None = None
    """YYYY-MM-DD"""
    immutable: bool = False
    infer: bool = False
    """Extract facts instead of keeping the messages as they are; needs an LLM."""


class QueryMemory(Struct, frozen=True, kw_only=True):
    """`POST /v1/agents/{agent_id}/query_memory`: among the memories of this agent."""

    query: str
    user_id: Name | None = None
    app_id: Name | None = None
    run_id: Name | None = None
    filters: dict[str, Any] | None = None
    limit: TopK = 10
    threshold: Share | None = None
    show_expired: bool = False
    explain: bool = False


class Undone(Struct, frozen=True, kw_only=True):
    """What an undo did."""

    message: str
    memory: Memory | None = None
    """The memory as it is now; null when the undo took it away."""
