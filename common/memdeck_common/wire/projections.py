"""Bodies of `/ops/projections`: what is derived from the memories, so that they are found quickly, and may be dropped."""

from msgspec import Struct, field


class ParkedMemory(Struct, frozen=True, kw_only=True):
    """A memory that a projection could not take; it is tried again when it changes and at the next rebuild."""

    owner: str
    memory_id: str
    reason: str


class VectorStatus(Struct, frozen=True, kw_only=True):
    """The vectors of one big owner in one space, in memory."""

    owner: str
    space: int
    """Number of the embedding space, as `memdeck spaces list` shows it."""
    state: str
    """ready, on disk, what is done for it, or a sentence that says why there is none."""
    memories: int
    waiting: int
    """Memories whose vector in the space is not there yet; they are searched in the local one."""
    unsaved: int
    """Memories that are not in its files yet; after a crash they are read again from the database."""
    bytes: int
    """What it occupies, files that are mapped into memory included."""


class Projection(Struct, frozen=True, kw_only=True):
    """One of them, and how far it is."""

    name: str
    state: str
    """starting, rebuilding, following, or a sentence that says what is wrong."""
    holds: int
    """Memories that it holds."""
    memories: int
    """Memories that there are."""
    lag: int
    """Changes that it has not read yet; searches see them nevertheless."""
    complete: bool
    """False while it is being built: searches say then that they do without."""
    rebuilds: int
    """How often it was built since the daemon started."""
    lineage: str | None
    """Of the database that it was built from; null while it was built from none."""
    parked: int = 0
    parked_memories: list[ParkedMemory] = field(default_factory=list)
    """The first of them."""
    vectors: list[VectorStatus] = field(default_factory=list)
    """The vector indexes, where it is made of such."""


class Projections(Struct, frozen=True, kw_only=True):
    """All of them."""

    projections: list[Projection]


class Rebuilding(Struct, frozen=True, kw_only=True):
    """A rebuild was asked for; it is done when `rebuilds` of the projection has grown and it is complete."""

    message: str
    rebuilds: int
    """How often it was built before."""
