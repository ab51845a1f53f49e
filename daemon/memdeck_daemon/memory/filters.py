"""The filter grammar: what a caller may say about which memories it means.

Owns reading (`parse`) and the question which identifiers a filter names (`branches`); what it means in SQL stands in
`store/conditions.py`. A superset of both mem0 dialects: nested AND, OR and NOT, identifiers anywhere, `*`, lists,
comparisons on numbers and dates, contains, icontains, `{"metadata": {"key": value}}`. Whatever cannot be read is a
`BadFilter` that names the place; it is never taken for "no filter". As in SQL, `ne`, `nin` and NOT pass over memories
that lack the key. Numbers of metadata are compared as numbers (1 is 1.0), and with text by how they are written.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from memdeck_common.errors import AdminRequired, BadFilter, Forbidden, NoScope
from memdeck_daemon.memory.filter_values import DATES, ORDERED, check_text, kind_of, read
from memdeck_daemon.memory.model import (
    FIELD_OF,
    KIND_OF,
    Identifier,
    Identifiers,
    Kind,
    Reach,
    matches,
)

DEPTH: Final = 16
TESTS: Final = 256
"""Conditions of a filter; a list counts as one for each `VALUES_PER_TEST`, a list of times as one for each time."""
VALUES_PER_TEST: Final = 100
LIST: Final = 1_000
BRANCHES: Final = 1_000
OPERATORS: Final = ORDERED | {"eq", "ne", "in", "nin", "contains", "icontains", "exists"}
COLUMNS: Final = frozenset(
    {
        *KIND_OF,
        *DATES,
        "id",
        "actor_id",
        "role",
        "memory_type",
        "categories",
        "memory",
        "hash",
    }
)
ALIASES: Final = {
    "session_id": "run_id",
    "keywords": "memory",
    "text": "memory",
    "data": "memory",
    "memory_ids": "id",
}


class Test(Struct, frozen=True):
    """One comparison. `field` is a column name, or a metadata key when `metadata` is set."""

    field: str
    operator: str
    value: Any
    metadata: bool = False


class All(Struct, frozen=True):
    """Every child holds; without children: everything there is."""

    children: tuple["Filter", ...]


class AnyOf(Struct, frozen=True):
    """One child holds."""

    children: tuple["Filter", ...]


class Not(Struct, frozen=True):
    """The child does not hold."""

    child: "Filter"


Filter = Test | All | AnyOf | Not


def everything() -> Filter:
    """No restriction; only administrators get it past `check_scope`."""
    return All(())


def of_identifiers(identifiers: Identifiers) -> Filter:
    """Memories that carry all of these identifiers."""
    return All(tuple(Test(FIELD_OF[name.kind], "eq", name.value) for name in identifiers.named()))


def parse(raw: object, path: str = "filters") -> Filter:
    """A filter as JSON gives it.

    Raises:
        BadFilter: it cannot be read; the message names the place and what would be right.
    """
    budget = [TESTS]
    return _group(raw, path, 0, budget)


def _group(raw: object, path: str, depth: int, budget: list[int]) -> Filter:
    if not isinstance(raw, Mapping):
        raise BadFilter(f"{path} must be an object, not {kind_of(raw)}.", field=path)
    if depth > DEPTH:
        raise BadFilter(f"{path} is nested deeper than {DEPTH} levels.", field=path)
    if not raw:
        raise BadFilter(
            f"{path} is empty: name at least one of user_id, agent_id, app_id, run_id.", field=path
        )
    children: list[Filter] = []
    for key, value in raw.items():
        place = f"{path}.{key}"
        match key:
            case "AND" | "OR" | "NOT" | "$and" | "$or" | "$not":
                children.append(_logical(key.lstrip("$").upper(), value, place, depth, budget))
            case "metadata" if isinstance(value, Mapping) and value:
                children.extend(
                    _tests(str(name), test, f"{place}.{name}", True, budget) for name, test in value.items()
                )
            case _:
                children.append(_tests(str(key), value, place, False, budget))
    return children[0] if len(children) == 1 else All(tuple(children))


def _logical(operator: str, raw: object, path: str, depth: int, budget: list[int]) -> Filter:
    if operator == "NOT" and isinstance(raw, Mapping):
        raw = [raw]
    if not isinstance(raw, list) or not raw:
        raise BadFilter(f"{path} must be a list of filters that is not empty.", field=path)
    children = tuple(_group(item, f"{path}[{i}]", depth + 1, budget) for i, item in enumerate(raw))
    if operator == "AND":
        return All(children)
    # NOT of a list: none of them holds.
    return AnyOf(children) if operator == "OR" else Not(AnyOf(children))


def _tests(name: str, raw: object, path: str, metadata: bool, budget: list[int]) -> Filter:
    name = name if metadata else ALIASES.get(name, name)
    metadata = metadata or name not in COLUMNS
    if not isinstance(raw, Mapping):
        operator = "exists" if raw == "*" else "in" if isinstance(raw, list) else "eq"
        return _test(name, operator, raw, path, metadata, budget)
    if not raw or not set(raw) <= OPERATORS:
        unknown = ", ".join(sorted(str(key) for key in raw if key not in OPERATORS)) or "none"
        raise BadFilter(
            f"{path}: unknown operator ({unknown}); known are {', '.join(sorted(OPERATORS))}.", field=path
        )
    tests = tuple(_test(name, op, value, f"{path}.{op}", metadata, budget) for op, value in raw.items())
    return tests[0] if len(tests) == 1 else All(tests)


def _test(name: str, operator: str, value: object, path: str, metadata: bool, budget: list[int]) -> Test:
    _spend(budget, 1, path)
    check_text(name, path)
    if operator in {"in", "nin"}:
        return _listed(name, operator, value, path, metadata, budget)
    if operator == "exists":
        return Test(name, "exists", value not in (False, "false"), metadata)
    if value == "*" and operator == "eq":
        return Test(name, "exists", True, metadata)
    return Test(name, operator, read(name, operator, value, path, metadata), metadata)


def _spend(budget: list[int], cost: int, path: str) -> None:
    budget[0] -= cost
    if budget[0] < 0:
        raise BadFilter(f"The filter has more than {TESTS} conditions.", field=path)


def _listed(name: str, operator: str, value: object, path: str, metadata: bool, budget: list[int]) -> Test:
    if not isinstance(value, list) or len(value) > LIST:
        raise BadFilter(f"{path} must be a list of at most {LIST:,} values.", field=path)
    named = name in KIND_OF and not metadata
    if named and not value:
        raise BadFilter(f"{path} is an empty list: it names nobody.", field=path)
    if named and "*" in value and operator == "in":
        return Test(name, "exists", True)
    times = name in DATES and not metadata
    _spend(budget, len(value) if times else len(value) // VALUES_PER_TEST, path)
    return Test(name, operator, tuple(read(name, "eq", item, path, metadata) for item in value), metadata)


# --- scope: which identifiers a filter names --------------------------------------------------------------------------


def branches(where: Filter) -> tuple[frozenset[Identifier], ...]:
    """The identifiers that each alternative of the filter requires.

    A memory that matches the filter carries all identifiers of at least one branch. An empty branch names none.

    Raises:
        BadFilter: more than `BRANCHES` alternatives.
    """
    found = tuple(dict.fromkeys(_branches(where)))
    return found or (frozenset(),)


def _branches(where: Filter) -> list[frozenset[Identifier]]:
    match where:
        case Test(field, "eq", value, False) if field in KIND_OF:
            return [frozenset({Identifier(KIND_OF[field], value)})]
        case Test(field, "in", values, False) if field in KIND_OF:
            return [frozenset({Identifier(KIND_OF[field], value)}) for value in values]
        case All(children):
            return _product(children)
        case AnyOf(children):
            return _limited([branch for child in children for branch in _branches(child)])
        case _:
            return [frozenset()]


def _product(children: tuple[Filter, ...]) -> list[frozenset[Identifier]]:
    product: list[frozenset[Identifier]] = [frozenset()]
    for child in children:
        inside = _branches(child)
        if len(product) * len(inside) > BRANCHES:
            raise BadFilter(
                f"The filter has more than {BRANCHES} alternatives; ask for them one after the other."
            )
        product = [left | right for left in product for right in inside]
    return product


def _limited(found: list[frozenset[Identifier]]) -> list[frozenset[Identifier]]:
    if len(found) > BRANCHES:
        raise BadFilter(
            f"The filter has more than {BRANCHES} alternatives; ask for them one after the other."
        )
    return found


def _walk(where: Filter) -> Iterator[Test]:
    match where:
        case Test():
            yield where
        case All(children) | AnyOf(children):
            for child in children:
                yield from _walk(child)
        case Not(child):
            yield from _walk(child)


def _is_open(where: Filter) -> bool:
    """Whether it asks for more than one scope on purpose: `*`, or everything."""
    if where == everything():
        return True
    return any(
        test.operator == "exists" and test.field in KIND_OF and not test.metadata for test in _walk(where)
    )


def check_scope(where: Filter, reach: Reach) -> tuple[frozenset[Identifier], ...]:
    """The filter's branches, once it is known that the caller may ask for them.

    Raises:
        NoScope: a branch names no identifier.
        AdminRequired: the filter reaches across scopes on purpose (`*`) and the caller is no administrator.
        Forbidden: a branch leaves the caller's pins.
    """
    found = branches(where)
    if not all(found):
        if not _is_open(where):
            raise NoScope(
                "filters must contain at least one of: user_id, agent_id, app_id, run_id in every alternative. "
                "Example: filters={'user_id': 'u1'}"
            )
        if not reach.all_scopes:
            raise AdminRequired
    for branch in found:
        for kind, patterns in reach.pinned:
            _check_pin(branch, kind, patterns)
    return found


def _check_pin(branch: frozenset[Identifier], kind: Kind, patterns: tuple[str, ...]) -> None:
    values = [name.value for name in branch if name.kind == kind]
    if not any(matches(value, patterns) for value in values):
        raise Forbidden(
            f"This key is pinned: name a {FIELD_OF[kind]} that matches {' or '.join(patterns)} in every alternative.",
            field=FIELD_OF[kind],
        )


def names_only(where: Filter) -> bool:
    """Whether the filter looks at nothing but identifiers, AND-ed or OR-ed."""
    match where:
        case Test(field, operator, _, metadata):
            return field in KIND_OF and not metadata and operator in {"eq", "in"}
        case All(children) | AnyOf(children):
            return all(names_only(child) for child in children)
        case _:
            return False
