"""The link to the daemon: it never gives up and never pretends.

Owns connecting, the wait between tries (0.5 to 15 s, doubled and jittered), taking up the stream where it broke
(`Last-Event-ID`), and the round trip. What arrives goes into the store; so does each change of state. The address is
read again at each try. Refuses to decide what is shown.
"""

import asyncio
import importlib
import random
import re
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import msgspec

from memdeck_common import errors
from memdeck_common.clock import Clock
from memdeck_console.core.ports import Connect, Daemon, Memories
from memdeck_console.core.store import LinkState, Store

SHORTEST, LONGEST = 0.5, 15.0
PING_EVERY = 15.0
"""Seconds between two measurements of the round trip."""


def backoff(tries: int, chance: float) -> float:
    """Seconds before the next try: doubled from 0.5 to 15, of which up to a half is taken off at random."""
    longest = min(LONGEST, SHORTEST * float(2 ** min(tries, 10)))
    return max(SHORTEST, longest * (1 - chance / 2))


def short_reason(message: str) -> str:
    """What the client says about a lost daemon, as short as a log line: the verdict says what to do."""
    found = re.search(r"daemon at (?:\w+://)?(\S+) cannot be reached \((.*)\);", message)
    if found is None:
        return message
    address, cause = found.groups()
    if "Connect call failed" in cause:
        return f"connection refused {address}"
    if "payload is not completed" in cause or "Server disconnected" in cause:
        return "stream closed by peer."
    return f"{cause} {address}"


class FeedLink:
    """Keeps the store up to date over the feed."""

    def __init__(
        self,
        store: Store,
        connect: Connect,
        clock: Clock,
        *,
        chance: Callable[[], float] = random.random,
        longest: float = LONGEST,
    ) -> None:
        self._store = store
        self._connect = connect
        self._clock = clock
        self._chance = chance
        self._longest = longest
        self._wake = asyncio.Event()
        self._daemon: Daemon | None = None

    @property
    def memories(self) -> Memories:
        """The daemon's memories.

        Raises:
            DaemonUnreachable: there is no link right now.
        """
        if self._daemon is None:
            raise errors.DaemonUnreachable("No link to the daemon; ctrl+r tries again now.")
        return self._daemon

    def retry_now(self) -> None:
        """Do not wait for the next try."""
        self._wake.set()

    async def run(self) -> None:
        """Keep the store up to date until cancelled."""
        tries = 0
        while True:
            before = self._store.last_event_id
            state, reason = await self._try()
            tries = 0 if self._store.last_event_id != before else tries + 1
            wait = min(self._longest, backoff(tries, self._chance()))
            self._store.link_is(state, tries=tries, retry_in=wait, reason=reason)
            self._wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)

    async def _try(self) -> tuple[LinkState, str]:
        """One connection, from its beginning to its end, and what became of it."""
        try:
            await self._stream()
        except errors.Unauthenticated as error:
            return LinkState.AUTH_FAILED, str(error)
        except errors.Forbidden as error:
            return LinkState.AUTH_FAILED, str(error)
        except (errors.NotFound, errors.MethodNotAllowed, msgspec.DecodeError) as error:
            return LinkState.VERSION_MISMATCH, f"the daemon speaks another version: {error}"
        except errors.MemdeckError as error:
            return LinkState.RECONNECTING, short_reason(str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the link goes on and the screen says so
            return LinkState.RECONNECTING, f"{type(error).__name__}: {error}"
        return LinkState.RECONNECTING, "the stream ended"

    async def _stream(self) -> None:
        async with AsyncExitStack() as stack:
            daemon = await stack.enter_async_context(self._connect())
            ping = asyncio.create_task(self._ping(daemon), name="round trip")
            stack.push_async_callback(_ended, ping)
            stack.callback(self._lost)
            async for event_id, event in daemon.feed(self._store.last_event_id):
                self._daemon = daemon
                self._store.take(event_id, event)

    def _lost(self) -> None:
        self._daemon = None

    async def _ping(self, daemon: Daemon) -> None:
        while True:
            begin = self._clock.monotonic()
            with suppress(errors.MemdeckError):
                await daemon.live()
                self._store.round_trip((self._clock.monotonic() - begin) * 1000)
            await asyncio.sleep(PING_EVERY)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def load_client() -> None:
    """Import the HTTP client in a thread: it takes a third of a second, during which the screen should answer."""
    await asyncio.to_thread(importlib.import_module, "memdeck_common.client")
