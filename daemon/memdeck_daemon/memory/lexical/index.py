"""The lexical index: BM25 over own text, one tantivy index for all owners.

Owns the index files, their watermark and the score. Every term carries the scope it belongs to as a prefix
(`3f9a… painting`), once for each identifier of the memory: a search touches the postings of its scope alone, which makes
it as cheap for a user among thousands as for a lone one (0.03 ms for 1,000 memories, 0.7 ms for a million). A second
field holds the bare terms, for administrators who search everywhere.

Derived: the watermark (outbox position and lineage) is committed with the documents in one atomic commit, so after a
crash the index simply reads on from there. Damaged files are thrown away; whoever follows the outbox rebuilds. Refuses to
answer for truth: hits are candidates, the caller hydrates them from Postgres, which drops what was changed or deleted
meanwhile.
"""

import asyncio
import hashlib
import math
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import tantivy
from numpy.typing import NDArray

from memdeck_common.errors import ConfigurationError
from memdeck_daemon.memory.model import Identifier

VERSION: Final = 3
"""Of the schema and the tokens; another version is rebuilt."""
WRITER_BYTES: Final = 16 * 1024 * 1024
WATERMARK: Final = "watermark"
MOST_COUNTED: Final = 20_000
"""Terms whose frequency is remembered until the next commit."""

Keys = NDArray[np.uint64]


class IndexBroken(Exception):
    """The lexical index cannot be read or written; it is rebuilt."""


class Watermark(msgspec.Struct, frozen=True):
    """How far the index has read the outbox, of which lineage."""

    lineage: str
    xid: int = 0
    id: int = 0
    version: int = VERSION
    complete: bool = True
    """False while a rebuild is under way."""


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


@dataclass(frozen=True, slots=True)
class Weights:
    """Inverse document frequency of each query term within one scope.

    Lucene's: ln(1 + (N - n + 0.5) / (n + 0.5)), N memories in the scope, n of them with the term.
    """

    idf: Mapping[str, float]
    frequencies: Mapping[str, int]
    """How many memories of the scope hold each term."""

    def rarest(self, most: int) -> "Weights":
        """The rarest terms, as many as occur `most` times together; at least one."""
        kept, total = dict[str, float](), 0
        for term in sorted(self.idf, key=self.frequencies.__getitem__):
            total += self.frequencies[term]
            if kept and self.frequencies[term] and total > most:
                break
            kept[term] = self.idf[term]
        return Weights(kept, self.frequencies)


