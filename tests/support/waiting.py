"""Waiting for something to become true: the only place where tests wait.

Each pause is a wait on an event that nobody sets, with a limit; a test never sleeps for a time that it guesses.
"""

import asyncio
import contextlib
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, overload

Found = TypeVar("Found")

INTERVAL = 0.02
"""Seconds between two looks."""


class NeverHappenedError(AssertionError):
    """What was waited for did not come true in time."""


@overload
def eventually(
    probe: Callable[[], Awaitable[Found]], *, timeout: float = ..., what: str = ...
) -> Coroutine[Any, Any, Found]: ...


@overload
def eventually(
    probe: Callable[[], Found], *, timeout: float = ..., what: str = ...
) -> Coroutine[Any, Any, Found]: ...


async def eventually(
    probe: Callable[[], Any],
    *,
    timeout: float = 10.0,  # noqa: ASYNC109 - the limit of the polling, not of one await
    what: str = "",
) -> Any:
    """The first truthy value of `probe`, a function or coroutine function, within `timeout` seconds.

    An AssertionError of the probe means "not yet"; the last one is the reason that is given in the end.

    Raises:
        NeverHappenedError: it stayed falsy or failed until the end; `what` says what was expected.
    """
    deadline = time.monotonic() + timeout
    while True:
        reason: object = None
        try:
            value = probe()
            found = await value if inspect.isawaitable(value) else value
            if found:
                return found
            reason = found
        except AssertionError as error:
            reason = error
        if time.monotonic() > deadline:
            raise _never(probe, timeout, what, reason)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), INTERVAL)


def eventually_sync(probe: Callable[[], Found], *, timeout: float = 10.0, what: str = "") -> Found:
    """The first truthy value of `probe` within `timeout` seconds, for tests without an event loop.

    Raises:
        NeverHappenedError: as `eventually`.
    """
    deadline = time.monotonic() + timeout
    while True:
        reason: object = None
        try:
            found = probe()
            if found:
                return found
            reason = found
        except AssertionError as error:
            reason = error
        if time.monotonic() > deadline:
            raise _never(probe, timeout, what, reason)
        threading.Event().wait(INTERVAL)


def _never(probe: object, timeout: float, what: str, reason: object) -> NeverHappenedError:
    expected = what or getattr(probe, "__qualname__", repr(probe))
    return NeverHappenedError(f"not within {timeout:g} s: {expected}; last seen: {reason!r}")
