"""What is answered while parts are down: for every set of parts and every kind of route, one table.

Owns the promise. `docs/degradation.md` is made from it, and the tests that take the parts away are too, so neither can say
something else. It describes; nothing here is asked while a request is answered.

A kind says what becomes of its routes without the database, and which other parts its answers do without by name. Each
subset of parts follows from that: what holds without the database holds whatever else is missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Final, Literal

from memdeck_daemon.api.http.routing import Route

Part = Literal["postgres", "redis", "neo4j", "embedder", "llm"]
PARTS: Final[tuple[Part, ...]] = ("postgres", "redis", "neo4j", "embedder", "llm")
WITHOUT_EFFECT: Final[dict[Part, str]] = {
    "neo4j": "watched, but nothing is read from it yet",
    "llm": "there is none in this version",
}

Down = frozenset[Part]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller sees."""

    status: int
    degraded: tuple[str, ...] = ()
    """`Memdeck-Degraded`, in any order; in the body too, where that is an object with such a field."""
    cache: str = ""
    """`Memdeck-Cache`; empty: not told, or either."""

    @property
    def words(self) -> str:
        """For a cell of the table."""
        said = [str(self.status), self.cache if self.cache == "unverified" else ""]
        return " ".join(
            part for part in (*said, f"({', '.join(self.degraded)})" if self.degraded else "") if part
        )


@dataclass(frozen=True, slots=True)
class Kind:
    """Routes that are answered alike."""

    name: str
    meaning: str
    alone: Answer
    """Without the database."""
    usual: int = 200
    marks: tuple[Part, ...] = ()
    """Other parts whose absence the answer tells."""

    def answer(self, down: Down) -> Answer:
        """What is answered without these parts."""
        if "postgres" in down:
            return self.alone
        return Answer(self.usual, tuple(part for part in self.marks if part in down))


REFUSED: Final = Answer(503, ("postgres",))
KNOWN: Final = Kind(
    "search, asked before",
    "a search whose answer is kept in this process or in Redis",
    Answer(200, ("postgres",), "unverified"),
)
NEW: Final = Kind(
    "search, new", "a search of words that were not searched before", REFUSED, marks=("redis", "embedder")
)
READ: Final = Kind(
    "read", "memories, histories, entities, events, exports, keys, spaces, figures of the index", REFUSED
)
CONTEXT: Final = Kind(
    "context",
    "`POST /v1/context`: what was kept of the session's window, if anything; else 503",
    Answer(200, ("memories", "traces", "window")),
    marks=("embedder",),
)
WRITE: Final = Kind(
    "write",
    "adds, changes, deletions, undo: kept on the disk and carried out later; 503 when the spool is full or off",
    Answer(202, ("postgres",)),
)
DIRECT: Final = Kind(
    "direct write",
    "traces, feedback, exports, keys, spaces, project settings, rebuilding the index: not spooled",
    REFUSED,
)
SELF: Final = Kind(
    "own state", "what the daemon knows by itself: health, spool, requests, description", Answer(200)
)
READY: Final = Kind("readiness", "`/health` and `/health/ready`, which say what is missing", Answer(503))
KINDS: Final = (KNOWN, NEW, READ, CONTEXT, WRITE, DIRECT, SELF, READY)

STORED: Final = frozenset({"/v1/stats/", "/api/v1/orgs/organizations/{org_id}/projects/{project_id}/"})
"""Routes without an operation of their own that the database answers; the others know what they say."""
OWN: Final = frozenset({"feed", "health", "spool", "other"})


def kind_of(route: Route) -> Kind:
    """The kind of a route; a search is `NEW` until it was asked."""
    if route.path in {"/health", "/health/ready"}:
        return READY
    if route.kept:
        return NEW
    if route.operation == "context":
        return CONTEXT
    if route.queued is not None:
        return WRITE
    if route.operation in OWN and route.path not in STORED:
        return SELF
    reads = route.method == "GET" or route.operation == "list" or route.path == "/v1/exports/get/"
    return READ if reads else DIRECT


def subsets() -> Iterator[Down]:
    """Every set of parts, the empty one first, those without the database before those with it."""
    others = PARTS[1:]
    some = list(chain.from_iterable(combinations(others, size) for size in range(len(others) + 1)))
    for base in ((), PARTS[:1]):
        for chosen in some:
            yield frozenset((*base, *chosen))
