"""What clients send, as memory takes it: messages, identifiers, times, metadata, filters.

Owns the leniency of both dialects in one place (messages as text, object or list; identifiers at the top level or inside
`filters`; times as epoch seconds or ISO). Refuses what cannot be understood with a sentence that names the field; a
constraint is never passed over.
"""

import ast
import contextlib
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
from msgspec import UnsetType

from memdeck_common import errors
from memdeck_daemon.api.http.refusals import MemoryTooLarge
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import FIELD_OF, KIND_OF, KINDS, UNSET, Identifiers, Json, NewMessage, Unset

IDENTITY_KEYS: Final = frozenset({"user_id", "agent_id", "run_id", "actor_id"})
"""Keys of metadata that mem0 drops: who a memory belongs to is not metadata."""
NAME_LENGTH: Final = 512
IDEMPOTENCY_KEY_LENGTH: Final = 255
EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
LATEST: Final = datetime(9999, 12, 30, 23, 59, 59, tzinfo=UTC)
"""The driver takes the first and the last instant that Python knows for infinities and reads them back without a zone; a
day less also lets every reader turn a time into its own zone."""
LITERAL_LENGTH: Final = 8192
"""Characters of a filter in a query; Python's parser is not fed more."""


def memory_id(text: str) -> uuid.UUID:
    """The id of a memory.

    Raises:
        BadIdentifier: not a UUID.
    """
    return _uuid(text, "The id of a memory")


def event_id(text: str) -> uuid.UUID:
    """The id of an event.

    Raises:
        BadIdentifier: not a UUID.
    """
    return _uuid(text, "The id of an event")


def export_id(text: str) -> uuid.UUID:
    """The id of an export.

    Raises:
        BadIdentifier: not a UUID.
    """
    return _uuid(text, "The id of an export")


def key_id(text: str) -> uuid.UUID:
    """The id of a key.

    Raises:
        BadIdentifier: not a UUID.
    """
    return _uuid(text, "The id of a key")


def _uuid(text: str, what: str) -> uuid.UUID:
    # uuid.UUID also takes braces, urn: and missing hyphens, which would be one memory under several addresses.
    try:
        found = uuid.UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text.lower():
        raise errors.BadIdentifier(f"{what} must be a UUID, not {text[:80]!r}.")
    return found


def truth(value: object) -> bool:
    """A boolean, or a word for one."""
    return value.lower() in {"true", "yes", "on", "1"} if isinstance(value, str) else bool(value)


# --- messages ---------------------------------------------------------------------------------------------------------


def messages(raw: Any, limit: int) -> tuple[NewMessage, ...]:
    """The messages of an add: text, one message, or a list of either. `limit` is the largest text in bytes of UTF-8.

    Raises:
        BadRequest: a message cannot be understood, or its text is too large.
    """
    given = raw if isinstance(raw, list) else [raw]
    return tuple(_message(one, f"messages[{index}]", limit) for index, one in enumerate(given))


def holds_text(given: Iterable[NewMessage]) -> bool:
    """Whether one of the messages can be stored: system messages and empty ones are not."""
    return any(message.role != "system" and message.text.strip() for message in given)


def _message(raw: Any, place: str, limit: int) -> NewMessage:
    if isinstance(raw, str):
        raw = {"role": "user", "content": raw}
    elif isinstance(raw, msgspec.Struct):
        raw = msgspec.structs.asdict(raw)
    if not isinstance(raw, Mapping):
        raise errors.BadField(f"{place} must be text or an object with role and content.", field=place)
    role = _short(raw.get("role", "user"), f"{place}.role") or "user"
    actor = _short(raw.get("name"), f"{place}.name")
    text = _content(raw.get("content"), f"{place}.content")
    return NewMessage(checked_size(text, f"{place}.content", limit), role, actor)


