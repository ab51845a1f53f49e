"""Windows that are kept."""

import asyncio
import uuid
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from memdeck_daemon.memory.sessions.model import Said
from memdeck_daemon.memory.sessions.windows import LARGEST, KeptWindows, OwnShelf, key_of

WINDOW = [
    Said(
        uuid.UUID(int=number),
        f"grüße {number} " * 20,
        "user",
        "Ada",
        datetime(2026, 11, 20, 9, number, tzinfo=UTC),
    )
    for number in range(20)
]
SCOPE = ("user:ada", "run:chat-7", "20")


@dataclass(slots=True)
class HandClock:
    """A clock that tests move."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


@dataclass(slots=True)
class BrokenShelf:
    """One that raises, stalls or gives back what it should not."""

    error: OSError | None = None
    value: bytes | None = None
    stalls: bool = False
    calls: list[str] = field(default_factory=list)

    async def get(self, key: str) -> bytes | None:
        self.calls.append(key)
        await self._fail()
        return self.value

    async def put(self, key: str, value: bytes, seconds: int) -> bool:
        self.calls.append(f"{key} {len(value)} {seconds}")
        await self._fail()
        return True

    async def _fail(self) -> None:
        if self.stalls:
            await asyncio.get_running_loop().create_future()
        if self.error:
            raise self.error


async def test_a_window_comes_back_as_it_was_kept() -> None:
    """For 24 hours, under a key of its own scope, compressed."""
    clock = HandClock()
    shelf = OwnShelf(clock)
    kept = KeptWindows("default", [shelf])
    await kept.keep(SCOPE, WINDOW)
    assert WINDOW == await kept.find(SCOPE)
    assert None is await kept.find((*SCOPE, "x"))
    stored = await shelf.get(key_of("default", SCOPE))
    assert stored is not None
    assert len(stored) < 1200
    clock.seconds = 24 * 3600
    assert None is await kept.find(SCOPE)


def test_keys_tell_scopes_apart() -> None:
    """However the names are cut, and whatever they hold."""
    assert key_of("i", ("a", "b")) != key_of("i", ("a\x01b",))
    assert key_of("test", SCOPE) != key_of("prd", SCOPE)
    assert key_of("i", ("user:a", "run:b")).startswith("ai_session:")
    assert key_of("i", ("user:\ud800",))


@pytest.mark.parametrize(
    "value",
    [
        b"", b"\x80\x04N.", zlib.compress(b"[]")[:-1], zlib.compress(b"{}"), zlib.compress(b"\xff"),
        zlib.compress(b" " * (LARGEST + 1) + b"[]"),
    ],
)  # fmt: skip
async def test_what_is_no_window_is_passed_over(value: bytes) -> None:
    """A store that others write to must not break an answer, nor fill the memory."""
    assert None is await KeptWindows("default", [BrokenShelf(value=value)]).find(SCOPE)


@pytest.mark.parametrize("shelf", [BrokenShelf(error=ConnectionError()), BrokenShelf(stalls=True)])
async def test_a_shelf_that_fails_costs_nothing_but_the_fallback(shelf: BrokenShelf) -> None:
    """Neither an error nor a stall reaches the answer."""
    kept = KeptWindows("default", [shelf])
    await kept.keep(SCOPE, WINDOW)
    assert None is await kept.find(SCOPE)
    assert 2 == len(shelf.calls)


async def test_the_next_shelf_tells_what_the_first_cannot() -> None:
    """As when Redis is away together with Postgres."""
    own = OwnShelf(HandClock())
    kept = KeptWindows("default", [BrokenShelf(error=ConnectionError()), own])
    await kept.keep(SCOPE, WINDOW)
    assert WINDOW == await kept.find(SCOPE)


async def test_the_own_shelf_is_bounded() -> None:
    """The least recently used go first; what is larger than all of it is not kept."""
    shelf = OwnShelf(HandClock(), limit_bytes=10)
    await shelf.put("a", b"12345", 9)
    await shelf.put("b", b"12345", 9)
    await shelf.get("a")
    await shelf.put("c", b"123", 9)
    assert [b"12345", None, b"123"] == [await shelf.get(key) for key in "abc"]
    await shelf.put("a", b"x" * 11, 9)
    assert None is await shelf.get("a")
