"""The log of the embedded server: its place, its size, and what it says when a start fails.

Owns the turn from PostgreSQL's words to a sentence that says what to do.
"""

import logging
import re
import shutil
import signal
from pathlib import Path

from memdeck_common.errors import DatabaseUnusable
from memdeck_common.log import action
from memdeck_common.paths import Home

log = logging.getLogger(__name__)
LIMIT = 16 << 20
"""Bytes after which the log is put aside; one older one is kept."""
TAIL = 8 << 10
SEVERE = (
    *("FATAL:", "PANIC:", "ERROR:", "initdb: error:", "could not", "cannot be started", "Traceback"),
    # What is wrong in a file of settings is said as a mere LOG line.
    *("invalid value", "unrecognized configuration", "outside the valid range", "syntax error"),
)
PREFIX = re.compile(r"^\S+ \S+ UTC \[\d+\] ")
SHOWN = 4
RETRIED = ('lock file "', "pre-existing shared memory block")
"""Signs of another server on its way out: cleared away and tried again."""


class Journal:
    """`DIR/logs/postgres.log`, written by the server and read here."""

    def __init__(self, home: Home) -> None:
        self.path = home.root / "logs" / "postgres.log"
        self._mark = 0

    def open(self) -> None:
        """Make the folder and begin a new start's part of the log."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.rotate()
        self._mark = self.size

    @property
    def size(self) -> int:
        """Bytes so far; it grows while the server reports progress."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def rotate(self) -> None:
        """Put a big log aside. Done in place, because the server keeps the file open for appending."""
        if self.size <= LIMIT:
            return
        try:
            shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
            with self.path.open("r+b") as file:
                file.truncate(0)
        except OSError as error:
            # A full disk, most likely: no reason to stop serving.
            log.warning(
                "the server's log is not put aside: %s", error.strerror, extra=action("log_not_rotated")
            )
            return
        self._mark = 0

    def lines(self) -> list[str]:
        """The lines of this start, the last few kilobytes of them."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(self._mark, self.size - TAIL))
                return [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        except FileNotFoundError:
            return []

    def recovery(self) -> str | None:
        """What recovery last said about itself, without time and pid."""
        said = [line for line in self.lines() if "elapsed time" in line]
        return said[-1].partition("LOG:")[2].strip() if said else None

    def another_server(self) -> bool:
        """Whether this start failed because another server of the cluster was still there."""
        return any(sign in line for line in self.lines() for sign in RETRIED)

    def failure(self, what: str, code: int, data: Path) -> DatabaseUnusable:
        """The exception for a program that ended with `code`."""
        return DatabaseUnusable(explain(what, code, self.lines(), data, self.path))


def explain(what: str, code: int, lines: list[str], data: Path, log: Path) -> str:
    """The sentence for a failed start: known causes by name, others in PostgreSQL's own words."""
    said = "\n".join(lines)
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return f"{what} failed because the disk that holds {data} is full: free some space and start again."
    if code == -signal.SIGILL:
        return (
            f"{what} failed because this processor lacks instructions (AVX2) that the embedded PostgreSQL needs: "
            "set MEMDECK_DATABASE_URL to an external PostgreSQL."
        )
    lines = [PREFIX.sub("", line) for line in lines]
    severe = [line for line in lines if any(word in line for word in SEVERE)]
    reason = " | ".join((severe or lines)[-SHOWN:]) or f"it ended with code {code} and said nothing"
    return f"{what} failed: {reason}. The whole log is {log}."
