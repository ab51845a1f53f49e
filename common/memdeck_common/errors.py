"""The exceptions that cross a border, each with a stable code, an HTTP status and an exit code.

    MemdeckError                  internal            500  1
    ├── BadRequest                bad_request         400  2
    │   ├── BadIdentifier         bad_identifier      400
    │   ├── BadFilter             bad_filter          400
    │   ├── NoScope               no_scope            400
    │   └── BadField              bad_field           422
    ├── Unauthenticated           unauthenticated     401  4
    ├── Forbidden                 forbidden           403  4
    │   └── AdminRequired         admin_required      403
    ├── NotFound                  not_found           404  1
    │   ├── MemoryNotFound        memory_not_found
    │   ├── KeyNotFound           key_not_found
    │   └── EventNotFound         event_not_found
    ├── MethodNotAllowed          method_not_allowed  405
    ├── Conflict                  conflict            409  4
    │   └── UndoExpired           undo_expired        410
    ├── BodyTooLarge              body_too_large      413  2
    ├── RateLimited               rate_limited        429  1
    ├── NotOffered                not_offered         501  1
    ├── Unavailable               unavailable         503  1
    │   ├── StoreUnavailable      store_unavailable
    │   │   ├── StoreLost         store_unavailable
    │   │   ├── StoreReadOnly     store_unavailable
    │   │   ├── StoreBusy         store_busy
    │   │   ├── OutcomeUnknown    outcome_unknown
    │   │   └── PartlyDone        partly_done
    │   ├── SpoolFull             spool_full
    │   └── DiskFull              disk_full           507
    ├── DaemonUnreachable         daemon_unreachable  –    3   (client side)
    └── ConfigurationError        configuration       –    78
        └── DatabaseUnusable      database_unusable   –    78
            └── DatabaseAway      database_away

The class docstring is the message when none is given. A message says what is wrong, where, and what to do; it never
holds a secret.
"""

from typing import Any, ClassVar


class MemdeckError(Exception):
    """Something went wrong inside memdeck; the log has the details under this request id."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "", **facts: Any) -> None:
        """`facts` travel in the error body beside `detail` (field names, limits), never secrets."""
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))
        self.facts = facts


class BadRequest(MemdeckError):
    """The request cannot be understood."""

    code, status, exit_code = "bad_request", 400, 2


class BadIdentifier(BadRequest):
    """An identifier is unusable: ids of memories are UUIDs, ids of users, agents, apps and runs are text without spaces."""

    code = "bad_identifier"


class BadFilter(BadRequest):
    """The filter cannot be read, so nothing was done."""

    code = "bad_filter"


class NoScope(BadRequest):
    """At least one identifier (user_id, agent_id, app_id, run_id) is required."""

    code = "no_scope"


class BadField(BadRequest):
    """A field of the request has the wrong type or is out of range."""

    code, status = "bad_field", 422


class Unauthenticated(MemdeckError):
    """Authentication required. Provide a key as X-API-Key, or Authorization: Token or Bearer."""

    code, status, exit_code = "unauthenticated", 401, 4


class Forbidden(MemdeckError):
    """This key may not do that."""

    code, status, exit_code = "forbidden", 403, 4


class AdminRequired(Forbidden):
    """Admin role required."""

    code = "admin_required"


class NotFound(MemdeckError):
    """There is nothing at this address; /openapi.json lists what is."""

    code, status = "not_found", 404


class MemoryNotFound(NotFound):
    """Memory not found."""

    code = "memory_not_found"


class KeyNotFound(NotFound):
    """No such key; `memdeck keys list` shows those that exist."""

    code = "key_not_found"


class EventNotFound(NotFound):
    """No such event, or it is older than what is kept."""

    code = "event_not_found"


class MethodNotAllowed(MemdeckError):
    """This address does not take that method; the Allow header lists those that it takes."""

    code, status = "method_not_allowed", 405


class Conflict(MemdeckError):
    """The request contradicts what is stored."""

    code, status, exit_code = "conflict", 409, 4


class UndoExpired(Conflict):
    """There is nothing left to undo: changes can be undone for 24 hours."""

    code, status = "undo_expired", 410


class BodyTooLarge(MemdeckError):
    """The body is larger than this daemon takes; MEMDECK_MAX_BODY_BYTES raises the limit."""

    code, status, exit_code = "body_too_large", 413, 2


class RateLimited(MemdeckError):
    """This key has used up its requests for now; Retry-After says when there are more."""

    code, status = "rate_limited", 429


class NotOffered(MemdeckError):
    """Only the hosted platform can do this; memdeck does not offer it."""

    code, status = "not_offered", 501


class Unavailable(MemdeckError):
    """A part that this request needs is not available right now; try again shortly."""

    code, status = "unavailable", 503
    part: ClassVar[str] = ""
    """What was missing, by the name that answers use in `degraded`."""


class StoreUnavailable(Unavailable):
    """The database does not answer. Try again shortly; `memdeck doctor` says what is wrong."""

    code = "store_unavailable"
    part = "postgres"


class StoreLost(StoreUnavailable):
    """The connection to the database was lost, so it is not known what became of this. Try again."""


class StoreReadOnly(StoreUnavailable):
    """The database takes no writes for now; nothing was stored. Its log says why."""


class StoreBusy(StoreUnavailable):
    """The database has more to do than it can. Try again shortly."""

    code = "store_busy"


class OutcomeUnknown(StoreUnavailable):
    """The database went away during the commit: whether this was stored is not known until it is back."""

    code = "outcome_unknown"


class PartlyDone(StoreUnavailable):
    """The database went away half-way: a part was done and stays so, the rest was not."""

    code = "partly_done"


class SpoolFull(Unavailable):
    """The database does not answer and the spool has no room left: nothing was stored. Try again later."""

    code = "spool_full"
    part = "spool"


class DiskFull(Unavailable):
    """The disk is full: nothing was stored. Free some space; reads go on meanwhile."""

    code, status = "disk_full", 507
    part = "disk"


class DaemonUnreachable(MemdeckError):
    """The daemon cannot be reached; `memdeck up` starts it, `memdeck doctor` says what is wrong."""

    code, exit_code = "daemon_unreachable", 3


class ConfigurationError(MemdeckError):
    """A setting cannot be used."""

    code, exit_code = "configuration", 78


class DatabaseUnusable(ConfigurationError):
    """The database cannot be used."""

    code = "database_unusable"


class DatabaseAway(DatabaseUnusable):
    """The database cannot be reached yet."""

    code = "database_away"
