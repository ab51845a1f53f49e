"""Bodies of `POST /v1/agents/{agent_id}/append_trace` and `POST /v1/context`."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from memdeck_common.wire.oss import Name, Share

TraceKind = Literal["replay", "telemetry"]
"""replay is kept for 90 days and stands in contexts, telemetry for 30 days."""
Source = Literal["window", "memories", "traces"]
Words = Annotated[str, Meta(min_length=1)]


class AppendTrace(Struct, frozen=True, kw_only=True):
    """What an agent decided, why, and what came of it. At least one of event, decision, rationale, outcome has text."""

    kind: TraceKind = "replay"
    event: Words | None = None
    """What happened that asked for a decision."""
    decision: Words | None = None
    rationale: Words | None = None
    outcome: Words | None = None
    reward: float | None = None
    """How good the outcome was, on whatever scale the agent uses."""
    memory_ids: Annotated[list[str], Meta(max_length=100)] = field(default_factory=list)
    """The memories that the decision rests on."""
    user_id: Name | None = None
    app_id: Name | None = None
    run_id: Name | None = None
    metadata: dict[str, Any] | None = None
    timestamp: int | float | str | None = None
    """Epoch seconds or an ISO time: when it happened."""


class Trace(Struct, frozen=True, kw_only=True):
    """A trace as it is kept."""

    id: str
    kind: TraceKind
    event: str | None
    decision: str | None
    rationale: str | None
    outcome: str | None
    reward: float | None
    memory_ids: list[str]
    metadata: dict[str, Any]
    user_id: str | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
    created_at: str
    expires_at: str


class BuildContext(Struct, frozen=True, kw_only=True):
    """Whose context, for what, and how large. At least one identifier."""

    user_id: Name | None = None
    agent_id: Name | None = None
    app_id: Name | None = None
    run_id: Name | None = None
    """The session: its newest memories are the window. Memories are searched beyond it, unless nothing else is named."""
    query: str | None = None
    """What memories are searched for; without it, what was said last."""
    token_budget: Annotated[int, Meta(ge=1, le=200_000)] = 2_000
    window: Annotated[int, Meta(ge=0, le=200)] = 20
    """Most entries of the window; 0 leaves it out."""
    memories: Annotated[int, Meta(ge=0, le=200)] = 20
    traces: Annotated[int, Meta(ge=0, le=50)] = 5
    threshold: Share | None = None
    """Least cosine of a memory that holds no word of the query."""


class ContextPart(Struct, frozen=True, kw_only=True):
    """One entry of a context."""

    source: Source
    id: str
    """Of the memory or the trace."""
    text: str
    """The line as it stands in the text of the context."""
    tokens: int
    created_at: str
    role: str | None = None
    actor_id: str | None = None
    score: float | UnsetType = UNSET
    """Of memories that were searched for."""


class Context(Struct, frozen=True, kw_only=True):
    """What an agent should have in mind."""

    text: str
    """All parts under headings, ready for a prompt."""
    parts: list[ContextPart]
    """In the order of the text: the window as it was said, memories best first, traces newest first."""
    tokens: int
    """Of the text, by the local tokenizer; never more than `token_budget`."""
    token_budget: int
    query: str
    """What memories were searched for; empty when nothing was."""
    left_out: dict[str, int]
    """How many entries of each source had no room."""
    degraded: list[str]
    """Sources that did not answer; a window that is named here is told as it was known last."""
