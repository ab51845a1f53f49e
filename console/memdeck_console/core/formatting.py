"""Numbers, durations, sizes and times as the look writes them.

Latency in ms with one decimal, from 1,000 ms as `1.20s`; burn with one decimal below 10; compact durations; sizes with a
space, in powers of 1000; times in UTC with `Z`; what is missing is `–`, never 0.
"""

from datetime import UTC, datetime

MISSING = "–"
MINUTE, HOUR, DAY = 60, 3600, 86400


def latency(milliseconds: float | None) -> str:
    """`140.2`, `1.20s`, `12.5s`, `125s`; five cells at most."""
    if milliseconds is None:
        return MISSING
    if milliseconds < 999.95:  # noqa: PLR2004 - what one decimal would round up to 1000.0
        return f"{milliseconds:.1f}"
    seconds = milliseconds / 1000
    for limit, decimals in ((9.995, 2), (99.95, 1)):
        if seconds < limit:
            return f"{seconds:.{decimals}f}s"
    return f"{seconds:.0f}s"


def with_unit(milliseconds: float | None) -> str:
    """Latency in running text: `140.2 ms`, `1.20s`."""
    text = latency(milliseconds)
    return text if text.endswith("s") or milliseconds is None else f"{text} ms"


def burn(rate: float | None) -> str:
    """How fast the error budget goes: `1.9×`, `14×`."""
    if rate is None:
        return MISSING
    return f"{rate:.1f}×" if rate < 9.95 else f"{rate:.0f}×"  # noqa: PLR2004 - what would round to 10.0


def duration(seconds: float | None) -> str:
    """`9s`, `4m10s`, `1h04m`, `6d04h`, `400d`."""
    if seconds is None:
        return MISSING
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole}s"
    if whole < HOUR:
        return f"{whole // MINUTE}m{whole % MINUTE:02d}s"
    if whole < DAY:
        return f"{whole // HOUR}h{whole % HOUR // MINUTE:02d}m"
    if whole < 100 * DAY:
        return f"{whole // DAY}d{whole % DAY // HOUR:02d}h"
    return f"{whole // DAY}d"


def coarse(seconds: float) -> str:
    """One unit: `9s`, `4m`, `2h`, `17d`."""
    whole = max(0, int(seconds))
    for unit, letter in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if whole >= unit:
            return f"{whole // unit}{letter}"
    return f"{whole}s"


def age(seconds: float | None) -> str:
    """How old: `0.4s` below ten seconds, then compact."""
    if seconds is None:
        return MISSING
    return f"{max(0.0, seconds):.1f}s" if seconds < 9.95 else duration(seconds)  # noqa: PLR2004


def size(octets: float | None) -> str:
    """`118 MB`, `4.2 GB`; three digits or two with a decimal."""
    if octets is None:
        return MISSING
    value, units = float(octets), iter(("B", "kB", "MB", "GB", "TB", "PB"))
    unit = next(units)
    while value >= 999.5 and unit != "PB":  # noqa: PLR2004 - what would round to 1000
        value, unit = value / 1000, next(units)
    decimals = 1 if unit != "B" and value < 9.95 else 0  # noqa: PLR2004
    return f"{value:.{decimals}f} {unit}"


def count(number: float | None) -> str:
    """`1,204,881`."""
    return MISSING if number is None else f"{number:,.0f}"


def rate(per_second: float | None) -> str:
    """Calls per second: `412`, `9.6`."""
    if per_second is None:
        return MISSING
    return f"{per_second:,.0f}" if per_second >= 9.95 else f"{per_second:.1f}"  # noqa: PLR2004


def percent(share: float | None) -> str:
    """`61%`; 100 only when all, 0 only when none."""
    if share is None:
        return MISSING
    whole = round(share * 100)
    if whole == 100 and share < 1:  # noqa: PLR2004
        whole = 99
    if whole == 0 and share > 0:
        whole = 1
    return f"{whole}%"


def clock(epoch: float | None, *, seconds: bool = True) -> str:
    """`12:04:31Z`."""
    if epoch is None:
        return MISSING
    return datetime.fromtimestamp(epoch, UTC).strftime("%H:%M:%SZ" if seconds else "%H:%MZ")


def instant(epoch: float) -> str:
    """`12:04:30.912`: time of a log line."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%H:%M:%S.%f")[:-3]


def day(epoch: float | None) -> str:
    """`20 Nov 10:02Z`."""
    return MISSING if epoch is None else datetime.fromtimestamp(epoch, UTC).strftime("%d %b %H:%MZ")


def iso_day(epoch: float) -> str:
    """`2026-11-20`."""
    return datetime.fromtimestamp(epoch, UTC).date().isoformat()


def epoch_of(text: str | None) -> float | None:
    """Epoch seconds of an ISO 8601 instant; None when it cannot be read."""
    try:
        parsed = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def short_id(identifier: str) -> str:
    """The last eight digits of a long id in two groups, `7f3a 91c2`: ids begin with the time, their end tells them apart."""
    digits = identifier.replace("-", "")
    return identifier if len(digits) <= 10 else f"{digits[-8:-4]} {digits[-4:]}"  # noqa: PLR2004


def typed_id(identifier: str) -> str:
    """What a person types to confirm: the short id without its space."""
    return short_id(identifier).replace(" ", "")
