"""Makes, opens and saves the index of one owner in one space.

Owns the order of the steps and the one thread that does the heavy ones; each step is bounded, so that the daemon can stop
in between. Reads pages of memories on the loop, everything else happens in the thread. A new index gets a folder of its own
and replaces an older one when it is whole.
"""

import asyncio
import hashlib
import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from memdeck_common.clock import Clock
from memdeck_common.log import action
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.memory.embedding.local import SPACE_ID as LOCAL
from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.recall.block import prepare
from memdeck_daemon.memory.store import big, blocks
from memdeck_daemon.memory.store.outbox import Position
from memdeck_daemon.memory.vectors import files
from memdeck_daemon.memory.vectors.coding import SAMPLE, Projection, coded, learnt
from memdeck_daemon.memory.vectors.files import FilesBroken, Manifest, VectorFile
from memdeck_daemon.memory.vectors.index import CHUNK, MOST_WAITING, VectorIndex
from memdeck_daemon.memory.vectors.lists import SAMPLED, Lists, Stopped, assigned, centres, lists_for
from memdeck_daemon.memory.vectors.rows import Rows

log = logging.getLogger(__name__)
Made = TypeVar("Made")
Item = TypeVar("Item")
Floats = NDArray[np.float32]

PAGE: Final = 500
"""Memories that are read together: a few ms of the loop."""
PART: Final = 200
"""Memories that are put into an index together on the loop: some ms."""
STUCK: Final = 1_000
"""Rows behind one that waits, after which it is read again and so moves behind them."""
SEED: Final = 8


class NotNow(Exception):
    """No index can be made at present; the sentence says why."""


