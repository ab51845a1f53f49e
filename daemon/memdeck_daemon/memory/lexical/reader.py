"""Searching the lexical index: BM25 over own text, one tantivy index for all owners.

Owns the schema, the watermark and the score. Every term carries the scope it belongs to as a prefix
(`3f9a… painting`), once for each identifier of the memory: a search touches the postings of its scope alone, which makes
it as cheap for a user among thousands as for a lone one (0.03 ms for 1,000 memories, 0.7 ms for a million). A second
field holds the bare terms, for administrators who search everywhere. Any process may read the files that one writes:
what was opened stays as it was until `refresh`. Refuses to answer for truth: hits are candidates, the caller hydrates
them from Postgres, which drops what was changed or deleted meanwhile.
"""

import hashlib
import math
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

from memdeck_daemon.memory.model import Identifier

VERSION: Final = 5
"""Of the schema and the tokens; another version is rebuilt."""
WATERMARK: Final = "watermark"
MOST_COUNTED: Final = 20_000
"""Terms whose frequency is remembered until the next commit."""
LOW: Final = (1 << 64) - 1
MIX: Final = 0x9E3779B97F4A7C15
"""An odd number: multiplying by it spreads numbers over all 64 bits, and can be undone."""
UNMIX: Final = pow(MIX, -1, 1 << 64)
META: Final = "meta.json"
"""What tantivy replaces at the end of a commit."""

Keys = NDArray[np.uint64]


class IndexBroken(Exception):
    """The lexical index cannot be read or written; it is rebuilt."""


class Watermark(msgspec.Struct, frozen=True):
    """How far the index has read the outbox, of which lineage."""

    lineage: str
    xid: int = 0
    id: int = 0
    version: int = VERSION


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
class LexicalReader:
    """An index on disk, to be searched from any task once it has a position."""

    path: Path
    index: tantivy.Index = field(init=False)
    position: Watermark | None = field(init=False, default=None)
    """What the searcher has seen; None: nothing to rely on. Read it before searching: an older one means a longer tail."""
    _searcher: tantivy.Searcher = field(init=False)
    _counted: dict[tuple[str, str], int] = field(init=False, default_factory=dict)
    """How many memories hold a term, by its field; of this searcher."""
    _seen: tuple[int, int] | None = field(init=False, default=None)
    """Inode and change of `META` when it was opened."""

    def refresh(self) -> None:
        """Open what was committed last, if anything was since; some ms, for a thread.

        Raises:
            IndexBroken: there is no index, or it cannot be read.
        """
        with self.guarded():
            found = (self.path / META).stat()
            seen = (found.st_ino, found.st_mtime_ns)
            if seen != self._seen:
                self.use(tantivy.Index.open(str(self.path)))
                self._seen = seen

    def use(self, index: tantivy.Index) -> None:
        """Search this one from now on."""
        analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        index.register_tokenizer("spaces", analyzer)
        self.index = index
        self.renew()

    def renew(self, position: Watermark | None = None) -> None:
        """See what the index has committed; `position` where it is known."""
        searcher = self.index.searcher()
        self._searcher, self._counted = searcher, {}
        self.position = position or self._stored_position(searcher)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What fails inside makes the index unusable until it is opened again."""
        try:
            yield
        except BaseException as error:
            # Damage that tantivy does not expect is a Rust panic, which is no Exception and cannot be imported.
            if not isinstance(error, ValueError | OSError | RuntimeError) and not _is_panic(error):
                raise
            self.position = self._seen = None
            raise IndexBroken(f"The lexical index cannot be used: {type(error).__name__}") from error

    @property
    def documents(self) -> int:
        """How many memories it holds."""
        return max(0, int(self._searcher.num_docs) - 1)

    def _stored_position(self, searcher: tantivy.Searcher) -> Watermark | None:
        """What was committed last; None when that is unknown or of another version: rebuild."""
        query = tantivy.Query.term_query(_schema_of(self.index), "key", WATERMARK)
        hits = searcher.search(query, 1, count=False).hits
        if not hits:
            return None
        stored = searcher.doc(hits[0][1]).get_first("watermark")
        try:
            mark = msgspec.json.decode(str(stored), type=Watermark)
        except msgspec.DecodeError:
            return None
        return mark if mark.version == VERSION else None

    def weights(self, scope: Identifier | None, terms: Sequence[str], total: int) -> Weights:
        """How much each term says within the scope (None: everywhere), which holds about `total` memories.

        Raises:
            IndexBroken: the files are damaged.
        """
        name, prefix = _place(scope)
        with self.guarded():
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
        with self.guarded():
            searcher, hits = self._hits(scope, weights, limit)
            addresses = [address for _, address in hits]
            keys = searcher.fast_field_values("id_key", addresses)
            low = searcher.fast_field_values("id_low", addresses)
            return {_id_of(key, half): score for (score, _), key, half in zip(hits, keys, low, strict=True)}

    def keys(self, scope: Identifier, weights: Weights, limit: int) -> Keys:
        """As `search`, but the `id_key` of each alone, best first.

        Raises:
            IndexBroken: the files are damaged.
        """
        with self.guarded():
            searcher, hits = self._hits(scope, weights, limit)
            return np.array(searcher.fast_field_values("id_key", [address for _, address in hits]), np.uint64)

    def _hits(
        self, scope: Identifier | None, weights: Weights, limit: int
    ) -> tuple[tantivy.Searcher, list[tuple[Any, Any]]]:
        """The searcher, and scores with addresses, which are this one's alone: a commit puts another in its place."""
        (name, prefix), schema = _place(scope), _schema_of(self.index)
        searcher = self._searcher
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
            return searcher, []
        return searcher, searcher.search(tantivy.Query.boolean_query(clauses), limit, count=False).hits


def id_key(memory_id: uuid.UUID) -> int:
    """64 bits that stand for an id. Both halves count: in ids of version 1 the lower one is that of a machine."""
    return ((memory_id.int >> 64) * MIX ^ memory_id.int) & LOW


def _id_of(key: Any, low: Any) -> uuid.UUID:
    """The id of a key and of its lower half."""
    return uuid.UUID(int=(((key ^ low) * UNMIX & LOW) << 64) | low)


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"


def _place(scope: Identifier | None) -> tuple[str, str]:
    """The field and the prefix under which a scope's terms stand."""
    return ("everywhere", "") if scope is None else ("scoped", prefix_of(scope))


def prefix_of(scope: Identifier) -> str:
    """What stands before the terms of a scope's memories."""
    # A hash, because identifiers may be long; should two meet, hydration drops the stranger.
    return hashlib.blake2b(str(scope).encode(), digest_size=6).hexdigest()


def schema() -> tantivy.Schema:
    """The fields of the index."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("key", tokenizer_name="raw", index_option="basic")
    for name in ("scoped", "everywhere"):
        builder.add_text_field(name, tokenizer_name="spaces", index_option="freq")
    builder.add_text_field("watermark", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("id_key", fast=True)
    builder.add_unsigned_field("id_low", fast=True)
    return builder.build()


def _schema_of(index: tantivy.Index) -> tantivy.Schema:
    schema = index.schema
    return schema() if callable(schema) else schema
