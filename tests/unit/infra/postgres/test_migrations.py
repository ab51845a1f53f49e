"""Which migrations are pending, and when a database is refused."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from memdeck_common.errors import DatabaseUnusable
from memdeck_daemon.infra.postgres.migrations import Migration, load, pending

FILES = [Migration(number, f"{number:04}_x.sql", f"select {number}") for number in (1, 2, 3)]


class Entry:
    """A file, or a directory of files, in memory."""

    def __init__(self, name: str, text: str = "", entries: tuple["Entry", ...] = ()) -> None:
        self.name = name
        self._text = text
        self._entries = entries

    def read_text(self, encoding: str | None = None) -> str:
        return self._text.encode().decode(encoding or "utf-8")

    def read_bytes(self) -> bytes:
        return self._text.encode()

    def iterdir(self) -> Iterator["Entry"]:
        return iter(self._entries)

    def is_dir(self) -> bool:
        return bool(self._entries)

    def is_file(self) -> bool:
        return not self._entries

    def joinpath(self, *_: Any) -> "Entry":
        return self

    def __truediv__(self, _: Any) -> "Entry":
        return self

    def open(self, mode: str = "r", *_: Any, **__: Any) -> Any:
        return io.BytesIO(self.read_bytes()) if "b" in mode else io.StringIO(self._text)


def folder(*names: str) -> Entry:
    return Entry("migrations", entries=tuple(Entry(name, f"-- {name}") for name in names))


def applied(*migrations: Migration) -> dict[int, tuple[str, str]]:
    return {m.number: (m.name, m.checksum) for m in migrations}


def test_files_are_read_in_order_and_others_ignored() -> None:
    """Whatever order the folder has."""
    found = load(folder("0002_b.sql", "README.md", "0001_a.sql", "__init__.py"))
    assert [m.name for m in found] == ["0001_a.sql", "0002_b.sql"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("0001_a.sql", "0003_c.sql"), "0003_c.sql stands where number 0002"),
        (("0001_a.sql", "0001_b.sql"), "0001_b.sql stands where number 0002"),
        (("0002_a.sql",), "number 0001 is expected"),
        (("1_a.sql",), "not named NNNN_name.sql"),
    ],
)
def test_a_damaged_installation_is_refused(names: tuple[str, ...], said: str) -> None:
    """Before anything is applied."""
    with pytest.raises(DatabaseUnusable, match=said):
        load(folder(*names))


def test_what_follows_the_applied_ones_is_pending() -> None:
    """All, some, none."""
    assert pending(FILES, {}) == FILES
    assert pending(FILES, applied(*FILES[:1])) == FILES[1:]
    assert pending(FILES, applied(*FILES)) == []


def test_line_ends_do_not_change_a_checksum() -> None:
    """Version control on another system may have converted them; anything else counts."""
    unix, windows, other = (Migration(1, "0001_x.sql", text) for text in ("a\nb\n", "a\r\nb\r\n", "a\nb \n"))
    assert unix.checksum == windows.checksum != other.checksum


def test_a_changed_file_is_refused() -> None:
    """The database would no longer be what the files say."""
    changed = [Migration(1, "0001_x.sql", "select 9"), *FILES[1:]]
    with pytest.raises(DatabaseUnusable, match=r"0001_x\.sql was changed"):
        pending(changed, applied(*FILES[:2]))


def test_a_newer_database_is_refused() -> None:
    """An older build would write what the newer one no longer understands."""
    with pytest.raises(
        DatabaseUnusable, match=r"newer than this memdeck: it knows 0003_x\.sql, this build ends at 0002"
    ):
        pending(FILES[:2], applied(*FILES))


def test_a_gap_in_the_database_is_refused() -> None:
    """Somebody meddled with the ledger."""
    with pytest.raises(DatabaseUnusable, match=r"lacks migration 0002_x\.sql"):
        pending(FILES, applied(FILES[0], FILES[2]))
