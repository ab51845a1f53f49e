"""The spool's writes, durable and in order.

Owns the group commit (writes that come while the disk works share the next flush), the bound, and what is known of the
writes that wait: where they stand, which names they concern. All files are touched by one thread of its own.
"""

import asyncio
import logging
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, TypeVar

import msgspec

from memdeck_common.errors import OutcomeUnknown, SpoolFull
from memdeck_common.log import action
from memdeck_daemon.memory.intents import (
    Add,
    AnyIntent,
    Delete,
    DeleteScope,
    Undo,
    UndoEvent,
    Update,
    memories_of,
)
from memdeck_daemon.memory.spool import frames
from memdeck_daemon.memory.spool.parked import Parked
from memdeck_daemon.memory.spool.segments import AppendUnsure, Found, Place, Segments

log = logging.getLogger(__name__)
GROUP: Final = 256
"""Writes that share a flush at most."""
FINDING: Final = (Update, Undo, UndoEvent)
"""By these a memory may come into answers that it is not in; whose it is cannot be told by its id."""

T = TypeVar("T")
Key = TypeVar("Key")
KeyOf = tuple[str, str]


class _Kept(NamedTuple):
    """Where a write stands, since when (epoch seconds), and whose it is."""

    place: Place
    at: float
    key_id: str


@dataclass(slots=True)
class _Waiting:
    intent: AnyIntent
    payload: bytes
    done: asyncio.Future[None]


