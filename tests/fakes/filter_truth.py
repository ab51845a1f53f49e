"""What a filter means, without SQL: whether a memory matches."""

from typing import Any

from memdeck_daemon.memory.filter_values import Instants
from memdeck_daemon.memory.filters import All, AnyOf, Filter, Not, Test
from memdeck_daemon.memory.model import KIND_OF, Memory


def holds(where: Filter, memory: Memory) -> bool:
    """Whether a memory matches; as in SQL, a comparison with what is absent is unknown, and unknown does not match."""
    return _holds(where, memory) is True


def _holds(where: Filter, memory: Memory) -> bool | None:
    match where:
        case All(children):
            verdicts = [_holds(child, memory) for child in children]
            return False if False in verdicts else None if None in verdicts else True
        case AnyOf(children):
            verdicts = [_holds(child, memory) for child in children]
            return True if True in verdicts else None if None in verdicts else False
        case Not(child):
            verdict = _holds(child, memory)
            return None if verdict is None else not verdict
        case Test():
            return _compare(where, memory)


def _compare(test: Test, memory: Memory) -> bool | None:
    value = memory.metadata.get(test.field) if test.metadata else _column(test.field, memory)
    if test.operator == "exists":
        return (value not in (None, [])) is bool(test.value)
    if value is None:
        return None
    if isinstance(test.value, Instants):
        return _in_time(test.operator, value, test.value)
    if test.operator in {"gt", "gte", "lt", "lte"}:
        return _ordered(test.operator, value, test.value)
    return _equal(test, value if isinstance(value, list) else [value], whole=isinstance(value, list))


def _equal(test: Test, values: list[Any], *, whole: bool) -> bool:
    held = [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
    wanted = [str(one) for one in test.value] if isinstance(test.value, tuple) else [str(test.value)]
    inside = any(one in wanted for one in held)
    verdicts = {
        "in": inside,
        "eq": inside,
        "nin": not inside,
        "ne": not inside,
        "contains": inside if whole else wanted[:1] != [] and wanted[0] in held[0],
        "icontains": wanted[:1] != [] and wanted[0].lower() in " ".join(held).lower(),
    }
    return verdicts[test.operator]


def _column(field: str, memory: Memory) -> Any:
    if field in KIND_OF:
        return memory.identifiers.get(KIND_OF[field])
    names = {"memory": "text", "actor_id": "actor", "id": "id"}
    value = getattr(memory, names.get(field, field))
    return list(value) if isinstance(value, tuple) else value


def _in_time(operator: str, value: Any, wanted: Instants) -> bool:
    if not hasattr(value, "tzinfo"):
        value = wanted.since.replace(year=value.year, month=value.month, day=value.day)
    after = value >= wanted.until if wanted.until > wanted.since else value > wanted.since
    within = value >= wanted.since and not after
    verdicts: dict[str, bool] = {"eq": within, "ne": not within, "gt": after, "lt": value < wanted.since}
    verdicts |= {"gte": value >= wanted.since, "lte": not after}
    return verdicts[operator]


def _ordered(operator: str, value: Any, wanted: Any) -> bool | None:
    if isinstance(value, str) is not isinstance(wanted, str):
        return None
    verdicts: dict[str, bool] = {
        "gt": value > wanted,
        "gte": value >= wanted,
        "lt": value < wanted,
        "lte": value <= wanted,
    }
    return verdicts[operator]
