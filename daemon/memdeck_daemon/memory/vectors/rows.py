"""The memories of one big owner as columns: all that fusion needs of them but their vectors.

Owns the arrays, which row a memory is, who is whose neighbour, and cutting a block for scoring out of them. About 130 bytes
a memory. Rows are only ever appended; a memory that changes gets a new row and its old one is dead. Runs are known by a
hash of their name, because an owner may have a million of them. Refuses to hold texts and names: hits come from Postgres.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.memory.lexical.reader import LOW, MIX, id_key
from memdeck_daemon.memory.recall.block import LONG, NEVER, STEPS, Block, LazyIds, Prepared
from memdeck_daemon.memory.recall.columns import Column
from memdeck_daemon.memory.recall.questions import ACTORS

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]

PLAIN: Final[Mapping[str, Any]] = {"high": np.uint64, "low": np.uint64, "arrival": np.int64}
"""Columns that lie side by side: what finds a row, and what links it."""
RECORD: Final = np.dtype(
    [
        ("run", np.uint64), ("tokens", np.int64), ("links", np.int32, (len(STEPS),)), ("actor", np.int32),
        ("day", np.int32), ("expires", np.int32), ("terms", np.float32), ("length", np.float32),
        ("mixed_norm", np.float32), ("time_word", np.bool_), ("question", np.bool_), ("dead", np.bool_),
        ("present", np.bool_), ("spare", np.int32),
    ]
)  # fmt: skip
"""What fusion needs of a row: 64 bytes that lie together, since a search takes some hundred rows from all over them.
`run`: hash of its name, 0 without one. `tokens`: where the row's token keys end. `present`: whether its vector is here."""
COLUMNS: Final[Mapping[str, tuple[Any, tuple[int, ...]]]] = {
    **{name: (kind, ()) for name, kind in PLAIN.items()},
    **{name: RECORD[name].subdtype or (RECORD[name], ()) for name in RECORD.names or () if name != "spare"},
}
"""Name, type and shape of all that a row has."""


