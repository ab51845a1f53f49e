"""Values as people read them: durations, sizes, instants, counts. Pure functions of the values."""

from datetime import UTC, datetime

MISSING = "–"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: float) -> str:
    """`4.2 GB`, in powers of 1000."""
    for unit in _UNITS[:-1]:
        if count < 1000:  # noqa: PLR2004 - the step between units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"


def number(count: int | None) -> str:
    """Thousands with commas; a dash for what is not known."""
    return MISSING if count is None else f"{count:,}"


def milliseconds(value: float | None) -> str:
    """`12.1ms`, from a second on `1.20s`."""
    if value is None:
        return MISSING
    return f"{value / 1000:.2f}s" if value >= 1000 else f"{value:.1f}ms"  # noqa: PLR2004 - a second


def instant(text: str | None) -> str:
    """An ISO time as `2026-11-20 12:04:31Z`; what cannot be read stays as it is."""
    if not text:
        return MISSING
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}Z"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 memory`, `2,310 memories`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def excerpt(text: str, limit: int = 60) -> str:
    """The beginning of a text."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
