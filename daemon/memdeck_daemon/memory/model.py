"""The nouns of memory: identifiers, memories, receipts, searches.

Owns plain values and their rules (which identifier owns a memory, what an identifier may look like). Refuses I/O and
wire shapes: `api` translates.
"""

import re
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Literal

from msgspec import Struct

from memdeck_common.errors import BadIdentifier, BadRequest, NoScope

Kind = Literal["user", "agent", "app", "run"]
KINDS: Final[tuple[Kind, ...]] = ("user", "agent", "app", "run")
"""In the order in which they own a memory."""
FIELD_OF: Final[dict[Kind, str]] = {kind: f"{kind}_id" for kind in KINDS}
KIND_OF: Final[dict[str, Kind]] = {f"{kind}_id": kind for kind in KINDS}
IDENTIFIER_LENGTH: Final = 512
IDENTIFIER_BYTES: Final = 1_024
"""Of UTF-8: an index takes 2,704 bytes, and a run is found by owner and name."""

Json = dict[str, Any]


class Identifier(Struct, frozen=True):
    """One name of a scope: a user, an agent, an app or a run. A struct, because it is hashed all the time."""

    kind: Kind
    value: str

    def __str__(self) -> str:
        """`user:alice`: how owners are written in the database."""
        return f"{self.kind}:{self.value}"


def checked_identifier(kind: Kind, value: object) -> str:
    """An identifier as it is stored: text, trimmed.

    Raises:
        BadIdentifier: empty, too long, or with white space or control characters inside.
    """
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    name = FIELD_OF[kind]
    if not text:
        raise BadIdentifier(f"{name} must be text that is not empty.", field=name)
    if len(text) > IDENTIFIER_LENGTH:
        raise BadIdentifier(f"{name} is longer than {IDENTIFIER_LENGTH} characters.", field=name)
    if re.search(r"[\s\x00-\x1f\x7f]", text) or not storable(text):
        raise BadIdentifier(f"{name} must not contain white space or control characters.", field=name)
    if not text.isascii() and len(text.encode()) > IDENTIFIER_BYTES:
        raise BadIdentifier(f"{name} is longer than {IDENTIFIER_BYTES} bytes of UTF-8.", field=name)
    return text


def storable(text: str) -> bool:
    """Whether Postgres takes the text: it refuses NUL and lone surrogates (an escape in JSON makes them)."""
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_storable(value: object, place: str) -> None:
    """Look for characters that cannot be stored, also inside of lists and objects.

    Raises:
        BadRequest: there is one; the message names the place.
    """
    match value:
        case str() if not storable(value):
            shown = place.encode(errors="replace").decode().replace("\x00", "?")
            raise BadRequest(
                f"{shown} holds a character that cannot be stored (NUL, or half of a surrogate pair).",
                field=shown,
            )
        case dict():
            for name, inside in value.items():
                check_storable(name, f"a key of {place}")
                check_storable(inside, f"{place}.{name}")
        case list() | tuple():
            for number, inside in enumerate(value):
                check_storable(inside, f"{place}[{number}]")


class Identifiers(Struct, frozen=True):
    """The names under which a memory is kept; at least one is set."""

    user: str | None = None
    agent: str | None = None
    app: str | None = None
    run: str | None = None

    @classmethod
    def of(
        cls, *, user: object = None, agent: object = None, app: object = None, run: object = None
    ) -> "Identifiers":
        """Checked identifiers; None and absent are the same.

        Raises:
            BadIdentifier: one is unusable.
            NoScope: none is given.
        """
        given: dict[Kind, object] = {"user": user, "agent": agent, "app": app, "run": run}
        found = {kind: checked_identifier(kind, value) for kind, value in given.items() if value is not None}
        if not found:
            raise NoScope
        return cls(**found)

    def named(self) -> tuple[Identifier, ...]:
        """Those that are set, in owning order."""
        values: dict[Kind, str | None] = {
            "user": self.user,
            "agent": self.agent,
            "app": self.app,
            "run": self.run,
        }
        return tuple(Identifier(kind, value) for kind, value in values.items() if value is not None)

    def get(self, kind: Kind) -> str | None:
        """The value of a kind."""
        value: str | None = getattr(self, kind)
        return value

    @property
    def owner(self) -> str:
        """`user:alice`: the first of user, agent, app, run; the partition key of everything that belongs to it."""
        return str(self.named()[0])