class Journal:
    """Writes that wait on the disk. `open` before use, `close` after."""

    def __init__(self, segments: Segments, parked: Parked, limit: int) -> None:
        """`limit`: bytes of all files, parked ones included; 0 takes nothing."""
        self.parked = parked
        self.limit = limit
        self._segments = segments
        self._thread = ThreadPoolExecutor(1, "spool")
        self._decoder: msgspec.json.Decoder[AnyIntent] = msgspec.json.Decoder(AnyIntent)
        self._waiting: list[_Waiting] = []
        self._flushing: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        """Held from an append until its writes are noted: a file is read and removed by what is noted of it."""
        self._reserved = 0
        self._number = 0
        self._places: dict[uuid.UUID, _Kept] = {}
        self._memories: dict[uuid.UUID, uuid.UUID] = {}
        """Which write makes a memory."""
        self._keys: dict[KeyOf, uuid.UUID] = {}
        self._names: Counter[str] = Counter()
        self._changed: Counter[str] = Counter()
        """Memories that a write changes or removes, by id."""
        self._removed: Counter[str | None] = Counter()
        """Names whose memories a write removes; None: those of any."""
        self._pending: Counter[int] = Counter()
        """Writes that wait, by file."""
        self._anywhere = 0
        """Writes that may concern any memory."""
        self._kinds: Counter[type[AnyIntent]] = Counter()
        self.added = asyncio.Event()
        """There is something to replay."""
        self._bytes = 0
        """Bytes of the files that wait."""

    async def open(self) -> None:
        """Read what an earlier process left.

        Raises:
            OSError: the folder or a file cannot be used.
        """
        for number in await self._in_thread(self._segments.begin):
            await self._opened(await self._in_thread(partial(self._segments.open, number)))
        self._bytes = self._segments.nbytes
        if self._places:
            log.warning(
                "%d writes wait in the spool since before the start", len(self._places),
                extra=action("spool_found", writes=len(self._places)),
            )  # fmt: skip

    async def _opened(self, found: Found) -> None:
        for start, data in found.damage:
            await self._damaged(found.segment, start, data)
        if found.torn:
            log.info(
                "cut %d bytes of an unfinished write off the spool", found.torn, extra=action("spool_cut")
            )
        for frame in found.frames:
            self._number = max(self._number, frame.number)
            intent = self.decode(frame)
            if intent is None:
                await self._damaged(found.segment, frame.start, frame.payload)
            else:
                self._note(intent, Place(found.segment, frame.start, frame.end))

    async def _damaged(self, segment: int, start: int, data: bytes) -> None:
        log.error(
            "%d bytes of the spool are damaged and were set aside", len(data),
            extra=action("spool_damaged", segment=segment, place=start),
        )  # fmt: skip
        await self._in_thread(lambda: self.parked.keep_damaged(segment, start, data))

    def decode(self, frame: frames.Frame) -> AnyIntent | None:
        """The write of a frame; None where it is none that this version knows."""
        try:
            return self._decoder.decode(frame.payload)
        except msgspec.DecodeError:
            return None

    # --- what waits ---------------------------------------------------------------------------------------------------

    @property
    def nbytes(self) -> int:
        """Bytes of all files, parked ones included."""
        return self._bytes + self.parked.nbytes

    def __len__(self) -> int:
        """How many writes wait."""
        return len(self._places)

    @property
    def oldest(self) -> float | None:
        """The epoch second at which the oldest write that waits was acknowledged."""
        return next((kept.at for kept in self._places.values()), None)

    def holds(self, intent: AnyIntent) -> bool:
        """Whether a write has to wait behind one that is here: both may concern the same memory."""
        if not self._places:
            return False
        names = intent.names
        if names is None or self._anywhere:
            return True
        return any(name in self._names for name in names)

    def waits(self, receipt_id: uuid.UUID) -> bool:
        """Whether this very write waits."""
        return receipt_id in self._places

    def makes(self, memory_id: uuid.UUID) -> bool:
        """Whether a memory may wait to be stored, or to be brought back: what a deletion took is not known here."""
        return memory_id in self._memories or self._changed[str(memory_id)] > 0 or self._kinds[UndoEvent] > 0

    def contradicts(self, names: Iterable[str], ids: Iterable[str]) -> bool:
        """Whether a write that waits changes or removes one of these memories, or what is found under these names."""
        if self._removed and (self._removed[None] or any(self._removed[name] for name in names)):
            return True
        return bool(self._changed) and any(self._changed[memory_id] for memory_id in ids)

    def concerns(self, names: Sequence[str] | None, ids: Iterable[str]) -> bool:
        """Whether an answer about these names (None: about any), which holds these memories, lacks a write that waits."""
        if not self._places:
            return False
        if names is None or any(name in self._names for name in names):
            return True
        if any(self._kinds[kind] for kind in FINDING):
            return True
        return self.contradicts(names, ids)

    def same(self, new: Add) -> uuid.UUID | None:
        """The receipt of a waiting add with the same idempotency key."""
        key = _key_of(new)
        return self._keys.get(key) if key else None

    def receipts(self, key_id: str | None = None) -> list[uuid.UUID]:
        """The receipts of the writes that wait, of this key or of all, in order."""
        return [one for one, kept in self._places.items() if key_id is None or kept.key_id == key_id]

    async def find(self, receipt_id: uuid.UUID) -> AnyIntent | None:
        """A write that waits; None: there is none (any more)."""
        kept = self._places.get(receipt_id)
        if kept is None:
            return None
        try:
            payload = await self._in_thread(lambda: self._segments.read(kept.place))
            return self._decoder.decode(payload)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    # --- adding -------------------------------------------------------------------------------------------------------

    async def append(self, intent: AnyIntent, *, parked: bool = False) -> None:
        """Keep a write; on return it is on the disk. One that was `parked` takes the room that it has there.

        Raises:
            SpoolFull: nothing was kept.
            OutcomeUnknown: the disk failed, and it is not known whether it was.
        """
        self._number += 1
        frame = frames.encode(self._number, msgspec.json.encode(intent))
        if not parked and self.nbytes + self._reserved + len(frame) > self.limit:
            raise SpoolFull(retry_after=5)
        waiting = _Waiting(intent, frame, asyncio.get_running_loop().create_future())
        self._reserved += len(frame)
        self._waiting.append(waiting)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush(), name="spool flush")
        await waiting.done

    async def _flush(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
                try:
                    await self._flushed(group)
                finally:
                    self._reserved -= sum(len(waiting.payload) for waiting in group)
        finally:
            self._flushing = None

    async def _flushed(self, group: Sequence[_Waiting]) -> None:
        encoded = [waiting.payload for waiting in group]
        try:
            async with self._turn:
                places = await self._in_thread(lambda: self._segments.append(encoded))
                for waiting, place in zip(group, places, strict=True):
                    self._note(waiting.intent, place)
        except BaseException as error:
            # Whatever it was: nobody may wait for ever.
            _fail(group, error)
            if not isinstance(error, Exception):
                raise
        else:
            for waiting in group:
                if not waiting.done.done():
                    waiting.done.set_result(None)
        self._bytes = self._segments.nbytes

    def _note(self, intent: AnyIntent, place: Place) -> None:
        if intent.receipt_id in self._places:
            # In two files: it waits again after it was parked, and the first file was still there when the process ended.
            return
        self._places[intent.receipt_id] = _Kept(
            place, intent.at.timestamp(), sys.intern(intent.caller.key_id)
        )
        self._pending[place.segment] += 1
        self._memories |= dict.fromkeys(memories_of(intent), intent.receipt_id)
        if key := _key_of(intent):
            self._keys.setdefault(key, intent.receipt_id)
        self._changed.update(_changed_by(intent))
        self._removed.update(_removed_by(intent))
        self._kinds[type(intent)] += 1
        if intent.names is None:
            self._anywhere += 1
        else:
            self._names.update(intent.names)
        self.added.set()

    # --- replaying ----------------------------------------------------------------------------------------------------

    async def first(self) -> tuple[int, list[AnyIntent]] | None:
        """The oldest file and its writes that still wait, in order; None when there is none."""
        self.added.clear()
        async with self._turn:
            found = await self._in_thread(self._read_first)
        if found is None:
            return None
        segment, intents = found
        return segment, [intent for intent in intents if intent.receipt_id in self._places]

    def _read_first(self) -> tuple[int, list[AnyIntent]] | None:
        found = self._segments.first()
        if found is None:
            return None
        segment, read = found
        return segment, [intent for frame in read if (intent := self.decode(frame)) is not None]

    def done(self, intent: AnyIntent) -> None:
        """A write waits no longer: it was carried out, found done, or parked."""
        kept = self._places.pop(intent.receipt_id, None)
        if kept is None:
            return
        self._pending[kept.place.segment] -= 1
        for memory_id in memories_of(intent):
            self._memories.pop(memory_id, None)
        _take(self._changed, _changed_by(intent))
        _take(self._removed, _removed_by(intent))
        if (key := _key_of(intent)) and self._keys.get(key) == intent.receipt_id:
            del self._keys[key]
        self._kinds[type(intent)] -= 1
        if intent.names is None:
            self._anywhere -= 1
            return
        _take(self._names, intent.names)

    async def drop(self, segment: int) -> None:
        """Remove a file, unless a write of it waits."""
        if self._pending[segment]:
            return
        del self._pending[segment]
        await self._in_thread(lambda: self._segments.drop(segment))
        self._bytes = self._segments.nbytes

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def run(self, work: Callable[[], T]) -> T:
        """Have the thread of the files do something with the parked ones."""
        return await self._in_thread(work)

    async def close(self) -> None:
        """Finish what is being written, and let go of the files."""
        if self._flushing is not None:
            await asyncio.gather(self._flushing, return_exceptions=True)
        await self._in_thread(self._segments.seal)
        self._thread.shutdown()


def _fail(group: Sequence[_Waiting], error: BaseException) -> None:
    expected = isinstance(error, OSError)
    reason = error.strerror if isinstance(error, OSError) else type(error).__name__
    log.error(
        "the spool cannot be written: %s", reason, exc_info=None if expected else error,
        extra=action("spool_failed", writes=len(group)),
    )  # fmt: skip
    for waiting in group:
        if waiting.done.done():
            continue
        if isinstance(error, AppendUnsure) or not expected:
            said = f"The disk failed ({reason}): whether this was kept is not known."
            waiting.done.set_exception(OutcomeUnknown(said, receipt_id=str(waiting.intent.receipt_id)))
        else:
            said = f"The spool cannot be written ({reason}): nothing was stored. Try again later."
            waiting.done.set_exception(SpoolFull(said, retry_after=5))


def _key_of(intent: AnyIntent) -> KeyOf | None:
    key = intent.new.idempotency_key if isinstance(intent, Add) else None
    return (intent.caller.key_id, key) if key else None


def _take(counter: Counter[Key], keys: Iterable[Key]) -> None:
    """One less of each; none are left out, or the counter would grow for ever."""
    for key in keys:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]


def _changed_by(intent: AnyIntent) -> list[str]:
    """The ids of memories that a write changes or removes."""
    match intent:
        case Update(changes=changes):
            return [str(changed.id) for changed in changes]
        case Delete(ids=ids):
            return [str(memory_id) for memory_id in ids]
        case Undo(memory_id=memory_id):
            return [str(memory_id)]
    return []


def _removed_by(intent: AnyIntent) -> list[str | None]:
    """The names whose memories a write removes; None: any."""
    if not isinstance(intent, DeleteScope):
        return []
    return [None] if intent.names is None else [*intent.names]