@dataclass(slots=True)
class Maker:
    """The one that writes files of indexes."""

    database: Database
    folder: Path
    clock: Clock
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="vectors")
    )

    def close(self) -> None:
        """End the step under way and wait for it."""
        self._stopping.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _off(self, work: Callable[[], Made]) -> Made:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def found(self) -> list[tuple[Path, Manifest]]:
        """What is on the disk, the newest of each owner and space first; older ones and rests are removed."""
        kept: dict[tuple[str, int], tuple[Path, Manifest]] = {}
        for path, manifest in files.manifests(self.folder):
            known = kept.get((manifest.owner, manifest.space))
            if known is None or _number(path) > _number(known[0]):
                kept[manifest.owner, manifest.space] = (path, manifest)
        whole = {path for path, _ in kept.values()}
        for path in self.folder.glob("*"):
            if path not in whole:
                files.remove(path)
        return list(kept.values())

    def forget(self, owner: str, space: int, *, spared: Path | None = None) -> None:
        """Remove the files of an index, or all of them but one folder."""
        for path in self.folder.glob(f"{_prefix(owner, space)}-*"):
            if path != spared:
                files.remove(path)

    def _newest(self, owner: str, space: int) -> Path | None:
        paths = sorted(self.folder.glob(f"{_prefix(owner, space)}-*"), key=_number)
        return next((path for path in reversed(paths) if (path / files.MANIFEST).exists()), None)

    # --- opening ------------------------------------------------------------------------------------------------------

    async def opened(
        self, owner: Identifier, space: int, lineage: str, acknowledged: Position | None, now: Position
    ) -> VectorIndex:
        """The index that is on the disk.

        Raises:
            FilesBroken: there is none, it is damaged, of another lineage, or the outbox does not hold what it has missed.
        """
        path = self._newest(str(owner), space)
        if path is None:
            raise FilesBroken("there are none")
        manifest, rows, file, projection, lists = await self._off(
            lambda: files.read(path, self._stopping.is_set)
        )
        place = Position(manifest.xid, manifest.id)
        if (manifest.owner, manifest.space, manifest.lineage) != (str(owner), space, lineage):
            raise FilesBroken("they belong to another database")
        if acknowledged is None or (place.xid, place.id) < (acknowledged.xid, acknowledged.id):
            raise FilesBroken("what happened since is not known any more")
        if place.xid > now.xid:
            raise FilesBroken("they are of a later state of the database")
        return VectorIndex.of(path, owner, manifest, rows, file, projection, lists, self.clock.monotonic())

    # --- making -------------------------------------------------------------------------------------------------------

    async def made(
        self,
        owner: Identifier,
        space: int,
        dimensions: int,
        lineage: str,
        place: Position,
        say: Callable[[str], None],
    ) -> VectorIndex:
        """A new index of all that an owner has; minutes for a million. `place`: a horizon before the first page is read.

        Raises:
            NotNow: too many memories wait for their vectors.
            Stopped: the daemon ends.
            StoreUnavailable, OSError: it failed.
        """
        log.info("making a vector index", extra=action("vector_index_started", owner=str(owner), space=space))
        begun, previous = self.clock.monotonic(), self._newest(str(owner), space)
        path = self.folder / f"{_prefix(str(owner), space)}-{_number(previous) + 1 if previous else 1}"
        files.remove(path)
        path.mkdir(parents=True)
        try:
            rows, file = Rows(), VectorFile(path / files.VECTORS, dimensions)
            waiting = await self._read(str(owner), space, rows, file, say)
            manifest = Manifest(
                str(owner), space, dimensions, lineage, place.xid, place.id, len(rows), len(rows), 0, "", []
            )
            index = await self._off(lambda: self._learn(owner, path, manifest, rows, file, say))
            await self._put(index, waiting)
        except BaseException:
            files.remove(path)
            raise
        self.forget(str(owner), space, spared=path)
        seconds = round(self.clock.monotonic() - begun, 1)
        log.info(
            "made a vector index of %d memories", len(rows),
            extra=action("vector_index_made", owner=str(owner), space=space, memories=len(rows), seconds=seconds),
        )  # fmt: skip
        return index

    async def _read(
        self, owner: str, space: int, rows: Rows, file: VectorFile, say: Callable[[str], None]
    ) -> list[uuid.UUID]:
        """All memories into rows and file; those without a vector."""
        after, waiting = uuid.UUID(int=0), list[uuid.UUID]()
        while not self._stopping.is_set():
            async with self.database.connection() as connection:
                page = await big.page(connection, owner, space, after, PAGE)
            if not page.rows:
                await self._off(file.settle if file.rows else lambda: None)
                return waiting
            waiting += await self._off(lambda page=page: _taken(page, rows, file))  # type: ignore[misc]
            if len(waiting) > MOST_WAITING:
                raise NotNow(f"waits until fewer than {MOST_WAITING} memories lack their vector")
            after = page.last
            say(f"reading {len(rows)}")
        raise Stopped

    def _learn(
        self, owner: Identifier, path: Path, manifest: Manifest, rows: Rows, file: VectorFile, say: Callable[[str], None]
    ) -> VectorIndex:  # fmt: skip
        if not len(rows):
            raise NotNow("has no vectors yet")
        rows.settle()
        rows.link()
        say("learning")
        projection = learnt(file.values[_some(len(rows), SAMPLE)])
        sample = projection.flat(file.values[_some(len(rows), SAMPLED * lists_for(len(rows)))])
        centroids = centres(sample, len(rows), self._stopping.is_set)
        lists = self._sorted(file, projection, centroids, say)
        index = VectorIndex.of(path, owner, manifest, rows, file, projection, lists, self.clock.monotonic())
        for start in range(0, len(rows), CHUNK):
            self._check()
            index.mix(np.arange(start, min(start + CHUNK, len(rows))))
        self._write(manifest, index, lists)
        return index

    def _sorted(
        self, file: VectorFile, projection: Projection, centroids: Floats, say: Callable[[str], None]
    ) -> Lists:
        labels, codes = np.empty(file.rows, np.int32), np.empty((file.rows, projection.width), np.int8)
        scales = np.empty(file.rows, np.float32)
        for start in range(0, file.rows, CHUNK):
            self._check()
            flat = projection.flat(file.values[start : start + CHUNK])
            small, part = coded(flat), slice(start, start + len(flat))
            labels[part], codes[part], scales[part] = assigned(flat, centroids), small.codes, small.scales
            say(f"sorting {100 * start // file.rows} %")
        return Lists.of(centroids, labels, codes, scales, np.arange(file.rows))

    def _check(self) -> None:
        if self._stopping.is_set():
            raise Stopped

    def _write(self, manifest: Manifest, index: VectorIndex, lists: Lists) -> None:
        """Put everything down."""
        told = msgspec.structs.replace(
            manifest,
            rows=index.file.rows,
            vectors_checksum=index.file.checksum,
            actors=list(index.rows.actors),
        )
        files.write(index.path, told, index.rows, index.view.projection, lists)

    async def _put(self, index: VectorIndex, ids: list[uuid.UUID]) -> None:
        """Read memories and give each a new row, in memory alone; not those that get one meanwhile, or are gone."""
        for some in parts(ids):
            before = [index.waiting.get(memory_id) for memory_id in some]
            async with self.database.connection() as connection:
                places = [(str(index.owner), memory_id) for memory_id in some]
                space = None if index.space == LOCAL else index.space
                lines = await blocks.with_neighbours(connection, places, 0, space)
            found = {item.line.id: item for item in await asyncio.to_thread(prepare, lines)}
            index.put(
                [
                    found[memory_id]
                    for memory_id, row in zip(some, before, strict=True)
                    if memory_id in found and index.waiting.get(memory_id) == row
                ]
            )

    # --- saving -------------------------------------------------------------------------------------------------------

    async def save(self, index: VectorIndex) -> None:
        """Seal what is in memory alone, as far as it has its vectors.

        Raises:
            Stopped, OSError: nothing was saved; what was there counts.
        """
        last = len(index.rows) - STUCK
        if stuck := [memory_id for memory_id, row in index.waiting.items() if row < last]:
            await self._put(index, stuck)
        upto = min(index.waiting.values(), default=len(index.rows))
        mark = next(mark for mark in reversed(index.marks) if mark.rows <= upto)
        view, file = index.view, index.file
        manifest = Manifest(
            str(index.owner), index.space, index.dimensions, index.lineage, mark.place.xid, mark.place.id, upto,
            index.learnt, 0, "", [],
        )  # fmt: skip

        def work() -> Lists:
            vectors = view.fresh.vectors.array[: upto - view.sealed]
            rows, flat = np.arange(view.sealed, upto), view.projection.flat(vectors)
            lists = view.lists.extended(flat, rows, ~index.rows["dead"])
            with file.appending():
                file.append(vectors)
                self._write(manifest, index, lists)
            return lists

        index.seal(await self._off(work))
        while index.marks[0] is not mark:
            index.marks.popleft()
        index.saved_place, index.saved_at = mark.place, self.clock.monotonic()
        log.info(
            "saved a vector index", extra=action("vector_index_saved", owner=str(index.owner), memories=upto)
        )


def parts(items: Sequence[Item]) -> list[Sequence[Item]]:
    """Some at a time."""
    return [items[start : start + PART] for start in range(0, len(items), PART)]


def _taken(page: big.Page, rows: Rows, file: VectorFile) -> list[uuid.UUID]:
    """A page into rows and file; the memories of it that have no vector."""
    lines, rest, vectors = page.lines(file.dimensions)
    first = len(rows)
    rows.load(prepare(lines))
    rows["present"][first:] = True
    if lines:
        file.append(vectors)
    return [line.id for line in rest]


def _some(rows: int, count: int) -> NDArray[np.int64]:
    """A sample of rows, ascending."""
    return np.sort(np.random.default_rng(SEED).choice(rows, min(rows, count), replace=False))


def _prefix(owner: str, space: int) -> str:
    return f"{hashlib.blake2b(owner.encode(), digest_size=8).hexdigest()}-{space}"


def _number(path: Path) -> int:
    return int(path.name.rsplit("-", 1)[1])