class Memory(Struct, frozen=True):
    """One memory as it is stored. A struct, because a search makes dozens: a frozen dataclass takes eight times as long."""

    id: uuid.UUID
    identifiers: Identifiers
    text: str
    hash: str
    metadata: Json
    created_at: datetime
    updated_at: datetime
    categories: tuple[str, ...] = ()
    actor: str | None = None
    role: str | None = None
    expiration_date: date | None = None
    immutable: bool = False
    memory_type: str | None = None


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One message to be remembered; it becomes one memory."""

    text: str
    role: str = "user"
    actor: str | None = None

    @property
    def reason_to_skip(self) -> str | None:
        """Why it is not stored; None: it is."""
        if self.role == "system":
            return "System messages are not stored."
        return None if self.text.strip() else "The message has no text."


@dataclass(frozen=True, slots=True)
class NewMemories:
    """An add, validated."""

    messages: tuple[NewMessage, ...]
    identifiers: Identifiers
    metadata: Json = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    created_at: datetime | None = None
    expiration_date: date | None = None
    immutable: bool = False
    memory_type: str | None = None
    infer: bool = False
    idempotency_key: str | None = None

    @property
    def kept(self) -> tuple[NewMessage, ...]:
        """The messages that are stored."""
        return tuple(message for message in self.messages if message.reason_to_skip is None)


class Event(StrEnum):
    """What happened to a memory."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message."""

    event: Event
    text: str
    id: uuid.UUID | None = None
    role: str | None = None
    actor: str | None = None
    duplicate_of: uuid.UUID | None = None
    reason: str | None = None


Status = Literal["SUCCEEDED", "PENDING", "FAILED"]
"""Of a write: done, waiting in the spool, or not done and why."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer of a write; its id is the id of the event that clients can ask for."""

    id: uuid.UUID
    kind: str
    """add, update, delete or delete_scope."""
    created_at: datetime
    outcomes: tuple[Outcome, ...] = ()
    note: str = ""
    """A sentence, where something other than what was asked for was done (infer without an LLM)."""
    count: int = 0
    """Memories written or deleted."""
    milliseconds: float = 0.0
    undone_at: datetime | None = None
    replayed: bool = False
    """An earlier write with the same idempotency key is told again."""
    status: Status = "SUCCEEDED"
    error: str | None = None
    """Why it was not done."""

    @property
    def queued(self) -> bool:
        """Whether it waits on the disk until the database takes it."""
        return self.status == "PENDING"


class Unset(StrEnum):
    """A field that a change does not mention; None means that it is cleared."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Change:
    """What an update changes."""

    text: str | None = None
    metadata: Json | None = None
    """Merged key by key into what is there."""
    expiration_date: date | Unset | None = UNSET
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change of a memory."""

    id: uuid.UUID
    memory_id: uuid.UUID
    identifiers: Identifiers
    event: Event
    old_text: str | None
    new_text: str | None
    metadata: Json
    actor: str | None
    role: str | None
    changed_by: str
    created_at: datetime
    """When the memory was made."""
    changed_at: datetime
    undo_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """An identifier with its memories."""

    identifier: Identifier
    memories: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a score."""

    feature: str
    group: Literal["dense", "lexical", "graph", "recency"]
    raw: float
    part: float


class Hit(Struct, frozen=True):
    """A memory with its score."""

    memory: Memory
    score: float
    cosine: float
    keyword: bool
    parts: tuple[Part, ...] = ()


class Stage(Struct, frozen=True):
    """One stage of a search, in ms after its begin."""

    name: str
    begin_ms: float
    milliseconds: float
    parallel: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The answer of a search."""

    hits: tuple[Hit, ...]
    total: int
    """Memories that the named identifiers hold, as of the last refresh of their counters."""
    degraded: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    threshold: float = 0.0


class Caller(Struct, frozen=True):
    """Who asks, as far as memory must know: for history, idempotency and reach."""

    name: str
    key_id: str
    reach: "Reach"


class Reach(Struct, frozen=True):
    """Which memories a caller may touch.

    Patterns hold `*` for any text. An empty tuple of patterns leaves that kind free; `all_scopes` (administrators)
    may also leave the scope open (`*`, reset).
    """

    users: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    all_scopes: bool = False

    @property
    def pinned(self) -> tuple[tuple[Kind, tuple[str, ...]], ...]:
        """The kinds that are pinned, with their patterns."""
        if not self.users and not self.agents:
            return ()
        kinds: tuple[tuple[Kind, tuple[str, ...]], ...] = (("user", self.users), ("agent", self.agents))
        return tuple((kind, patterns) for kind, patterns in kinds if patterns)

    def covers(self, identifiers: Identifiers) -> bool:
        """Whether a memory with these identifiers is within reach."""
        return all(matches(identifiers.get(kind), patterns) for kind, patterns in self.pinned)


EVERYTHING: Final = Reach(all_scopes=True)


def matches(value: str | None, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns fits; `*` in a pattern stands for any text, every other character for itself."""
    return value is not None and any(_fits(value, pattern) for pattern in patterns)


def _fits(value: str, pattern: str) -> bool:
    # By hand, from left to right: a regular expression with a few stars takes exponential time on the wrong value.
    first, *rest = pattern.split("*")
    if not rest:
        return value == pattern
    *middle, last = rest
    if not value.startswith(first) or not value[len(first) :].endswith(last):
        return False
    place, end = len(first), len(value) - len(last)
    for part in middle:
        found = value.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def without_unset(value: "date | Unset | None", otherwise: date | None) -> date | None:
    """The value, or what stands there already when the change does not mention it."""
    return otherwise if isinstance(value, Unset) else value
