"""Filters as JSON of our own, for writes that wait on the disk.

Owns the way there and back, exactly: what callers send is another form (`filters.parse`), and is not kept.
"""

from datetime import datetime
from typing import Any

from memdeck_daemon.memory.filter_values import Instants
from memdeck_daemon.memory.filters import All, AnyOf, Filter, Not, Test
from memdeck_daemon.memory.model import Json


def plain(where: Filter) -> Json:
    """A filter as lists, objects, texts and numbers."""
    match where:
        case Test(name, operator, value, metadata):
            return {"test": [name, operator, _plain(value), metadata]}
        case All(children):
            return {"all": [plain(child) for child in children]}
        case AnyOf(children):
            return {"any": [plain(child) for child in children]}
        case Not(child):
            return {"not": plain(child)}


def read(given: Json) -> Filter:
    """The filter that `plain` was given."""
    [(kind, inside)] = given.items()
    match kind:
        case "test":
            name, operator, value, metadata = inside
            return Test(name, operator, _read(value), metadata)
        case "all":
            return All(tuple(read(child) for child in inside))
        case "any":
            return AnyOf(tuple(read(child) for child in inside))
        case _:
            return Not(read(inside))


def _plain(value: Any) -> Json:
    match value:
        case Instants(since, until):
            return {"since": since.isoformat(), "until": until.isoformat()}
        case tuple():
            return {"values": [_plain(one) for one in value]}
        case _:
            return {"value": value}


def _read(given: Json) -> Any:
    if "since" in given:
        return Instants(datetime.fromisoformat(given["since"]), datetime.fromisoformat(given["until"]))
    if "values" in given:
        return tuple(_read(one) for one in given["values"])
    return given["value"]
