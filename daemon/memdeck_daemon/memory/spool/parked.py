"""What cannot be replayed, set aside for a person: one file each.

Owns `DIR/spool/parked/`: `<receipt>.json` holds a write that the database refuses for its own sake, with the reason;
`<segment>-<place>.damaged` holds bytes that are no write any more. Nothing here is ever removed by the daemon alone:
replaying it again is asked for, and who has no use for a file deletes it. Everything here blocks.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from memdeck_daemon.infra import durable
from memdeck_daemon.infra.home import write_atomically
from memdeck_daemon.memory.intents import AnyIntent

DAMAGED: Final = ".damaged"
_PRIVATE: Final = 0o600


class ParkedWrite(msgspec.Struct, frozen=True, kw_only=True):
    """A write that the database refuses."""

    reason: str
    parked_at: datetime
    intent: AnyIntent


@dataclass(frozen=True, slots=True)
class DamagedPart:
    """Bytes of a spool file that could not be read."""

    name: str
    size: int


class Parked:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nbytes = 0
        """What its files take, as `measure` found it and what was kept and removed since."""
        self._decoder = msgspec.json.Decoder(ParkedWrite)

    def keep(self, write: ParkedWrite) -> None:
        """Set a write aside; the same one again replaces the first."""
        self._write(self._path(write.intent.receipt_id), msgspec.json.encode(write))

    def keep_damaged(self, segment: int, place: int, data: bytes) -> None:
        """Set bytes aside."""
        self._write(self.folder / f"{segment:010}-{place}{DAMAGED}", data)

    def _write(self, path: Path, data: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = _size(path)
        write_atomically(path, data, _PRIVATE)
        self.nbytes += len(data) - before
        durable.sync_folder(self.folder)

    def measure(self) -> None:
        """Look anew what the files take: people remove some."""
        self.nbytes = sum(map(_size, self.folder.glob("*")))

    def writes(self) -> list[ParkedWrite]:
        """All writes, oldest first; a file that cannot be read is passed over and counted as damaged."""
        found = []
        for path in self.folder.glob("*.json"):
            try:
                found.append(self._decoder.decode(path.read_bytes()))
            except (OSError, msgspec.DecodeError):
                continue
        return sorted(found, key=lambda write: write.intent.at)

    def find(self, receipt_id: uuid.UUID) -> ParkedWrite | None:
        """One write."""
        try:
            return self._decoder.decode(self._path(receipt_id).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    def damaged(self) -> list[DamagedPart]:
        """All that could not be read."""
        return [DamagedPart(path.name, _size(path)) for path in sorted(self.folder.glob(f"*{DAMAGED}"))]

    def remove(self, receipt_id: uuid.UUID) -> None:
        """A write has gone back into the spool."""
        path = self._path(receipt_id)
        self.nbytes -= _size(path)
        path.unlink(missing_ok=True)

    def names(self) -> set[uuid.UUID]:
        """The receipts of all parked writes."""
        found = set()
        for path in self.folder.glob("*.json"):
            try:
                found.add(uuid.UUID(path.stem))
            except ValueError:
                continue
        return found

    def _path(self, receipt_id: uuid.UUID) -> Path:
        return self.folder / f"{receipt_id}.json"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