class Rows:
    """Columns that grow."""

    def __init__(self) -> None:
        self._plain = {name: Column(kind) for name, kind in PLAIN.items()}
        self._records = Column(RECORD)
        self.token_keys = Column(np.uint32, capacity=128)
        self.actors: dict[str, int] = {}
        self.buried = 0
        """Dead rows."""
        # What was settled is found in sorted arrays, later rows in dictionaries.
        self._by_key: tuple[Keys, Ints] = (np.zeros(0, np.uint64), np.zeros(0, np.int64))
        self._by_place: tuple[Keys, Ints] = (np.zeros(0, np.uint64), np.zeros(0, np.int64))
        self._new_keys: dict[int, int] = {}
        self._new_places: dict[int, int] = {}

    def __len__(self) -> int:
        return self._records.size

    @property
    def live(self) -> int:
        """Memories: rows that are not dead."""
        return len(self) - self.buried

    @property
    def nbytes(self) -> int:
        """Roughly what they occupy."""
        columns = (*self._plain.values(), self._records, self.token_keys)
        return sum(column.array.nbytes for column in columns) + 24 * len(self)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column, as long as there are rows. Of many columns of few rows, `records` is the quick way.

        Not to be asked to `take`: numpy would copy the whole of a column that lies in records first.
        """
        if name in PLAIN:
            return self._plain[name].values
        column: NDArray[Any] = self._records.values[name]
        return column

    def records(self, rows: Ints) -> NDArray[Any]:
        """What fusion needs of some rows: a copy, of the type `RECORD`."""
        return self._records.array.take(rows)

    def adopt(self, columns: Mapping[str, NDArray[Any]], token_keys: NDArray[np.uint32]) -> None:
        """All columns by name, for what was appended."""
        for name, column in self._plain.items():
            column.adopt(columns[name])
        records = np.zeros(len(columns["low"]), RECORD)
        for name in COLUMNS.keys() - PLAIN.keys():
            records[name] = columns[name]
        self._records.adopt(records)
        self.token_keys.adopt(token_keys)

    # --- appending ----------------------------------------------------------------------------------------------------

    def append(self, items: Sequence[Prepared]) -> None:
        """Memories, each in a new row; the row that one had before is dead."""
        first = len(self)
        for item in items:
            self.bury(item.line.id)
        self.load(items)
        for row, item in enumerate(items, first):
            self._new_keys[id_key(item.line.id)] = row
            if item.line.run and item.line.arrival is not None:
                self._new_places[place_key(run_key(item.line.run), item.line.arrival)] = row
                self._link(row)

    def load(self, items: Sequence[Prepared]) -> None:
        """Memories that have no row yet. They are neither found nor linked before `settle` and `link`."""
        lines = [item.line for item in items]
        plain, records = self._plain, np.zeros(len(items), RECORD)
        plain["high"].extend(np.array([line.id.int >> 64 for line in lines], np.uint64))
        plain["low"].extend(np.array([line.id.int & LOW for line in lines], np.uint64))
        plain["arrival"].extend([line.arrival or 0 for line in lines])
        records["run"] = [run_key(line.run) for line in lines]
        records["actor"] = [self._actor(line.actor) for line in lines]
        records["day"] = [line.created_at.toordinal() for line in lines]
        records["expires"] = [
            line.expiration_date.toordinal() if line.expiration_date else NEVER for line in lines
        ]
        records["terms"] = [len(item.keys) for item in items]
        records["length"] = [min(len(line.text) / LONG, 1.0) for line in lines]
        records["time_word"] = [item.time_word for item in items]
        records["question"] = [item.question for item in items]
        records["links"] = -1
        records["tokens"] = self.token_keys.size + np.cumsum([len(item.keys) for item in items])
        records["mixed_norm"] = 1
        self.token_keys.extend(np.fromiter((key for item in items for key in item.keys), np.uint32))
        # Last: whoever searches meanwhile goes by the records.
        self._records.extend(records)

    def _actor(self, name: str | None) -> int:
        return self.actors.setdefault(name, len(self.actors) + 1) if name else 0

    def bury(self, memory_id: uuid.UUID) -> None:
        """The memory is gone, or gets another row."""
        row = self.row_of(memory_id)
        if row is not None:
            self.bury_row(row)

    def bury_row(self, row: int) -> None:
        """As `bury`."""
        if self["dead"][row]:
            return
        self["dead"][row] = True
        self.buried += 1
        links = self["links"]
        for column, other in enumerate(links[row]):
            if other >= 0 and links[other, len(STEPS) - 1 - column] == row:
                links[other, len(STEPS) - 1 - column] = -1
        links[row] = -1

    def _link(self, row: int) -> None:
        """Know the neighbours of a row, and be known to them."""
        run, arrival, links = int(self["run"][row]), int(self["arrival"][row]), self["links"]
        for column, step in enumerate(STEPS):
            other = self._at(place_key(run, arrival + step))
            if other is not None:
                links[row, column] = other
                links[other, len(STEPS) - 1 - column] = row

    def _at(self, key: int) -> int | None:
        row = self._new_places.get(key)
        if row is None:
            keys, order = self._by_place
            place = int(np.searchsorted(keys, np.uint64(key)))
            row = int(order[place]) if place < len(keys) and int(keys[place]) == key else None
        return None if row is None or self["dead"][row] else row

    def link(self) -> None:
        """Link all settled rows, each with those that are there."""
        keys, order = self._by_place
        if not len(keys):
            return
        rows = np.sort(order)
        runs, arrivals = self["run"][rows], self["arrival"][rows]
        for column, step in enumerate(STEPS):
            wanted = place_keys(runs, arrivals + step)
            place = np.searchsorted(keys, wanted)
            place[place == len(keys)] = 0
            self["links"][rows, column] = np.where(keys[place] == wanted, order[place], -1)

    def settle(self) -> None:
        """Sort what was appended: dictionaries of a million entries would take more room than the columns. 0.3 s a million."""
        dead = self["dead"]
        rows = np.flatnonzero(~dead)
        keys = self["high"][rows] * np.uint64(MIX) ^ self["low"][rows]
        order = np.argsort(keys, kind="stable")
        self._by_key = (keys[order], rows[order])
        placed = np.flatnonzero((self["run"] != 0) & ~dead)
        keys = place_keys(self["run"][placed], self["arrival"][placed])
        order = np.argsort(keys, kind="stable")
        self._by_place = (keys[order], placed[order])
        self._new_keys, self._new_places = {}, {}

    # --- finding ------------------------------------------------------------------------------------------------------

    def row_of(self, memory_id: uuid.UUID) -> int | None:
        """The row of a memory; None when it has none that lives."""
        found = self.rows_of(np.array([id_key(memory_id)], np.uint64))
        rows = zip(found.tolist(), self.ids(found), strict=True)
        return next((row for row, one in rows if one == memory_id), None)

    def rows_of(self, wanted: Keys) -> Ints:
        """The living rows of memories by their `id_key`; those that are not here are left out.

        Two ids with the same key are one in 2^64; of them one would be found.
        """
        keys, order = self._by_key
        newer = [self._new_keys.get(key) for key in wanted.tolist()] if self._new_keys else []
        found = np.array([row for row in newer if row is not None], np.int64)
        if len(keys):
            place = keys.searchsorted(wanted)
            rows = order.take(place, mode="clip")[keys.take(place, mode="clip") == wanted]
            found = np.concatenate([found, rows]) if len(found) else rows
        return self._living(found)

    def _living(self, rows: Ints) -> Ints:
        living: Ints = rows[~self["dead"][rows]]
        return living

    def ids(self, rows: Ints) -> list[uuid.UUID]:
        """The memories of rows."""
        high, low = self["high"].take(rows).tolist(), self["low"].take(rows).tolist()
        return [uuid.UUID(int=(h << 64) | w) for h, w in zip(high, low, strict=True)]

    def saying(self, first: int, keys: Sequence[int]) -> Ints:
        """The rows from `first` on that hold one of these terms."""
        if first >= len(self) or not keys:
            return np.zeros(0, np.int64)
        ends = self["tokens"][first:]
        begin = int(self["tokens"][first - 1]) if first else 0
        places = np.flatnonzero(np.isin(self.token_keys.values[begin:], np.array(keys, np.uint32))) + begin
        return self._living(np.unique(np.searchsorted(ends, places, side="right")) + first)

    def beside(self, rows: Ints, columns: tuple[int, ...]) -> Ints:
        """The rows themselves and their neighbours by these columns of the links, ascending, each once."""
        near = self.records(rows)["links"]
        near = near[:, columns] if len(columns) < len(STEPS) else near
        return distinct(np.concatenate([rows, near[near >= 0]]))

    def block(self, rows: Ints, owner: str) -> tuple[Block, NDArray[Any]]:
        """These rows, ascending, as a block, and their records. Links to rows that are not among them are cut."""
        block, records = Block(), self.records(rows)
        block.ids, block.owners = LazyIds(self.ids, rows), [owner] * len(rows)
        for name in ("day", "expires", "terms", "length", "actor"):
            getattr(block, name).adopt(np.ascontiguousarray(records[name]))
        for name in ("time_word", "question"):
            getattr(block, name).adopt(records[name].astype(np.float32))
        block.run.adopt(_numbered(records["run"]))
        block.runs = {"": 1} if block.run.values.any() else {}
        block.actors = self.actors if len(self.actors) <= ACTORS else {}
        block.links.adopt(_places(rows, records["links"]))
        block.linked = bool((block.links.values >= 0).any())
        self._tokens(block, records)
        return block, records

    def _tokens(self, block: Block, records: NDArray[Any]) -> None:
        ends = records["tokens"]
        counts = block.terms.values.astype(np.int64)
        total = int(counts.sum())
        shift = np.repeat(ends - np.cumsum(counts), counts)
        block.token_key.adopt(self.token_keys.array.take(np.arange(total) + shift))
        block.token_row.adopt(np.repeat(np.arange(len(records), dtype=np.int32), counts))


def distinct(rows: Ints) -> Ints:
    """Ascending, each once; for a few hundred, a third of the time of numpy's own."""
    ordered = np.sort(rows)
    if len(ordered) < 2:  # noqa: PLR2004 - one row is distinct
        return ordered
    kept = np.empty(len(ordered), np.bool_)
    kept[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=kept[1:])
    unique: Ints = ordered[kept]
    return unique


