"""Bodies of `/ops/index`: what is derived from the memories so that they are found quickly."""

from msgspec import Struct


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


class IndexStatus(Struct, frozen=True, kw_only=True):
    """What the lexical index holds and how far it is."""

    state: str
    """starting, rebuilding, following, or a sentence that says what is wrong."""
    documents: int
    """Memories that it holds."""
    memories: int
    """Memories that there are."""
    lag: int
    """Changes that it has not read yet; searches see them nevertheless."""
    complete: bool
    """False while it is being rebuilt: keyword hits may be missing then, and searches say so."""
    rebuilds: int
    """How often it was rebuilt since the daemon started."""
    lineage: str | None
    """Of the database that it was built from; null while it was built from none."""
    vectors: list[VectorStatus] = []
    """The vector indexes of big owners."""


class RebuildStarted(Struct, frozen=True, kw_only=True):
    """A rebuild was asked for; it is done when `rebuilds` of the status has grown."""

    message: str
    rebuilds: int
    """How often it was rebuilt before."""
