"""The body of every refusal."""

from typing import Any

from msgspec import Struct


class Refusal(Struct, frozen=True, kw_only=True):
    """What was wrong. More fields may say which field, limit or position."""

    detail: str
    """A sentence for people."""
    code: str
    """A stable word for programs."""
    request_id: str


class FieldProblem(Struct, frozen=True, kw_only=True):
    """One field that does not fit, as mem0's own server puts it."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any = None


class OssRefusal(Struct, frozen=True, kw_only=True):
    """Fields that do not fit, in the self-hosted dialect (422)."""

    detail: list[FieldProblem]
    code: str
    request_id: str
