"""`postmaster.pid`: what a running server says about itself.

Owns its format (miscadmin.h of PostgreSQL: pid, data directory, start time, port, socket folder, address, shared
memory key, status). A file is a statement of the past, so nobody is judged alive by it.
"""

from dataclasses import dataclass
from pathlib import Path

NAME = "postmaster.pid"
PID, STATUS = 0, 7


@dataclass(frozen=True, slots=True)
class PidFile:
    """The two lines that matter."""

    pid: int
    status: str
    """`starting`, `ready`, `standby` or `stopping`; empty in the first moments."""


def parse(text: str) -> PidFile | None:
    """The file's contents; None when it is empty or half-written."""
    lines = text.splitlines()
    try:
        pid = int(lines[PID])
    except (IndexError, ValueError):
        return None
    # Negative: a standalone backend rather than a postmaster.
    return PidFile(abs(pid), lines[STATUS].strip() if len(lines) > STATUS else "")


def read(data: Path) -> PidFile | None:
    """The file in a data directory; None when there is none or it says nothing.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        return parse((data / NAME).read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return None
