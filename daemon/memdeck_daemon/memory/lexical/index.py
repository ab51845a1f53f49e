"""The lexical index as it is kept: one process writes it.

Owns the index files and their changes. Derived: the watermark (outbox position and lineage) is committed with the documents
in one atomic commit, so after a crash the index simply reads on from there. Damaged files are thrown away; whoever follows
the outbox rebuilds.
"""

import asyncio
import contextlib
import shutil
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import tantivy

from memdeck_common.errors import ConfigurationError
from memdeck_daemon.memory.lexical.reader import (
    LOW,
    WATERMARK,
    IndexBroken,
    LexicalReader,
    Watermark,
    id_key,
    prefix_of,
    schema,
)
from memdeck_daemon.memory.model import Identifier

WRITER_BYTES: Final = 16 * 1024 * 1024
LOADER_BYTES: Final = 256 * 1024 * 1024
"""What a rebuild may collect before it is written."""
PARTS: Final = 8
"""A rebuild is written in so many parts, which tantivy merges into one as soon as they are there, if they are about equal: a
search looks up each of its words in each segment, a tenth of its time at a million memories in five segments. Where many
memories go while it reads, the parts stay until later commits bring merges."""
WORTH_PARTS: Final = 50_000
"""Memories from which a rebuild is written in parts; fewer fit into one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One memory to be indexed."""

    id: uuid.UUID
    scopes: tuple[Identifier, ...]
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What an application of the outbox changes: `drops` first, then `puts`."""

    puts: Sequence[Entry] = ()
    drops: Sequence[uuid.UUID] = ()


@dataclass(slots=True)
class LexicalIndex(LexicalReader):
    """An index on disk. Searching is safe from any task; `apply` from one at a time."""

    _writer: tantivy.IndexWriter | None = field(init=False, default=None)
    _busy: threading.Lock = field(init=False, default_factory=threading.Lock)
    """Held while a thread writes: one that was cancelled goes on to its end."""
    _closed: bool = field(init=False, default=False)
    _loaded: int = field(init=False, default=0)
    """Memories that were loaded since the index was cleared; no search sees them before the watermark is committed."""
    _part: int = field(init=False, default=0)
    """Memories of a part of a rebuild; 0: it has one part."""

    def __post_init__(self) -> None:
        """Open the files, or start empty where there are none or they cannot be read.

        Raises:
            ConfigurationError: none can be made either.
        """
        try:
            with self.guarded():
                self._open()
        except IndexBroken:
            try:
                self._start_empty()
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"No index can be made at {self.path}: {error}. Free its place or its disk; what was there is derived."
                ) from None

    def _start_empty(self) -> None:
        writer, self.position, self._writer, self._loaded = self._writer, None, None, 0
        if writer is not None:
            # Let go of without this it would write down what was loaded, and hold Python's lock meanwhile.
            with contextlib.suppress(IndexBroken), self.guarded():
                writer.rollback()
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)
        self._open()

    def _open(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self.use(tantivy.Index(schema(), path=str(self.path), reuse=True))

    @property
    def held(self) -> int:
        """How many memories it holds, those that are only loaded included."""
        return self.documents + self._loaded

    async def load(self, entries: Sequence[Entry]) -> None:
        """Add memories to an index that was cleared; the next `apply` commits them. In a thread.

        Raises:
            IndexBroken: they cannot be written.
        """
        await asyncio.to_thread(self._load, entries)

    def _load(self, entries: Sequence[Entry]) -> None:
        with self._busy, self.guarded():
            if self._closed:
                return
            if self._writer is None:
                self._writer = self.index.writer(heap_size=LOADER_BYTES, num_threads=1)
            for entry in entries:
                self._writer.add_document(_document(entry))
            before = self._loaded
            self._loaded += len(entries)
            if self._part and before // self._part < min(self._loaded // self._part, PARTS - 1):
                self._writer.commit()

    async def apply(self, changes: Changes, watermark: Watermark) -> None:
        """Commit changes and the watermark together; on return they are searchable. 5 to 60 ms, in a thread.

        Raises:
            IndexBroken: they cannot be written; what was there is no longer relied on.
        """
        await asyncio.to_thread(self._apply, changes, watermark)

    def _apply(self, changes: Changes, watermark: Watermark) -> None:
        with self._busy, self.guarded():
            if not self._closed:
                self._commit(changes, watermark)

    def _commit(self, changes: Changes, watermark: Watermark) -> None:
        writer = self._writer = self._writer or self.index.writer(heap_size=WRITER_BYTES, num_threads=1)
        for memory_id in (*changes.drops, *(entry.id for entry in changes.puts)):
            writer.delete_documents_by_term("key", memory_id.hex)
        for entry in changes.puts:
            writer.add_document(_document(entry))
        writer.delete_documents_by_term("key", WATERMARK)
        mark = tantivy.Document()
        mark.add_text("key", WATERMARK)
        mark.add_text("watermark", msgspec.json.encode(watermark).decode())
        writer.add_document(mark)
        writer.commit()
        if self._loaded:
            writer.wait_merging_threads()  # and with it goes its large heap
            self._writer, self._loaded = None, 0
        self.index.reload()
        self.renew(watermark)

    async def clear(self, expected: int = 0) -> None:
        """Start empty, without a watermark and with new files, for about so many memories.

        Raises:
            IndexBroken: they cannot be written.
        """
        await asyncio.to_thread(self._clear, expected)

    def _clear(self, expected: int) -> None:
        with self._busy, self.guarded():
            if not self._closed:
                self._start_empty()
                self._part = -(-expected // PARTS) if expected >= WORTH_PARTS else 0

    def close(self) -> None:
        """Wait for a commit under way and for merges, so that no thread writes after the daemon said goodbye."""
        with self._busy:
            self._closed = True
            if self._writer is not None:
                self._writer.wait_merging_threads()
                self._writer = None


def _document(entry: Entry) -> tantivy.Document:
    document = tantivy.Document()
    document.add_text("key", entry.id.hex)
    document.add_unsigned("id_key", id_key(entry.id))
    document.add_unsigned("id_low", entry.id.int & LOW)
    prefixes = [prefix_of(scope) for scope in entry.scopes]
    document.add_text("scoped", " ".join(prefix + term for prefix in prefixes for term in entry.terms))
    document.add_text("everywhere", " ".join(entry.terms))
    return document
