"""An index on disk: whole or not there.

Owns the files of one owner in one space and their order of writing: the vectors are appended, columns and lists are
written under a new name, and the manifest, replaced atomically at the end, says how many rows count and which files belong
together. So a kill at any moment leaves the state before or after. Everything carries a checksum, which is looked at before
anything is used. Refuses to repair: what is not whole is made again.
"""

import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.vectors.coding import Projection
from memdeck_daemon.memory.vectors.lists import Lists, Stopped
from memdeck_daemon.memory.vectors.rows import COLUMNS, Rows

Halves = NDArray[np.float16]

VERSION: Final = 2
"""Of the files, and of what rows hold of a text; another one is made again."""
MANIFEST: Final = "manifest.json"
VECTORS: Final = "vectors.f16"
CHUNK: Final = 16 * 1024 * 1024
LISTS: Final = ("centroids", "starts", "codes", "scales", "rows")


class FilesBroken(Exception):
    """The files are not whole, or of another version: the index is made again."""


class Manifest(msgspec.Struct, frozen=True):
    """What belongs together."""

    owner: str
    space: int
    dimensions: int
    lineage: str
    xid: int
    id: int
    """The outbox position: `rows` hold everything up to it."""
    rows: int
    learnt: int
    """Rows when the projection was learnt."""
    vectors_checksum: int
    columns: str
    actors: list[str]
    version: int = VERSION


class VectorFile:
    """Vectors row by row in half precision; only ever appended to."""

    def __init__(self, path: Path, dimensions: int, rows: int = 0, checksum: int = 0) -> None:
        self._path, self.dimensions = path, dimensions
        self.rows, self.checksum = rows, checksum
        self.values: Halves = np.zeros((0, dimensions), np.float16)
        if rows:
            self._map()

    @property
    def nbytes(self) -> int:
        """Of the file."""
        return 2 * self.rows * self.dimensions

    def append(self, vectors: Halves) -> None:
        """Add rows; what an interrupted append left behind them is overwritten."""
        raw = np.ascontiguousarray(vectors).data.cast("B")
        self._path.touch()
        with self._path.open("r+b") as file:
            file.truncate(self.nbytes)
            file.seek(self.nbytes)
            file.write(raw)
        self.checksum = zlib.crc32(raw, self.checksum)
        self.rows += len(vectors)

    @contextmanager
    def appending(self) -> Iterator[None]:
        """Around an append and whatever makes it count; when that fails the rows do not count."""
        before = (self.rows, self.checksum)
        try:
            yield
            self.settle()
        except BaseException:
            self.rows, self.checksum = before
            raise

    def settle(self) -> None:
        """What was appended is on the disk, and mapped."""
        with self._path.open("rb") as file:
            os.fsync(file.fileno())
        self._map()

    def _map(self) -> None:
        # A plain view: memmap's own indexing is slower.
        mapped = np.memmap(self._path, np.float16, "r", shape=(self.rows, self.dimensions))
        self.values = mapped.view(np.ndarray)


def read(folder: Path, stopped: Callable[[], bool]) -> tuple[Manifest, Rows, VectorFile, Projection, Lists]:
    """What stands in a folder, checked; seconds for a large one, in a thread.

    Raises:
        FilesBroken: it is not whole.
        Stopped: half-way.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        if manifest.version != VERSION:
            raise FilesBroken(f"version {manifest.version}")
        rows, projection, lists = _read_columns(folder / manifest.columns, manifest)
        size = 2 * manifest.rows * manifest.dimensions
        _check(folder / VECTORS, size, manifest.vectors_checksum, stopped)
        file = VectorFile(folder / VECTORS, manifest.dimensions, manifest.rows, manifest.vectors_checksum)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise FilesBroken(str(error)) from error
    return manifest, rows, file, projection, lists


def _check(path: Path, size: int, wanted: int, stopped: Callable[[], bool]) -> None:
    found = 0
    for chunk in _chunks(path, size):
        if stopped():
            raise Stopped
        found = zlib.crc32(chunk, found)
    if found != wanted:
        raise FilesBroken(f"{path.name} is damaged")


def _chunks(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with path.open("rb") as file:
        while left and (chunk := file.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
    if left:
        raise FilesBroken(f"{path.name} is too short")


def _read_columns(path: Path, manifest: Manifest) -> tuple[Rows, Projection, Lists]:
    rows = Rows()
    with np.load(path) as kept:
        columns = {name: kept[name] for name in COLUMNS}
        for name, (kind, width) in COLUMNS.items():
            if columns[name].shape != (manifest.rows, *width) or columns[name].dtype != kind:
                raise FilesBroken(f"the column {name} does not fit")
        rows.adopt(columns, kept["token_keys"])
        projection = Projection(kept["projection"])
        lists = Lists(*(kept[f"lists_{name}"] for name in LISTS))
    rows.actors = {name: number for number, name in enumerate(manifest.actors, 1)}
    rows.buried = int(np.count_nonzero(rows["dead"]))
    links = rows["links"]
    # Of rows that were behind the last one that counts, and of those that died while the columns were put down.
    links[links >= manifest.rows] = -1
    links[(links >= 0) & rows["dead"].take(links, mode="clip")] = -1
    rows.settle()
    return rows, projection, lists


def write(folder: Path, manifest: Manifest, rows: Rows, projection: Projection, lists: Lists) -> Manifest:
    """Put down columns, lists and, last, the manifest; the vectors are there already. A second a million, in a thread.

    `manifest.rows` tells how many rows count. Returns it with the name of the file.
    """
    number = 1 + max((int(path.stem.rsplit("-", 1)[1]) for path in folder.glob("columns-*.npz")), default=0)
    path, count = folder / f"columns-{number}.npz", manifest.rows
    arrays: dict[str, Any] = {name: rows[name][:count] for name in COLUMNS}
    arrays |= {f"lists_{name}": array for name, array in lists.arrays().items()}
    ends = int(arrays["tokens"][-1]) if count else 0
    arrays |= {"token_keys": rows.token_keys.array[:ends], "projection": projection.matrix}
    with path.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    whole = msgspec.structs.replace(manifest, columns=path.name)
    _replace(folder / MANIFEST, msgspec.json.encode(whole))
    for other in folder.glob("columns-*.npz"):
        if other != path:
            other.unlink(missing_ok=True)
    return whole


def _replace(path: Path, content: bytes) -> None:
    """The whole of a file at once, on the disk."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove(folder: Path) -> None:
    """All files; the manifest first, so that a half-removed folder is none."""
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def manifests(base: Path) -> Iterator[tuple[Path, Manifest]]:
    """Folders that seem whole, and what they say of themselves."""
    for path in sorted(base.glob(f"*/{MANIFEST}")):
        try:
            yield path.parent, msgspec.json.decode(path.read_bytes(), type=Manifest)
        except (OSError, msgspec.MsgspecError):
            continue
