"""`/ops/spaces`: embedding spaces, and the change from one to another while searches go on."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Role = Literal["local", "primary", "candidate", "retired"]


class NewSpace(Struct, frozen=True, kw_only=True):
    """A model to bring in."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    dims: Annotated[int, Meta(ge=1)] | None = None
    """Dimensions of its vectors; the embedder is asked when absent."""
    url: (
        Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^(https?://|fastembed:)[^@?#]*$")] | None
    ) = None
    """Where it is; absent: at MEMDECK_EMBEDDING_URL. The key goes along to that origin only."""


class Force(Struct, frozen=True, kw_only=True):
    """Whether to go on against advice."""

    force: bool = False


class Sample(Struct, frozen=True, kw_only=True):
    """How much to compare."""

    queries: Annotated[int, Meta(ge=1, le=500)] = 50
    """Recent memories whose texts are the queries."""


class Space(Struct, frozen=True, kw_only=True):
    """A space as it is listed."""

    id: int
    provider: str
    model: str
    dimensions: int
    role: Role
    url: str
    memories: int
    """In all."""
    embedded: int
    """That have a vector here."""
    waiting: int
    """Queued for one."""
    parked: int
    """That the embedder does not take; the local space finds them."""
    percent: float
    """Of all memories, embedded or parked; below 100 while memories that were there before are being embedded."""
    background: float | None
    """Mean cosine of memories that have nothing to do with each other."""
    filled_at: str | None
    """When all memories that were there before it were done."""
    created_at: str


class Spaces(Struct, frozen=True, kw_only=True):
    """All spaces, by id."""

    spaces: list[Space]


class Scores(Struct, frozen=True, kw_only=True):
    """How near the best hits of a space are, as cosines."""

    space: int
    name: str
    background: float | None
    best_p10: float
    best_p50: float
    best_p90: float


class Comparison(Struct, frozen=True, kw_only=True):
    """Two spaces side by side, over memories that both hold."""

    queries: int
    overlap_at_10: float | None
    """Share of the ten nearest that both agree on, 0 to 1; None without queries."""
    primary: Scores | None
    candidate: Scores | None