@dataclass(slots=True)
class LexicalIndex:
    """An index on disk. Searching is safe from any task; `apply` from one at a time."""

    path: Path
    _index: tantivy.Index = field(init=False)
    _writer: tantivy.IndexWriter | None = field(init=False, default=None)
    _searcher: tantivy.Searcher = field(init=False)
    _counted: dict[tuple[str, str], int] = field(init=False, default_factory=dict)
    """How many memories hold a term, by its field; of this searcher."""
    position: Watermark | None = field(init=False, default=None)
    """What the searcher has seen; None: nothing to rely on. Read it before searching: an older one means a longer tail."""
    _busy: threading.Lock = field(init=False, default_factory=threading.Lock)
    """Held while a thread writes: one that was cancelled goes on to its end."""
    _closed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Open the files, or start empty where there are none or they cannot be read.

        Raises:
            ConfigurationError: none can be made either.
        """
        try:
            with self._guarded():
                self._open()
        except IndexBroken:
            try:
                self._start_empty()
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"No index can be made at {self.path}: {error}. Free its place or its disk; what was there is derived."
                ) from None

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """What fails inside makes the index unusable until it is rebuilt."""
        try:
            yield
        except BaseException as error:
            # Damage that tantivy does not expect is a Rust panic, which is no Exception and cannot be imported.
            if not isinstance(error, ValueError | OSError | RuntimeError) and not _is_panic(error):
                raise
            self.position = None
            raise IndexBroken(f"The lexical index cannot be used: {type(error).__name__}") from error

    def _start_empty(self) -> None:
        self.position = self._writer = None
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)
        self._open()

    def _open(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self._index = tantivy.Index(_schema(), path=str(self.path), reuse=True)
        analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer("spaces", analyzer)
        self._searcher = self._index.searcher()
        self._counted = {}
        self.position = self._stored_position()

    @property
    def documents(self) -> int:
        """How many memories it holds."""
        return max(0, int(self._searcher.num_docs) - 1)

    def _stored_position(self) -> Watermark | None:
        """What was committed last; None when that is unknown or of another version: rebuild."""
        query = tantivy.Query.term_query(_schema_of(self._index), "key", WATERMARK)
        hits = self._searcher.search(query, 1, count=False).hits
        if not hits:
            return None
        stored = self._searcher.doc(hits[0][1]).get_first("watermark")
        try:
            mark = msgspec.json.decode(str(stored), type=Watermark)
        except msgspec.DecodeError:
            return None
        return mark if mark.version == VERSION else None

    async def apply(self, changes: Changes, watermark: Watermark) -> None:
        """Commit changes and the watermark together; on return they are searchable. 5 to 60 ms, in a thread.

        Raises:
            IndexBroken: they cannot be written; what was there is no longer relied on.
        """
        await asyncio.to_thread(self._apply, changes, watermark)

    def _apply(self, changes: Changes, watermark: Watermark) -> None:
        with self._busy, self._guarded():
            if not self._closed:
                self._commit(changes, watermark)

    def _commit(self, changes: Changes, watermark: Watermark) -> None:
        writer = self._writer = self._writer or self._index.writer(heap_size=WRITER_BYTES, num_threads=1)
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
        self._index.reload()
        self._searcher = self._index.searcher()
        self._counted = {}
        self.position = watermark

    async def clear(self) -> None:
        """Start empty, without a watermark and with new files.

        Raises:
            IndexBroken: they cannot be written.
        """
        await asyncio.to_thread(self._clear)

    def _clear(self) -> None:
        with self._busy, self._guarded():
            if not self._closed:
                self._start_empty()

    def close(self) -> None:
        """Wait for a commit under way and for merges, so that no thread writes after the daemon said goodbye."""
        with self._busy:
            self._closed = True
            if self._writer is not None:
                self._writer.wait_merging_threads()
                self._writer = None

    def weights(self, scope: Identifier | None, terms: Sequence[str], total: int) -> Weights:
        """How much each term says within the scope (None: everywhere), which holds about `total` memories.

        Raises:
            IndexBroken: the files are damaged.
        """
        name, prefix = _place(scope)
        with self._guarded():
            found = {term: self._count(name, prefix + term) for term in terms}
        total = max(total, *found.values(), 1) if found else 1
        idf = {term: math.log(1 + (total - n + 0.5) / (n + 0.5)) for term, n in found.items()}
        return Weights(idf, found)

    def _count(self, name: str, term: str) -> int:
        counted = self._counted  # before the searcher: a commit replaces them in the other order
        count = counted.get((name, term))
        if count is None:
            count = int(self._searcher.doc_freq(name, term))
            if len(counted) >= MOST_COUNTED:
                counted.clear()
            counted[name, term] = count
        return count

    def search(self, scope: Identifier | None, weights: Weights, limit: int) -> dict[uuid.UUID, float]:
        """The best `limit` memories of the scope with their BM25 score, best first.

        tantivy weighs terms by their frequency among everybody's memories; each is boosted back to its weight within
        the scope, or a growing database would flatten every user's scores.

        Raises:
            IndexBroken: the files are damaged.
        """
        with self._guarded():
            scores, high, low = self._found(scope, weights, limit)
            return {uuid.UUID(int=(h << 64) | w): s for s, h, w in zip(scores, high, low, strict=True)}

    def places(self, scope: Identifier, weights: Weights, limit: int) -> tuple[Keys, Keys]:
        """As `search`, without the scores: the high and the low halves of the ids, best first.

        Raises:
            IndexBroken: the files are damaged.
        """
        with self._guarded():
            _, high, low = self._found(scope, weights, limit)
            return np.array(high, np.uint64), np.array(low, np.uint64)

    def _found(
        self, scope: Identifier | None, weights: Weights, limit: int
    ) -> tuple[list[float], list[int], list[int]]:
        (name, prefix), schema = _place(scope), _schema_of(self._index)
        searcher = self._searcher  # addresses are this one's alone; a commit puts another in its place
        everybody = int(searcher.num_docs)
        clauses = []
        for term, idf in weights.idf.items():
            found = weights.frequencies[term]
            if found:
                global_idf = math.log(1 + (everybody - found + 0.5) / (found + 0.5))
                query = tantivy.Query.term_query(schema, name, prefix + term)
                clauses.append(
                    (tantivy.Occur.Should, tantivy.Query.boost_query(query, idf / max(global_idf, 1e-6)))
                )
        if not clauses:
            return [], [], []
        hits = searcher.search(tantivy.Query.boolean_query(clauses), limit, count=False).hits
        addresses = [address for _, address in hits]
        high: list[Any] = searcher.fast_field_values("high", addresses)
        low: list[Any] = searcher.fast_field_values("low", addresses)
        return [score for score, _ in hits], high, low


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"


def _document(entry: Entry) -> tantivy.Document:
    document = tantivy.Document()
    document.add_text("key", entry.id.hex)
    document.add_unsigned("high", entry.id.int >> 64)
    document.add_unsigned("low", entry.id.int & (2**64 - 1))
    prefixes = [_prefix(scope) for scope in entry.scopes]
    document.add_text("scoped", " ".join(prefix + term for prefix in prefixes for term in entry.terms))
    document.add_text("everywhere", " ".join(entry.terms))
    return document


def _place(scope: Identifier | None) -> tuple[str, str]:
    """The field and the prefix under which a scope's terms stand."""
    return ("everywhere", "") if scope is None else ("scoped", _prefix(scope))


def _prefix(scope: Identifier) -> str:
    # A hash, because identifiers may be long; should two meet, hydration drops the stranger.
    return hashlib.blake2b(str(scope).encode(), digest_size=6).hexdigest()


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("key", tokenizer_name="raw", index_option="basic")
    for name in ("scoped", "everywhere"):
        builder.add_text_field(name, tokenizer_name="spaces", index_option="freq")
    builder.add_text_field("watermark", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("high", fast=True)
    builder.add_unsigned_field("low", fast=True)
    return builder.build()


def _schema_of(index: tantivy.Index) -> tantivy.Schema:
    schema = index.schema
    return schema() if callable(schema) else schema
