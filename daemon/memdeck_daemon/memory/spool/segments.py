"""The files of the spool: appended to by one writer, read and removed from the front.

Owns `DIR/spool/NNNNNNNNNN.spool`. On return from `append` its frames are on the disk; when it fails nothing of them is, or
it says that this is not known. Everything here blocks: one thread, and no other, calls it.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from memdeck_daemon.infra import durable
from memdeck_daemon.memory.spool import frames

SUFFIX: Final = ".spool"
SEGMENT_BYTES: Final = 4 << 20
"""Bytes after which another file is begun; room comes back file by file."""


class AppendUnsure(OSError):
    """The disk failed in such a way that nobody knows whether the frames will be there after a restart."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame stands."""

    segment: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a file held at the start."""

    segment: int
    frames: list[frames.Frame]
    damage: list[tuple[int, bytes]]
    """Bytes that hold no frame, with their place."""
    torn: int
    """Bytes that were cut off at the end."""


class Segments:
    """All files of one folder."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self._limit = segment_bytes
        self._sizes: dict[int, int] = {}
        """Bytes that are kept, by number of the file, in order."""
        self._active: int | None = None
        self._descriptor = -1
        self._last = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all files."""
        return sum(self._sizes.values())

    def begin(self) -> list[int]:
        """The numbers of the files that an earlier process left, in order; each is to be opened.

        Raises:
            OSError: the folder cannot be used.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = sorted(int(path.stem) for path in self.folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())
        self._last = numbers[-1] if numbers else 0
        return numbers

    def open(self, number: int) -> Found:
        """Read a file of an earlier process, and cut off what is torn at the end of the last one.

        Raises:
            OSError: the file cannot be used.
        """
        path, last = self._path(number), number == self._last
        data = path.read_bytes()
        scan = frames.scan(data)
        damage = [(start, data[start:end]) for start, end in scan.damage]
        torn = len(data) - scan.end
        if torn and not last:
            # Another file was begun after this one, so it had been whole.
            damage.append((scan.end, data[scan.end :]))
        elif torn:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.ftruncate(descriptor, scan.end)
                durable.sync(descriptor)
            finally:
                os.close(descriptor)
        self._sizes[number] = scan.end if last else len(data)
        return Found(number, scan.frames, damage, torn if last else 0)

    def append(self, encoded: Sequence[bytes]) -> list[Place]:
        """Put frames down; on return they are on the disk.

        Raises:
            AppendUnsure: whether they are is not known.
            OSError: nothing of them is (no space left, and the like).
        """
        if self._active is None or self._sizes[self._active] >= self._limit:
            self._add_file()
        number = self._active or 0
        start = self._sizes[number]
        try:
            _write(self._descriptor, b"".join(encoded))
            durable.sync(self._descriptor)
        except BaseException as error:
            self._take_back(start, error)
            raise
        places = []
        for frame in encoded:
            places.append(Place(number, start, start + len(frame)))
            start += len(frame)
        self._sizes[number] = start
        return places

    def _add_file(self) -> None:
        self.seal()
        # Whatever fails below: a file that stays behind is in nobody's way.
        self._last = number = self._last + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path(number), flags, 0o600)
        try:
            durable.sync_folder(self.folder)
        except BaseException:
            os.close(descriptor)
            self._path(number).unlink()
            raise
        self._active = number
        self._descriptor = descriptor
        self._sizes[number] = 0

    def _take_back(self, size: int, error: BaseException) -> None:
        try:
            os.ftruncate(self._descriptor, size)
            durable.sync(self._descriptor)
        except OSError as failed:
            # The file keeps what nobody was promised; what follows goes to another one.
            self.seal()
            first = error if isinstance(error, OSError) else failed
            raise AppendUnsure(first.errno, first.strerror) from error

    def seal(self) -> None:
        """Append no more to the file that is appended to."""
        if self._active is not None:
            descriptor, self._active, self._descriptor = self._descriptor, None, -1
            os.close(descriptor)

    def first(self) -> tuple[int, list[frames.Frame]] | None:
        """The oldest file and its frames; it is sealed by that. None when there is none."""
        if not self._sizes:
            return None
        number = next(iter(self._sizes))
        if number == self._active:
            self.seal()
        return number, frames.scan(self._path(number).read_bytes()[: self._sizes[number]]).frames

    def drop(self, number: int) -> None:
        """Remove a sealed file. Should it come back after a power cut, the receipts tell that its writes are done."""
        with suppress(FileNotFoundError):
            self._path(number).unlink()
        del self._sizes[number]

    def read(self, place: Place) -> bytes:
        """The payload of a frame.

        Raises:
            FileNotFoundError: its file has been removed meanwhile.
        """
        with self._path(place.segment).open("rb") as file:
            file.seek(place.start + frames.HEADER)
            return file.read(place.end - place.start - frames.HEADER)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:010}{SUFFIX}"


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
