"""Bodies of `/ops/index`: the derived lexical index."""

from msgspec import Struct


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


class RebuildStarted(Struct, frozen=True, kw_only=True):
    """A rebuild was asked for; it is done when `rebuilds` of the status has grown."""

    message: str
    rebuilds: int
    """How often it was rebuilt before."""
