"""Refusals and their envelope: `{"detail": …, "code": …, "request_id": …}`.

Owns how an exception becomes status, body and headers in each dialect, and the few exceptions that only the HTTP border
raises. Refuses to show what an unexpected exception says: that goes to the log, under the request id.
"""

import math
import re
from typing import Any, Final, Literal

import msgspec

from memdeck_common import errors

Dialect = Literal["oss", "platform", "native", "ops"]
JSON: Final = "application/json"
_SHOWN_INPUT: Final = 200


class MalformedJson(errors.BadRequest):
    """The body is not JSON."""

    code = "malformed_json"


class MemoryTooLarge(errors.BadRequest):
    """The text of one memory is larger than this daemon takes; MEMDECK_MAX_MEMORY_BYTES raises the limit."""

    code = "memory_too_large"


class BodyTimeout(errors.MemdeckError):
    """The body did not arrive in time."""

    code, status = "body_timeout", 408


class ExpectationFailed(errors.MemdeckError):
    """The only expectation that can be met is 100-continue."""

    code, status = "expectation_failed", 417


class DeadlineExceeded(errors.Unavailable):
    """The request took longer than MEMDECK_REQUEST_TIMEOUT allows; what it began may still complete. Try again shortly."""

    code, status = "deadline_exceeded", 504


class Overloaded(errors.Unavailable):
    """More requests are waiting than can be answered in time; nothing was done. Try again shortly."""

    code = "overloaded"


class TooManyConnections(errors.Unavailable):
    """More connections are open than MEMDECK_MAX_CONNECTIONS allows; nothing was done. Try again shortly."""

    code = "too_many_connections"


class UnknownHost(errors.MemdeckError):
    """This daemon is not known by the name in the header Host."""

    code, status = "unknown_host", 421


class ForeignOrigin(errors.Forbidden):
    """Web pages of other origins may not ask this daemon; MEMDECK_ALLOWED_HOSTS names those that may."""

    code = "foreign_origin"


class InvalidFields(errors.BadField):
    """Fields of a body or query that do not fit their types; `problems` is the list that the self-hosted dialect sends."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        self.problems = problems
        first = problems[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        super().__init__(f"{place}: {first['msg']}")


def invalid(
    part: Literal["body", "query", "path"], error: msgspec.ValidationError, source: Any
) -> InvalidFields:
    """The refusal of what msgspec would not convert; `source` is the undecoded value, of which the bad part is shown."""
    problem, _, path = str(error).partition(" - at `$")
    location: list[str | int] = [part]
    location += [
        int(index) if index else name
        for name, index in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", path.replace("[...]", ""))
    ]
    if missing := re.fullmatch(r"Object missing required field `(.+)`", problem):
        kind, location, message = "missing", [*location, missing[1]], "Field required"
    else:
        expected = re.match(r"Expected `(\w+)", problem)
        kind, message = (f"{expected[1]}_type" if expected else "value_error"), problem
    return InvalidFields(
        [{"type": kind, "loc": location, "msg": message, "input": _shown(source, location[1:])}]
    )


def _shown(source: Any, location: list[str | int]) -> Any:
    """The value at a place, as far as it can be reached and is short; else the whole of what was reached, or None."""
    for step in location:
        try:
            source = source[step]
        except (KeyError, IndexError, TypeError):
            break
    return source if len(repr(source)) <= _SHOWN_INPUT else None


def envelope(
    error: errors.MemdeckError, dialect: Dialect, request_id: str
) -> tuple[int, bytes, dict[str, str]]:
    """Status, JSON body and headers of a refusal.

    Fields that do not fit are 422 with a list in the self-hosted dialect and 400 with a sentence elsewhere.
    """
    status, detail = error.status, _sentence(error)
    body: dict[str, Any] = {"detail": detail, "code": error.code, "request_id": request_id}
    if isinstance(error, errors.BadField):
        if dialect == "oss":
            body["detail"] = _problems(error)
        else:
            status = 400
    body |= {name: value for name, value in error.facts.items() if name not in body}
    return status, msgspec.json.encode(body, enc_hook=str), _headers(error)


def _sentence(error: errors.MemdeckError) -> str:
    return str(error).encode(errors="replace").decode()


def _problems(error: errors.BadField) -> list[dict[str, Any]]:
    if isinstance(error, InvalidFields):
        return error.problems
    field = error.facts.get("field")
    location = ["body", *str(field).split(".")] if field else ["body"]
    return [
        {"type": "value_error", "loc": location, "msg": _sentence(error), "input": error.facts.get("input")}
    ]


def _headers(error: errors.MemdeckError) -> dict[str, str]:
    match error:
        case errors.Unauthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case errors.RateLimited() | errors.Unavailable():
            return {"Retry-After": str(max(1, math.ceil(float(error.facts.get("retry_after", 1)))))}
        case errors.MethodNotAllowed():
            return {"Allow": str(error.facts.get("allow", ""))}
        case _:
            return {}
