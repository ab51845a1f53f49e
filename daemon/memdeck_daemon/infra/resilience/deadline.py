"""Until when the request under way must be answered, known to every call that it makes.

Owns one context variable. It is no argument because the calls that need it lie five signatures below the ones that know
it, and tasks that a request starts inherit it by themselves. Work that belongs to no request has no deadline.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_UNTIL: Final[ContextVar[float]] = ContextVar("deadline", default=math.inf)
"""On the event loop's clock."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """All that is called inside has so long; an earlier deadline stays."""
    token = _UNTIL.set(min(_UNTIL.get(), asyncio.get_running_loop().time() + seconds))
    try:
        yield
    finally:
        _UNTIL.reset(token)


def left(most: float) -> float:
    """Seconds that a call may take whose own timeout is `most`; 0 when the time is up."""
    until = _UNTIL.get()
    return most if until is math.inf else max(0.0, min(most, until - asyncio.get_running_loop().time()))
