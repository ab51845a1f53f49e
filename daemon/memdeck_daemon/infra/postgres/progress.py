"""Waiting for something that may take long: given up only when nothing has moved for a while.

Owns the difference between slow and stuck. Crash recovery of a large cluster takes minutes, and a limit on the
whole of it would turn each restart into another crash.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from memdeck_common.clock import Clock

STEP = 0.01
"""Seconds between two looks: a start takes 50 ms, so this is what a look costs on average times two."""
PATIENT_STEP = 0.1
"""The same after the first second."""
QUIET = 2.0
"""Seconds before the first word to the person who waits, and between two."""


class Stalled(Exception):
    """Nothing has moved for too long."""


class Sign(Protocol):
    """Anything that changes while work is being done."""

    def __call__(self) -> object:
        """The present value."""


class Wait:
    """One wait, with its clock."""

    def __init__(self, clock: Clock, limit: float, sign: Sign, tell: Callable[[float], None]) -> None:
        """`limit` is in seconds without any change of `sign`; `tell` gets the seconds waited so far, now and then."""
        self._clock = clock
        self._limit = limit
        self._sign = sign
        self._tell = tell
        self._begun = self._moved = self._looked = self._told = clock.monotonic()
        self._last: object = None

    async def step(self) -> None:
        """Let a little time pass.

        Raises:
            Stalled: nothing has moved for the limit.
        """
        now = self._clock.monotonic()
        if now - self._looked >= PATIENT_STEP:
            self._looked = now
            value = self._sign()
            if value != self._last:
                self._last, self._moved = value, now
        if now - self._moved >= self._limit:
            raise Stalled
        if now - self._told >= QUIET:
            self._told = now
            self._tell(now - self._begun)
        await asyncio.sleep(STEP if now - self._begun < 1 else PATIENT_STEP)
