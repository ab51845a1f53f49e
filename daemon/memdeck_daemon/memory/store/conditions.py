"""Filters as SQL conditions over `memory.memories m`.

Owns the translation and nothing else. Values only ever travel as parameters; the text depends on the filter's shape
alone, so prepared statements are shared by all filters of a shape.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import msgspec

from memdeck_daemon.memory.filter_values import Instants
from memdeck_daemon.memory.filters import All, AnyOf, Filter, Not, Test
from memdeck_daemon.memory.model import Identifier

COMPARISON: Final = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(slots=True)
class Arguments:
    """The parameters of a statement, in order."""

    values: list[Any] = field(default_factory=list)

    def add(self, value: Any) -> str:
        """The placeholder of a new parameter."""
        self.values.append(value)
        return f"${len(self.values)}"


def condition(
    where: Filter,
    branches: Iterable[frozenset[Identifier]],
    arguments: Arguments,
    *,
    today: date | None,
) -> str:
    """The condition; `today` hides what expired before it, None shows it.

    Memories of a user always belong to that user, so a filter that names users also names the partitions.
    """
    parts = [_sql(where, arguments)]
    owners = sorted({owner for branch in branches if (owner := _owner(branch)) is not None})
    if owners and all(_owner(branch) is not None for branch in branches):
        parts.insert(0, _owned(owners, arguments))
    if today is not None:
        parts.append(f"(m.expiration_date IS NULL OR m.expiration_date >= {arguments.add(today)})")
    return " AND ".join(parts)


def _owner(branch: frozenset[Identifier]) -> str | None:
    return next((str(name) for name in branch if name.kind == "user"), None)


def _owned(owners: list[str], arguments: Arguments) -> str:
    if len(owners) == 1:
        return f"m.owner = {arguments.add(owners[0])}"
    return f"m.owner = ANY({arguments.add(owners)}::text[])"


def _sql(where: Filter, arguments: Arguments) -> str:
    match where:
        case All(()):
            return "true"
        case All(children):
            return "(" + " AND ".join(_sql(child, arguments) for child in children) + ")"
        case AnyOf(children):
            return "(" + " OR ".join(_sql(child, arguments) for child in children) + ")"
        case Not(child):
            return f"NOT {_sql(child, arguments)}"
        case Test() as test if test.metadata:
            return _on_metadata(test, arguments)
        case Test() as test:
            return _on_column(test, arguments)


def _on_column(test: Test, arguments: Arguments) -> str:
    if test.field == "categories":
        return _on_categories(test, arguments)
    column = {"memory": "m.text", "id": "m.id::text", "hash": "replace(m.hash::text, '-', '')"}.get(
        test.field, f"m.{test.field}"
    )
    if test.operator == "exists":
        return f"({column} IS {'NOT ' if test.value else ''}NULL)"
    if test.field in {"created_at", "updated_at"}:
        return _on_time(column, test, arguments)
    if test.field == "expiration_date":
        return _on_time("m.expiration_date::timestamp AT TIME ZONE 'UTC'", test, arguments)
    return _on_text(column, test, arguments)


def _on_text(column: str, test: Test, arguments: Arguments) -> str:
    match test.operator:
        case "in":
            return f"({column} = ANY({arguments.add(list(test.value))}::text[]))"
        case "nin":
            return f"({column} <> ALL({arguments.add(list(test.value))}::text[]))"
        case "contains":
            return f"(strpos({column}, {arguments.add(test.value)}) > 0)"
        case "icontains":
            return f"(strpos(lower({column}), lower({arguments.add(test.value)})) > 0)"
        case operator:
            return f"({column} {COMPARISON[operator]} {arguments.add(test.value)})"


def _on_time(column: str, test: Test, arguments: Arguments) -> str:
    if test.operator in {"in", "nin"}:
        inside = " OR ".join(_same_time(column, value, arguments) for value in test.value) or "false"
        return f"(NOT ({inside}))" if test.operator == "nin" else f"({inside})"
    value: Instants = test.value
    match test.operator:
        case "eq":
            return _same_time(column, value, arguments)
        case "ne":
            return f"(NOT {_same_time(column, value, arguments)})"
        case "gt" | "lte" if value.until > value.since:
            # A whole day: after it, or up to its end.
            return f"({column} {'>=' if test.operator == 'gt' else '<'} {arguments.add(value.until)})"
        case operator:
            return f"({column} {COMPARISON[operator]} {arguments.add(value.since)})"


def _same_time(column: str, value: Instants, arguments: Arguments) -> str:
    if value.until == value.since:
        return f"({column} = {arguments.add(value.since)})"
    return f"({column} >= {arguments.add(value.since)} AND {column} < {arguments.add(value.until)})"


def _on_categories(test: Test, arguments: Arguments) -> str:
    match test.operator:
        case "exists":
            return f"(cardinality(m.categories) {'>' if test.value else '='} 0)"
        case "in":
            return f"(m.categories && {arguments.add(list(test.value))}::text[])"
        case "nin":
            return f"(NOT m.categories && {arguments.add(list(test.value))}::text[])"
        case "ne":
            return f"({arguments.add(test.value)} <> ALL(m.categories))"
        case "icontains":
            return f"(lower({arguments.add(test.value)}) = ANY(lower(m.categories::text)::text[]))"
        case _:
            return f"({arguments.add(test.value)} = ANY(m.categories))"


def _on_metadata(test: Test, arguments: Arguments) -> str:
    key = f"{arguments.add(test.field)}::text"
    text, value = f"(m.metadata ->> {key})", f"(m.metadata -> {key})"
    match test.operator:
        case "exists":
            return f"({'' if test.value else 'NOT '}m.metadata ? {key})"
        case "gt" | "gte" | "lt" | "lte":
            return _on_order(text, value, test, arguments)
        case "contains" | "icontains":
            inside = _on_text(text, test, arguments)
            needle, element = f"{arguments.add(test.value)}::text", "element"
            if test.operator == "icontains":
                needle, element = f"lower({needle})", "lower(element)"
            listed = f"EXISTS (SELECT FROM jsonb_array_elements_text({value}) AS element WHERE {element} = {needle})"
            return f"(CASE jsonb_typeof({value}) WHEN 'array' THEN {listed} ELSE {inside} END)"
        case _:
            wanted = test.value if test.operator in {"in", "nin"} else (test.value,)
            return _among(text, value, wanted, arguments, wanted_inside=test.operator in {"eq", "in"})


def _among(text: str, value: str, wanted: Sequence[Any], arguments: Arguments, *, wanted_inside: bool) -> str:
    """Whether a value of metadata is (`wanted_inside`) or is not one of several, as text or as JSON."""
    texts = [str(one) for one in wanted if isinstance(one, str | int | float)]
    # As JSON, 1 is 1.0, and objects are equal whatever the order of their keys.
    bodies = [msgspec.json.encode(one).decode() for one in wanted if not isinstance(one, str)]
    quantified, glue = ("= ANY", " OR ") if wanted_inside else ("<> ALL", " AND ")
    tests = [f"{text} {quantified}({arguments.add(texts)}::text[])"] if texts or not bodies else []
    if bodies:
        tests.append(f"{value} {quantified}({arguments.add(bodies)}::text[]::jsonb[])")
    return f"({glue.join(tests)})"


def _on_order(text: str, value: str, test: Test, arguments: Arguments) -> str:
    # CASE, not AND: Postgres may evaluate the cast before the test of the type.
    sign = COMPARISON[test.operator]
    if isinstance(test.value, str):
        # ISO dates sort as text; the C collation makes it so whatever the database's own is.
        compared = f'{text} COLLATE "C" {sign} {arguments.add(test.value)}'
        return f"(CASE WHEN jsonb_typeof({value}) = 'string' THEN {compared} ELSE NULL END)"
    # numeric, because a number of JSON may be too large for anything else.
    compared = f"{text}::numeric {sign} {arguments.add(str(test.value))}::text::numeric"
    return f"(CASE WHEN jsonb_typeof({value}) = 'number' THEN {compared} ELSE NULL END)"
