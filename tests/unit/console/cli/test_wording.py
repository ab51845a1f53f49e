"""Values as people read them."""

import pytest

from memdeck_console.cli import wording
from memdeck_console.core.formatting import duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0s"), (9.7, "9s"), (250, "4m10s"), (7384, "2h03m"), (532800, "6d04h")]
)
def test_duration(seconds: float, text: str) -> None:
    """The two largest units."""
    assert text == duration(seconds)


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 B"), (4200, "4.2 kB"), (4_200_000_000, "4.2 GB"), (2e18, "2000.0 PB")]
)
def test_size(count: float, text: str) -> None:
    """Powers of 1000."""
    assert text == wording.size(count)


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (12.14, "12.1ms"), (1204, "1.20s")])
def test_milliseconds(value: float | None, text: str) -> None:
    """Seconds from a second on; a dash, never 0, for what is missing."""
    assert text == wording.milliseconds(value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, "–"),
        ("2026-11-20T10:30:00+01:00", "2026-11-20 09:30:00Z"),
        ("2026-11-20T09:30:00", "2026-11-20 09:30:00Z"),
        ("yesterday", "yesterday"),
    ],
)
def test_instant(text: str | None, shown: str) -> None:
    """UTC with Z; what cannot be read stays as it is."""
    assert shown == wording.instant(text)


def test_counted_and_excerpt() -> None:
    """One memory, many memories; a beginning ends in an ellipsis."""
    assert "1 memory" == wording.counted(1, "memory", "memories")
    assert "2,310 memories" == wording.counted(2310, "memory", "memories")
    assert "0 lines" == wording.counted(0, "line")
    assert "abcd…" == wording.excerpt("abcdefgh", 5)
