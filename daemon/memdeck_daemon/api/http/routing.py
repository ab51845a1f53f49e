"""The table of routes: what each address takes, answers, refuses and asks of its caller.

Owns the types that a handler sees (`Call`) and may return (`Reply`, `Stream`). The table is the one source of the
server's routing, its access rules and `/openapi.json`, so that none of them can say something else.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from memdeck_daemon.api.access.principals import Need, Principal
from memdeck_daemon.api.http.refusals import Dialect

Body = TypeVar("Body")
Query = TypeVar("Query")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Call(msgspec.Struct, Generic[Body, Query], frozen=True):
    """One request, authenticated, decoded and validated. A struct: it is made in an eighth of a frozen dataclass' time."""

    principal: Principal
    request_id: str
    body: Body
    query: Query
    path: Mapping[str, str]
    """Parameters of the path, percent-decoded."""
    headers: Mapping[str, str]
    base_url: str
    """`http://host:port` as the client named it, for links."""
    raw: bytes = b""
    """The body as it came, unpacked."""
    raw_path: str = ""
    """Path and query as they came."""


class Reply(msgspec.Struct, frozen=True):
    """An answer with another status or more headers than the route's own; `raw` is a body that is not JSON."""

    value: Any = None
    status: int | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on; closed when the client leaves or the server stops."""

    chunks: AsyncIterator[bytes]
    content_type: str


Handler = Callable[[Call[Any, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one address."""

    method: Method
    path: str
    handler: Handler
    operation: str
    """Under which name its calls are counted and timed: search, add, get, list, …"""
    need: Need
    dialect: Dialect
    summary: str
    description: str = ""
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    answer: Any = dict[str, Any]
    """Type of the returned value for the schema; a tuple where it may be one of several."""
    status: int = 200
    queued: Any = None
    """Type of what is answered with 202 where a write waits on the disk; None: none does."""
    refuses: tuple[int, ...] = ()
    """Statuses that the handler itself may refuse with; those of the border (401, 413, …) are known."""
    path_schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON schema of path parameters that are not plain text."""
    kept: bool = False
    """Whether its answers may be kept: it reads, and answers the same to everybody with the same reach."""
    example: Any = None
    """A body that works."""
    content_type: str = "application/json"


UUID_SCHEMA: Final = {"type": "string", "format": "uuid"}
MEMORY_ID: Final = {"memory_id": UUID_SCHEMA}
