"""The values of a filter: what may stand beside a name, by its kind.

Owns reading text, numbers, times and identifiers. Refuses what cannot be compared or stored with a `BadFilter` that names
the place.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from memdeck_common.errors import BadFilter, BadIdentifier, BadRequest
from memdeck_daemon.memory.model import KIND_OF, check_storable, checked_identifier, storable

ORDERED: Final = frozenset({"gt", "gte", "lt", "lte"})
PARTIAL: Final = frozenset({"contains", "icontains"})
TIMES: Final = frozenset({"created_at", "updated_at"})
DATES: Final = TIMES | {"expiration_date"}


@dataclass(frozen=True, slots=True)
class Instants:
    """A time as the caller said it: an instant, or a whole day (`until` is the next midnight in UTC)."""

    since: datetime
    until: datetime


def read(name: str, operator: str, value: object, path: str, metadata: bool) -> Any:
    """A value as a `Test` holds it: text, a number, `Instants`, or for metadata any JSON.

    Raises:
        BadFilter: it cannot be compared with what the name stands for, or not by this operator.
    """
    if isinstance(value, str):
        check_text(value, path)
    if metadata:
        return _metadata_value(operator, value, path)
    if name in DATES:
        return _time(operator, value, path)
    if operator in ORDERED:
        raise BadFilter(f"{path}: {name} has no order; use eq, in or contains.", field=path)
    if name in KIND_OF and operator not in PARTIAL:
        return _identifier(name, value, path)
    text = _scalar(value, path)
    return text.lower() if name in {"id", "hash"} else text


def _time(operator: str, value: object, path: str) -> Instants:
    if operator in PARTIAL:
        raise BadFilter(f"{path}: times have no parts; use gte and lt.", field=path)
    return _instant(value, path)


def _identifier(name: str, value: object, path: str) -> str:
    try:
        return checked_identifier(KIND_OF[name], value)
    except BadIdentifier as error:
        raise BadFilter(f"{path}: {error}", field=path) from None


def _metadata_value(operator: str, value: object, path: str) -> Any:
    if operator in PARTIAL:
        return _scalar(value, path)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, float) and not math.isfinite(value):
        raise BadFilter(f"{path} must be a number that JSON knows.", field=path)
    if operator in ORDERED and not (number or isinstance(value, str)):
        raise BadFilter(f"{path} must be a number or an ISO date, not {kind_of(value)}.", field=path)
    if isinstance(value, Mapping | list):
        _check_inside(value, path)
    if number or value is None or isinstance(value, Mapping | list):
        return value
    return _scalar(value, path)


def _check_inside(value: object, path: str) -> None:
    try:
        check_storable(value, path)
    except BadRequest as error:
        raise BadFilter(str(error), field=path) from None


def _scalar(value: object, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise BadFilter(f"{path} must be text, a number or a boolean, not {kind_of(value)}.", field=path)


def _instant(value: object, path: str) -> Instants:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            at = datetime.fromtimestamp(value, UTC)
            return Instants(at, at)
        if isinstance(value, str):
            text = value.strip()
            if len(text) == len("2026-01-31"):
                day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
                last = day.date() == date.max
                return Instants(day, datetime.max.replace(tzinfo=UTC) if last else day + timedelta(days=1))
            at = datetime.fromisoformat(text)
            at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
            return Instants(at, at)
    except (ValueError, OverflowError, OSError):
        pass
    raise BadFilter(f"{path} must be an ISO date or time (2026-01-31, 2026-01-31T12:00:00Z).", field=path)


def check_text(text: str, path: str) -> None:
    """Raises BadFilter when Postgres would not take the text."""
    if not storable(text):
        raise BadFilter(f"{path.encode(errors='replace').decode()} holds a character that cannot be stored.")


def kind_of(value: object) -> str:
    """What JSON calls a value, for people."""
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