def _places(rows: Ints, links: NDArray[np.int32]) -> NDArray[np.int32]:
    """Where linked rows stand among these, ascending; −1 for those that are not among them."""
    known = rows.astype(np.int32)
    place = known.searchsorted(links.ravel()).reshape(links.shape)
    found: NDArray[np.int32] = np.where(known.take(place, mode="clip") == links, place, -1).astype(np.int32)
    return found


def _numbered(runs: Keys) -> NDArray[np.int32]:
    """Small numbers for runs, 0 for none; half the time of numpy's `unique`."""
    order = np.argsort(runs)
    ordered = runs[order]
    numbers = np.empty(len(runs), np.int32)
    changes = np.zeros(len(runs), np.int32)
    # Number 0 is "none": without such a row the others begin at 1.
    changes[:1] = ordered[:1] != 0
    np.not_equal(ordered[1:], ordered[:-1], out=changes[1:], casting="unsafe")
    numbers[order] = np.cumsum(changes, dtype=np.int32)
    return numbers


def run_key(name: str | None) -> int:
    """A number that stands for a run; never 0."""
    if not name:
        return 0
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") or 1


def place_key(run: int, arrival: int) -> int:
    """A number that stands for a place within a run."""
    return (run + arrival * MIX) & LOW


def place_keys(runs: Keys, arrivals: Ints) -> Keys:
    """As `place_key`, for many."""
    keys: Keys = runs + arrivals.astype(np.uint64) * np.uint64(MIX)
    return keys
