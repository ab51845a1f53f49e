"""The keys in force, on the disk: who may enter when the daemon starts and its database cannot be asked.

Owns `DIR/keys/known.json` (0600): what the database has of each key, so its HMAC and never the key. It is a copy: it is
written anew whenever the database says something else, and a key that is being revoked leaves it first.
"""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from memdeck_common.log import action
from memdeck_daemon.api.access.store import KeyRow
from memdeck_daemon.infra import durable
from memdeck_daemon.infra.home import write_atomically

log = logging.getLogger(__name__)
_PRIVATE: Final = 0o600


class KeysOnDisk:
    """The file. Everything here blocks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: bytes | None = None
        self._failing = False

    def read(self) -> list[KeyRow]:
        """The keys; none where there is no file, or none that can be read."""
        try:
            content = self.path.read_bytes()
            rows = msgspec.json.decode(content, type=list[KeyRow])
        except (OSError, msgspec.DecodeError):
            return []
        self._written = content
        return rows

    def write(self, rows: Sequence[KeyRow]) -> None:
        """Keep those that are in force; on return no other one is in the file.

        Raises:
            OSError: it can neither be written nor removed.
        """
        # When a key was last used is of no concern here, and changes all the time.
        kept = [replace(row, last_used_at=None) for row in rows if row.revoked_at is None]
        content = msgspec.json.encode(kept)
        if content == self._written:
            return
        self._written = None
        try:
            write_atomically(self.path, content, _PRIVATE)
            durable.sync_folder(self.path.parent)
        except OSError as error:
            # Better no key than one that was revoked.
            self.path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                durable.sync_folder(self.path.parent)
            self._complain(error)
            return
        self._written, self._failing = content, False

    def _complain(self, error: OSError) -> None:
        if not self._failing:  # it is tried again every few seconds
            log.warning(
                "the keys cannot be kept on the disk (%s): a start without the database will know none of them",
                error.strerror, extra=action("keys_not_kept"),
            )  # fmt: skip
        self._failing = True