def _short(value: Any, place: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > NAME_LENGTH:
        raise errors.BadField(f"{place} must be text of at most {NAME_LENGTH} characters.", field=place)
    return value


def _content(raw: Any, place: str) -> str:
    """The text of a message; of multimodal parts, those that are text."""
    if raw is None:
        return ""
    if isinstance(raw, str):
        return raw
    parts = raw if isinstance(raw, list) else [raw]
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            text = part.get("text")
            texts += [text] if isinstance(text, str) else []
        else:
            raise errors.BadField(f"{place} must be text or a list of parts.", field=place)
    return "\n".join(texts)


def checked_size(text: str, place: str, limit: int) -> str:
    """The text, when one memory may be that large.

    Raises:
        MemoryTooLarge: it is not.
    """
    if len(text) * 4 > limit and (size := len(text.encode())) > limit:
        raise MemoryTooLarge(
            f"{place} has {size:,} bytes of text; one memory takes {limit:,} (MEMDECK_MAX_MEMORY_BYTES raises the limit).",
            field=place,
            limit=limit,
        )
    return text


def metadata(raw: Json | None) -> Json:
    """Metadata without the keys that say who a memory belongs to."""
    return {name: value for name, value in (raw or {}).items() if name not in IDENTITY_KEYS}


def categories(raw: Iterable[str] | None) -> tuple[str, ...]:
    """Categories, each once, in the order given."""
    return tuple(dict.fromkeys(name.strip() for name in raw or () if name.strip()))


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """The header `Idempotency-Key`.

    Raises:
        BadRequest: it is too long or not printable.
    """
    key = headers.get("Idempotency-Key", "").strip()
    if len(key) > IDEMPOTENCY_KEY_LENGTH or not key.isprintable() or not key.isascii():
        raise errors.BadRequest(
            f"Idempotency-Key must be at most {IDEMPOTENCY_KEY_LENGTH} printable ASCII characters.",
            field="Idempotency-Key",
        )
    return key or None


# --- times ------------------------------------------------------------------------------------------------------------


def instant(value: float | str | None, field: str) -> datetime | None:
    """A time given as epoch seconds or ISO 8601; without an offset it is UTC.

    Raises:
        BadRequest: it is neither, or not between `EARLIEST` and `LATEST`.
    """
    if value is None:
        return None
    try:
        at = _instant(value)
    except (ValueError, OverflowError, OSError):
        at = None
    if at is None or not EARLIEST <= at <= LATEST:
        raise errors.BadRequest(
            f"{field} must be epoch seconds or an ISO time (2026-01-31T12:00:00Z), not {str(value)[:40]!r}.",
            field=field,
        )
    return at


def _instant(value: float | str) -> datetime:
    if not isinstance(value, str):
        return datetime.fromtimestamp(value, UTC)
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        return datetime.fromtimestamp(float(value), UTC)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def day(value: str | None, field: str = "expiration_date") -> date | None:
    """A date as YYYY-MM-DD.

    Raises:
        BadRequest: it is not.
    """
    if value is None:
        return None
    text = value.strip()
    with contextlib.suppress(ValueError):
        found = date.fromisoformat(text)
        if found.isoformat() == text:  # week dates and the like are read too
            return found
    raise errors.BadRequest(f"{field} must be a date in the form YYYY-MM-DD, not {text[:40]!r}.", field=field)


def expiry(value: str | UnsetType | None) -> date | Unset | None:
    """The expiry of an update: a date, None to clear it, UNSET to leave it alone."""
    return UNSET if isinstance(value, UnsetType) else day(value)


# --- identifiers and filters ------------------------------------------------------------------------------------------


def named(source: object) -> Json:
    """The identifiers at the top level of a body or query."""
    return {name: value for name in KIND_OF if (value := getattr(source, name, None)) is not None}


def identifiers(source: object, raw_filters: Json | None = None) -> Identifiers:
    """The names under which to keep new memories: from the top level and from inside `filters`.

    Raises:
        BadIdentifier: one is unusable, `*`, or given twice with different values.
        NoScope: none is given.
    """
    found = named(source)
    for name, value in _equalities(raw_filters or {}):
        if str(found.setdefault(name, value)) != str(value):
            raise errors.BadIdentifier(f"{name} is given twice with different values.", field=name)
    for name, value in found.items():
        if isinstance(value, str) and value.strip() == "*":
            raise errors.BadIdentifier(
                f"{name} must name one {name[:-3]}; * is for searches and deletions.", field=name
            )
    return Identifiers.of(**{kind: found.get(FIELD_OF[kind]) for kind in KINDS})


def _equalities(raw: Json) -> Iterable[tuple[str, Any]]:
    """Identifiers in the filters of an add: plain, or in one AND."""
    for name, value in raw.items():
        if name == "AND" and isinstance(value, list):
            for inside in value:
                if not isinstance(inside, Mapping):
                    raise errors.BadFilter("filters.AND must be a list of objects.", field="filters")
                yield from _equalities(dict(inside))
        elif name in KIND_OF and isinstance(value, str | int):
            yield name, value
        elif name in KIND_OF or name in {"OR", "NOT"}:
            raise errors.BadFilter(f"filters.{name} must name one scope for an add.", field="filters")


def scope(source: object, raw_filters: Json | None, *more: Json | None) -> Filter:
    """Everything that a caller said about which memories it means, AND-ed.

    Identifiers at the top level, `filters`, and further filters (categories, dates) that are not None.

    Raises:
        NoScope: nothing was said.
        BadFilter: something cannot be read.
    """
    given = [raw for raw in more if raw]
    said = raw_scope(source, raw_filters)
    return filters.All(tuple(filters.parse(raw) for raw in (said, *given))) if given else filters.parse(said)


def raw_scope(source: object, raw_filters: Json | None) -> Json:
    """Identifiers at the top level and `filters`, as one filter in JSON.

    Raises:
        NoScope: there is neither.
    """
    at_top = named(source)
    if not at_top and raw_filters is None:
        raise errors.NoScope(
            "filters must contain at least one of: user_id, agent_id, app_id, run_id. Example: filters={'user_id': 'u1'}"
        )
    if at_top and raw_filters:
        return {"AND": [at_top, raw_filters]}
    return at_top or raw_filters or {}


def any_scope() -> Filter:
    """Memories of whatever scope: every memory carries one of the identifiers. For administrators."""
    return filters.parse({"OR": [{name: "*"} for name in KIND_OF]})


def names_scope(raw: object) -> bool:
    """Whether an identifier is named anywhere in raw filters."""
    if isinstance(raw, Mapping):
        return any(
            str(name) in KIND_OF or names_scope(inside) for name, inside in raw.items() if name != "metadata"
        )
    return isinstance(raw, list) and any(names_scope(inside) for inside in raw)


def narrowing(
    wanted: Iterable[str] | None, extra: Json | None, since: Any = None, until: Any = None
) -> tuple[Json | None, ...]:
    """The filters that platform clients give beside `filters`: categories, metadata, start and end of a time span."""
    chosen = list(wanted or ())
    span = {operator: value for operator, value in (("gte", since), ("lte", until)) if value is not None}
    return (
        {"categories": {"in": chosen}} if chosen else None,
        {"metadata": extra} if extra else None,
        {"created_at": span} if span else None,
    )


def literal_filter(text: str) -> Json:
    """A filter in a query: JSON, or the Python literal that mem0's client makes of a dictionary.

    Raises:
        BadFilter: it is neither; nothing may be deleted then.
    """
    if len(text) > LITERAL_LENGTH:
        raise errors.BadFilter(
            f"filters is longer than {LITERAL_LENGTH} characters, so nothing was done.", field="filters"
        )
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        try:
            # Literals only: no names, calls or operators; the length bounds parser and stack.
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise errors.BadFilter("filters cannot be read as an object, so nothing was done.", field="filters")
    return value
