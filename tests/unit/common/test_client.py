"""The client without a daemon: where it looks for one, and how it reads what comes back."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdeck_common import client, errors
from memdeck_common.client import Address, Client, find_daemon
from memdeck_common.paths import Home
from memdeck_common.wire.health import DaemonFile

KEY = "mdk_secret"
ABOUT = DaemonFile(url="http://h:1/", metrics_url="http://h:2", pid=3, boot_id="b", version="v", instance="i")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home in which a daemon runs."""
    home = Home(tmp_path)
    for folder in (home.run, home.keys):
        folder.mkdir()
    home.daemon_file.write_bytes(msgspec.json.encode(ABOUT))
    home.admin_key.write_text(f"{KEY}\n")
    return home


def test_the_environment_beats_the_home(home: Home) -> None:
    """Address and key apart from each other."""
    assert Address("http://h:1", KEY) == find_daemon(home, {})
    assert Address("http://x", KEY) == find_daemon(home, {"MEMDECK_URL": "http://x/"})
    assert Address("http://h:1", "other") == find_daemon(home, {"MEMDECK_API_KEY": "other"})
    assert Address("http://h:1", KEY) == find_daemon(None, {"MEMDECK_HOME": str(home.root)})
    assert Address("http://h:1", KEY) == find_daemon(home, {"MEMDECK_URL": "", "MEMDECK_API_KEY": ""})


def test_without_a_daemon_the_way_to_one_is_told(home: Home) -> None:
    """No file, half a file; a missing key is found out by the daemon."""
    home.admin_key.unlink()
    assert not find_daemon(home, {}).key
    for broken in (b"{", b"{}", b""):
        home.daemon_file.write_bytes(broken)
        with pytest.raises(errors.DaemonUnreachable, match="memdeck up"):
            find_daemon(home, {})


def test_an_address_does_not_show_its_key() -> None:
    """It ends up in messages."""
    assert KEY not in repr(Address("http://h", KEY)) + str(Address("http://h", KEY))


async def test_a_client_that_was_not_opened_says_so() -> None:
    """A mistake of the programmer."""
    with pytest.raises(RuntimeError, match="context manager"):
        await Client(Address("http://h", KEY)).live()


@pytest.mark.parametrize(
    ("status", "content", "kind", "text"),
    [
        (404, b'{"detail": "gone", "code": "memory_not_found"}', errors.MemoryNotFound, "gone"),
        (503, b'{"detail": "away", "code": "store_unavailable"}', errors.StoreUnavailable, "away"),
        (410, b'{"detail": "late", "code": "undo_expired"}', errors.UndoExpired, "late"),
        (403, b'{"detail": "no", "code": "unknown_code"}', errors.Forbidden, "no"),
        (422, b'{"detail": [{"loc": ["a"]}], "code": "bad_field"}', errors.BadField, '[{"loc":["a"]}]'),
        (502, b"<html>proxy</html>", errors.MemdeckError, "<html>proxy</html>"),
        (503, b'["not an object"]', errors.Unavailable, "not an object"),
        (500, b"", errors.MemdeckError, "The daemon answered 500."),
        (429, b'{"detail": null}', errors.RateLimited, "null"),
        (500, b"\xff\xfe", errors.MemdeckError, "\ufffd"),
    ],
)
def test_a_refusal_is_the_exception_that_it_names(
    status: int, content: bytes, kind: type[errors.MemdeckError], text: str
) -> None:
    """By its code, else by its status, whatever stands in between."""
    made = client._refusal(status, content)
    assert kind is type(made)
    assert text in str(made)


class Chunks:
    """A stream that arrives in pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def iter_any(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


EVENTS = b': hello\n\nid: b:1\ndata: {"a": 1}\n\nid:b:2\r\ndata:x\r\ndata:y\r\n\r\n:\n\nevent: tick\ndata: z\n\nid: b:3\ndata: cut'


@given(st.lists(st.integers(1, 20), max_size=30))
async def test_events_are_the_same_however_they_are_cut(sizes: list[int]) -> None:
    """Comments are passed over, an event that is cut off is none, ids hold until the next one."""
    pieces, rest = [], EVENTS
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    stream = Chunks([*pieces, rest])
    found = [event async for event in client._events(stream)]  # type: ignore[arg-type]  # all that is used of it
    assert [("b:1", b'{"a": 1}'), ("b:2", b"xy"), ("b:2", b"z")] == found
