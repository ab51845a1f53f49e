"""One line of an import: what it may hold, and the request that it becomes.

A line is a JSON object with the fields of the API: `memory` (a text, as exports have it) or `messages` (a conversation),
identifiers, `metadata`, `created_at`, `expiration_date`, `categories`, `role`, `actor_id`. Owns the checks that can be
made without a daemon, so that a bad file is refused before anything is stored. Fields that only an answer has (`id`,
`hash`, `score`, …) are passed over, so that an export can be imported as it is.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from msgspec import Struct

KINDS = ("user_id", "agent_id", "app_id", "run_id")
_UNFIT = re.compile(r"[\s\x00-\x1f\x7f]")
LONGEST_ID = 512


class BadLine(Exception):
    """What is wrong with a line, in a few words."""


class Turn(Struct, frozen=True):
    """A message of a conversation."""

    content: Any
    role: str = "user"
    name: str | None = None


class Record(Struct, frozen=True, kw_only=True):
    """A line as it is written."""

    memory: str | None = None
    messages: list[Turn] | str | None = None
    user_id: str | int | None = None
    agent_id: str | int | None = None
    app_id: str | int | None = None
    run_id: str | int | None = None
    session_id: str | int | None = None
    """The run id under the name that exports use."""
    metadata: dict[str, Any] | None = None
    categories: list[str] | None = None
    created_at: str | None = None
    timestamp: float | None = None
    """Epoch seconds; what mem0's client calls `created_at`."""
    expiration_date: str | None = None
    role: str | None = None
    actor_id: str | None = None
    immutable: bool | None = None
    infer: bool | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that can be stored."""

    number: int
    messages: list[dict[str, Any]]
    fields: dict[str, Any]
    key: str
    """Idempotency key: the same beginning of the same file gives the same keys."""

    @property
    def lane(self) -> tuple[str, ...]:
        """Lines of the same lane are stored in their order: same owner, same run."""
        owner = next(f"{kind}:{self.fields[kind]}" for kind in KINDS if kind in self.fields)
        return owner, str(self.fields.get("run_id", ""))


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that cannot be stored, and why."""

    number: int
    reason: str


class Reader:
    """Turns lines into entries. `defaults` are identifiers for lines that carry none."""

    def __init__(self, defaults: Mapping[str, str], *, salt: str = "") -> None:
        self._defaults, self._number = dict(defaults), 0
        self._digest = hashlib.sha256(msgspec.json.encode([salt, sorted(self._defaults.items())]))

    def take(self, line: bytes) -> Entry | Broken | None:
        """The next line of the file; None when it is blank."""
        self._number += 1
        if not line.strip():
            return None
        # The digest runs over everything so far: a file that grew is imported from where it grew.
        self._digest.update(line.rstrip(b"\r\n") + b"\n")
        try:
            messages, fields = request_of(line, self._defaults)
        except BadLine as error:
            return Broken(self._number, str(error))
        return Entry(self._number, messages, fields, f"memdeck-import-{self._digest.hexdigest()[:40]}")


def request_of(line: bytes, defaults: Mapping[str, str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Messages and fields of the add that a line asks for.

    Raises:
        BadLine: it cannot be stored.
    """
    try:
        record = msgspec.json.decode(line, type=Record)
    except msgspec.DecodeError as error:
        raise BadLine(str(error).replace(" - at `$.", " at `").replace(" - at `$`", "")) from None
    except UnicodeDecodeError:
        raise BadLine("not UTF-8") from None
    fields: dict[str, Any] = _identifiers(record) or dict(defaults)
    if not fields:
        raise BadLine(
            "no identifier; one of user_id, agent_id, app_id, run_id is needed (or --user, --agent, …)"
        )
    fields |= _kept(record)
    return _messages(record), fields


def _identifiers(record: Record) -> dict[str, Any]:
    given = {kind: getattr(record, kind) for kind in KINDS}
    given["run_id"] = record.run_id if record.run_id is not None else record.session_id
    found = {kind: str(value).strip() for kind, value in given.items() if value is not None}
    for kind, value in found.items():
        if not value or len(value) > LONGEST_ID or _UNFIT.search(value):
            raise BadLine(f"{kind} must be text without spaces, at most {LONGEST_ID} characters")
    return found


def _kept(record: Record) -> dict[str, Any]:
    """The fields beside identifiers and text."""
    fields = {
        "metadata": record.metadata or None,
        "categories": record.categories or None,
        "timestamp": _created(record),
        "expiration_date": _day(record.expiration_date),
        "immutable": record.immutable or None,
        "infer": record.infer if record.messages is not None else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _created(record: Record) -> str | None:
    try:
        if record.created_at is not None:
            at = datetime.fromisoformat(record.created_at)
            return (at.replace(tzinfo=UTC) if at.tzinfo is None else at).isoformat()
        return None if record.timestamp is None else datetime.fromtimestamp(record.timestamp, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        raise BadLine("created_at is not a time such as 2026-11-20T09:30:00Z") from None


def _day(text: str | None) -> str | None:
    try:
        return None if text is None else date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadLine("expiration_date is not a date such as 2026-12-31") from None


def _messages(record: Record) -> list[dict[str, Any]]:
    if (record.memory is None) == (record.messages is None):
        raise BadLine("either `memory` or `messages` is needed")
    if record.memory is not None:
        turns = [Turn(record.memory, record.role or "user", record.actor_id)]
    elif isinstance(record.messages, str):
        turns = [Turn(record.messages)]
    else:
        turns = list(record.messages or [])
    if not turns or any(isinstance(turn.content, str) and not turn.content.strip() for turn in turns):
        raise BadLine("the text is empty")
    if all(turn.role == "system" for turn in turns):
        raise BadLine("messages of the system are not stored")
    return [
        {"role": turn.role, "content": turn.content} | ({"name": turn.name} if turn.name else {})
        for turn in turns
    ]
