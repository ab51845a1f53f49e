"""Bodies of `/ops/spool`: writes that wait on the disk while Postgres cannot take them."""

from typing import Any

from msgspec import Struct


class ParkedWrite(Struct, frozen=True, kw_only=True):
    """A write that the database refuses for its own sake."""

    receipt_id: str
    kind: str
    """add, update, delete, delete_scope or undo."""
    at: str
    """When it was acknowledged."""
    reason: str


class DamagedPart(Struct, frozen=True, kw_only=True):
    """Bytes of a spool file that could not be read; they were set aside under this name."""

    name: str
    bytes: int


class SpoolStatus(Struct, frozen=True, kw_only=True):
    """What waits, and what was set aside."""

    state: str
    """empty, waiting (for the database), replaying, full, or off."""
    waiting: int
    """Writes that were acknowledged and are not in the database yet."""
    bytes: int
    limit_bytes: int
    oldest_seconds: float | None
    """How long the oldest one has waited."""
    replayed: int
    """Writes that were carried out since the daemon started."""
    note: str
    """Why the replay waits."""
    parked: int
    parked_writes: list[ParkedWrite]
    """The oldest ones."""
    damaged: list[DamagedPart]


class ReplayWanted(Struct, frozen=True, kw_only=True):
    """What is to be replayed."""

    parked: bool = False
    """Try parked writes once more, too."""


class ReplayStarted(Struct, frozen=True, kw_only=True):
    """The replay was asked for; it is done when nothing waits."""

    message: str
    waiting: int


class ExportedWrite(Struct, frozen=True, kw_only=True):
    """One line of an export: a write with all that it holds."""

    state: str
    """waiting or parked."""
    write: Any
    reason: str = ""
