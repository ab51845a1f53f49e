"""What a filter means, read from its JSON alone: the yardstick of the SQL.

Three-valued as SQL is: True, False, or None (unknown), and only True matches. Written without the product's parser, so
that a mistake there shows as well.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from memdeck_daemon.memory.model import Memory

Verdict = bool | None
COLUMNS: dict[str, Callable[[Memory], Any]] = {
    "user_id": lambda memory: memory.identifiers.user,
    "agent_id": lambda memory: memory.identifiers.agent,
    "app_id": lambda memory: memory.identifiers.app,
    "run_id": lambda memory: memory.identifiers.run,
    "actor_id": lambda memory: memory.actor,
    "role": lambda memory: memory.role,
    "memory_type": lambda memory: memory.memory_type,
    "memory": lambda memory: memory.text,
    "id": lambda memory: str(memory.id),
    "hash": lambda memory: memory.hash,
    "created_at": lambda memory: memory.created_at,
    "expiration_date": lambda memory: memory.expiration_date,
    "categories": lambda memory: memory.categories,
}
MISSING = object()


def matches(raw: Mapping[str, Any], memory: Memory) -> bool:
    """Whether a memory matches."""
    return group(raw, memory) is True


def both(verdicts: list[Verdict]) -> Verdict:
    return False if False in verdicts else None if None in verdicts else True


def either(verdicts: list[Verdict]) -> Verdict:
    return True if True in verdicts else None if None in verdicts else False


def negated(verdict: Verdict) -> Verdict:
    return None if verdict is None else not verdict


def group(raw: Mapping[str, Any], memory: Memory) -> Verdict:
    return both([_entry(key, value, memory) for key, value in raw.items()])


def _entry(key: str, value: Any, memory: Memory) -> Verdict:
    if key in {"AND", "OR", "NOT"}:
        verdicts = [group(child, memory) for child in value]
        return (
            both(verdicts) if key == "AND" else either(verdicts) if key == "OR" else negated(either(verdicts))
        )
    if key == "metadata":
        return both([_operators(memory.metadata.get(k, MISSING), v, _json) for k, v in value.items()])
    if key in COLUMNS:
        return _operators(COLUMNS[key](memory), value, COMPARED.get(key, _text))
    return _operators(memory.metadata.get(key, MISSING), value, _json)


def _operators(held: Any, raw: Any, compare: Callable[[Any, str, Any], Verdict]) -> Verdict:
    if not isinstance(raw, Mapping):
        raw = {"in" if isinstance(raw, list) else "exists" if raw == "*" else "eq": raw}
    return both([_one(held, operator, wanted, compare) for operator, wanted in raw.items()])


def _one(held: Any, operator: str, wanted: Any, compare: Callable[[Any, str, Any], Verdict]) -> Verdict:
    if operator == "exists":
        return (
            (held is not MISSING and held is not None and held != ()) is (wanted is not False)
            if (compare is not _json)
            else (held is not MISSING) is (wanted is not False)
        )
    if operator in {"ne", "nin"}:
        return negated(_one(held, {"ne": "eq", "nin": "in"}[operator], wanted, compare))
    if operator == "in":
        return either([compare(held, "eq", one) for one in wanted]) if wanted else False
    return compare(held, operator, wanted)


def _text(held: Any, operator: str, wanted: Any) -> Verdict:
    if held is None:
        return None
    if operator == "eq":
        return bool(held == wanted)
    return wanted in held if operator == "contains" else wanted.lower() in held.lower()


def _among_categories(held: Any, operator: str, wanted: Any) -> Verdict:
    if operator == "icontains":
        return wanted.lower() in [one.lower() for one in held]
    return wanted in held


def _time(held: Any, operator: str, wanted: str) -> Verdict:
    if held is None:
        return None
    at = datetime.combine(held, datetime.min.time(), UTC) if not isinstance(held, datetime) else held
    since = datetime.fromisoformat(wanted)
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    day = len(wanted) == len("2026-01-31")
    until = since + timedelta(days=1) if day else since
    within = since <= at < until if day else at == since
    after = at >= until if day else at > since
    return {"eq": within, "gt": after, "gte": at >= since, "lt": at < since, "lte": not after}[operator]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> Any:
    """A JSON scalar as Postgres' ->> writes it; None for null."""
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)


def _json(held: Any, operator: str, wanted: Any) -> Verdict:
    if held is MISSING:
        return None
    if operator != "eq":
        return (_contains if operator in {"contains", "icontains"} else _ordered)(held, operator, wanted)
    if wanted is None or isinstance(wanted, dict | list):
        return _same_json(held, wanted)
    if held is None or isinstance(held, dict | list):
        return None if held is None else False
    return _shown(held) == _shown(wanted) or (_number(held) and _number(wanted) and held == wanted)


def _same_json(held: Any, wanted: Any) -> bool:
    # In Python True == 1.
    return isinstance(held, bool) == isinstance(wanted, bool) and bool(held == wanted)


def _ordered(held: Any, operator: str, wanted: Any) -> Verdict:
    if not (isinstance(held, str) and isinstance(wanted, str)) and not (_number(held) and _number(wanted)):
        return None
    return bool(
        {"gt": held > wanted, "gte": held >= wanted, "lt": held < wanted, "lte": held <= wanted}[operator]
    )


def _contains(held: Any, operator: str, wanted: Any) -> Verdict:
    needle = _shown(wanted)
    if isinstance(held, list):
        inside = [_shown(one) for one in held if one is not None]
        return (
            needle.lower() in [one.lower() for one in inside] if operator == "icontains" else needle in inside
        )
    if held is None:
        return None
    text = _shown(held)
    return needle.lower() in text.lower() if operator == "icontains" else needle in text


COMPARED = {"categories": _among_categories, "created_at": _time, "expiration_date": _time}
