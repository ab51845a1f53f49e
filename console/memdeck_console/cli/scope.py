"""Options that say whose memories are meant, and the filter that they make.

Owns the mapping from `--user`, `--agent`, `--app`, `--run` and `--filter` to identifiers and filters of the API. Refuses
to guess: a command that touches many memories says so when none is named.
"""

import argparse
import json
import re
from datetime import UTC, date, datetime
from typing import Any

from memdeck_common.errors import NoScope

KINDS = ("user", "agent", "app", "run")
EVERYTHING: dict[str, Any] = {"OR": [{f"{kind}_id": "*"} for kind in KINDS]}
"""The filter of an administrator who means all of it."""
_PAIR = re.compile(r"([^=\s]+)=(.*)", re.DOTALL)


def add_scope_options(parser: argparse.ArgumentParser, what: str) -> None:
    """`--user`, `--agent`, `--app`, `--run`."""
    group = parser.add_argument_group(what)
    for kind in KINDS:
        group.add_argument(f"--{kind}", metavar="ID", help=f"id of the {kind}")


def identifiers(options: argparse.Namespace) -> dict[str, str]:
    """The identifiers that were given, by their names in the API."""
    given = {f"{kind}_id": getattr(options, kind) for kind in KINDS}
    return {name: value for name, value in given.items() if value is not None}


def required_identifiers(options: argparse.Namespace) -> dict[str, str]:
    """The identifiers that were given.

    Raises:
        NoScope: none was.
    """
    found = identifiers(options)
    if not found:
        raise NoScope("Say whose memories are meant: --user, --agent, --app or --run.")
    return found


def scope_filter(options: argparse.Namespace) -> dict[str, Any]:
    """The filter of the options: identifiers and `--filter`, AND-ed; everything with `--all`.

    Raises:
        NoScope: nothing says whose memories are meant.
    """
    extra: dict[str, Any] | None = getattr(options, "filter", None)
    parts = [{name: value} for name, value in identifiers(options).items()]
    if getattr(options, "all", False):
        parts.append(EVERYTHING)
    if extra:
        parts.append(extra)
    if not parts:
        more = ", or --all" if hasattr(options, "all") else ""
        raise NoScope(f"Say whose memories are meant: --user, --agent, --app or --run{more}.")
    if len(parts) == 1:
        return parts[0]
    return {"AND": parts}


def json_object(text: str) -> dict[str, Any]:
    """An option that holds a JSON object."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error})") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('not a JSON object such as {"category": "work"}')
    return value


def metadata(text: str) -> dict[str, Any]:
    """`key=value` (a text), or a JSON object."""
    if text.lstrip().startswith("{"):
        return json_object(text)
    found = _PAIR.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is neither key=value nor a JSON object")
    return {found[1]: found[2]}


def merged(values: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Several `--metadata` as one object; later ones win."""
    return {key: value for one in values or [] for key, value in one.items()}


def day(text: str) -> str:
    """A date, `2026-12-31`."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-12-31") from None


def moment(text: str) -> str:
    """A time in ISO form; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-11-20T09:30:00Z") from None
    return (at.replace(tzinfo=UTC) if at.tzinfo is None else at).isoformat()


def between(low: int, high: int) -> Any:
    """A whole number within limits, as the type of an option."""

    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is not between {low:,} and {high:,}")
        return value

    return whole


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value
