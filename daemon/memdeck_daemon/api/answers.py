"""Search answers that are kept, as the JSON in which they were sent.

Owns what makes two searches the same one, and the short way of a request whose very bytes have been seen before: it is
answered without being decoded. Whether a kept answer still holds is memory's business (`Validity`), and who may ask is
checked on every request before any of this. While the database does not answer, a kept answer is given as unverified unless
something is known against it. Not kept: explained answers (they hold timings), degraded ones, and those of
filters with an alternative that names no identifier.
"""

import hashlib
import unicodedata
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec

from memdeck_common.clock import Clock
from memdeck_common.errors import StoreUnavailable
from memdeck_daemon.api.http.routing import Call, Reply
from memdeck_daemon.infra.caching.tiered import Made, Source, Stamp, Tiered
from memdeck_daemon.memory import filters
from memdeck_daemon.memory.filters import Filter
from memdeck_daemon.memory.model import Identifier, Reach

SEEN: Final = 10_000
"""Requests whose bytes are remembered."""
LONGEST: Final = 1_024
"""Bytes of a path and a body that are remembered; the largest of all take 14 MB."""
DEGRADED: Final = "Memdeck-Degraded"
KEPT: Final = frozenset({"l1", "l2"})
HIT: Final = {"Memdeck-Cache": "hit", DEGRADED: ""}
MISS: Final = {"Memdeck-Cache": "miss"}
UNVERIFIED: Final = {"Memdeck-Cache": "unverified", DEGRADED: StoreUnavailable.part}

Names = tuple[Identifier, ...]
Make = Callable[[], Awaitable[Reply]]


class Validity(Protocol):
    """What tells whether an answer still holds: `memory.generations.Generations`."""

    def current(self, names: Sequence[Identifier]) -> Stamp | None:
        """The stamp of these names without a question to the database; None: ask."""

    async def read(self, names: Sequence[Identifier]) -> Stamp | None:
        """The stamp of these names from the database; None: nothing may be kept or reused now."""


class Doubt(Protocol):
    """What tells whether an answer may be given although nobody can verify it: `memory.unverified.Unverified`."""

    def latest(self, names: Sequence[Identifier]) -> Stamp | None:
        """The newest stamp that is known of these names; None: nothing is known."""

    def since(self) -> float:
        """The moment (monotonic seconds) from which on nothing could be verified."""

    def contradicted(self, names: Sequence[Identifier], answer: bytes) -> bool:
        """Whether a write that has not been carried out says otherwise."""

    def lacking(self, names: Sequence[Identifier], answer: bytes) -> bool:
        """Whether it lacks a write that has not been carried out, although the database knows nothing newer."""


class Asked(msgspec.Struct, frozen=True):
    """A search with all that its answer depends on, beside the memories."""

    shape: str
    """Whose words the answer is in: two addresses that answer alike have one shape."""
    query: str
    where: Filter
    top_k: int
    threshold: float | None
    show_expired: bool
    explain: bool
    fields: tuple[str, ...] = ()


class Answers:
    """Kept answers of one daemon."""

    def __init__(
        self,
        tiered: Tiered,
        validity: Validity,
        clock: Clock,
        ground: Callable[[], str],
        doubt: Doubt | None = None,
    ) -> None:
        """`ground`: what else answers depend on right now, as text: space, version of the ranking, default threshold.

        Without a `doubt` nothing is given that cannot be verified.
        """
        self._doubt = doubt
        self._tiered, self._validity, self._clock, self._ground = tiered, validity, clock, ground
        self._seen: OrderedDict[tuple[str, Reach, bytes], tuple[bytes, Names]] = OrderedDict()
        self._day = 0

    async def again(self, path: str, reach: Reach, raw: bytes) -> Reply | None:
        """The answer of a request that was answered before, byte for byte, to somebody with the same reach."""
        known = self._seen.get((path, reach, raw))
        if known is None or self._clock.now().toordinal() != self._day:
            return None
        digest, names = known
        stamp = self._validity.current(names)
        if stamp is None and digest in self._tiered.l1:
            stamp = await self._read(names)
        if stamp is None:
            return None
        found = self._tiered.near(digest, stamp)
        return None if found is None or self._lacking(names, found) else Reply(raw=found, headers=HIT)

    async def reply(self, call: Call[Any, Any], asked: Asked, make: Make) -> Reply:
        """The answer of a search, kept or made.

        Raises:
            NoScope, AdminRequired, Forbidden: what `filters.check_scope` says.
        """
        reach = call.principal.caller.reach
        branches = filters.check_scope(asked.where, reach)
        if asked.explain or not all(branches):
            return await make()
        names = tuple(sorted(frozenset().union(*branches), key=str))
        digest = self._digest(asked)
        self._remember((call.raw_path, reach, call.raw), (digest, names))
        try:
            stamp = self._validity.current(names) or await self._validity.read(names)
            if stamp is None:
                return await make()
            made, source = await self._tiered.get(digest, stamp, lambda: _made(make))
            if source in KEPT and self._lacking(names, made.value):
                return await make()  # which says so
        except StoreUnavailable:
            if (found := await self._unverified(digest, names)) is None:
                raise
            return Reply(raw=found, headers=UNVERIFIED)
        return _reply(made, source, reduced=self._tiered.reduced)

    def _lacking(self, names: Names, answer: bytes) -> bool:
        return self._doubt is not None and self._doubt.lacking(names, answer)

    async def _unverified(self, digest: bytes, names: Names) -> bytes | None:
        """A kept answer that may still hold, marked."""
        latest = self._doubt.latest(names) if self._doubt is not None else None
        if self._doubt is None or latest is None:
            return None
        found = await self._tiered.unverified(digest, latest, self._doubt.since())
        return None if found is None or self._doubt.contradicted(names, found) else _marked(found)

    async def _read(self, names: Names) -> Stamp | None:
        with suppress(StoreUnavailable):  # the search itself finds out, and says so
            return await self._validity.read(names)
        return None

    def _remember(self, request: tuple[str, Reach, bytes], known: tuple[bytes, Names]) -> None:
        if len(request[0]) + len(request[2]) > LONGEST:
            return
        self._seen[request] = known
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)

    def _digest(self, asked: Asked) -> bytes:
        """16 bytes; what was asked on another day is another question, because memories expire."""
        today = self._clock.now().toordinal()
        if today != self._day:
            self._seen.clear()
            self._day = today
        question = " ".join(unicodedata.normalize("NFC", asked.query).split())
        whole = (
            self._ground(),
            today,
            question,
            asked.shape,
            asked.where,
            asked.top_k,
            asked.threshold,
            asked.show_expired,
            asked.fields,
        )
        return hashlib.blake2b(repr(whole).encode(), digest_size=16).digest()


async def answered(answers: Answers | None, call: Call[Any, Any], asked: Asked, make: Make) -> Reply:
    """The answer of a search; without kept answers it is made each time."""
    return await make() if answers is None else await answers.reply(call, asked, make)


def _marked(answer: bytes) -> bytes:
    """An answer that says in its body, where that is an object, that it was made without the database."""
    body = msgspec.json.decode(answer)
    if not isinstance(body, dict):
        return answer
    return msgspec.json.encode(body | {"degraded": [StoreUnavailable.part]})


async def _made(make: Make) -> Made:
    reply = await make()
    degraded = reply.headers.get(DEGRADED)
    return Made(msgspec.json.encode(reply.value), keep=not degraded, notes=(degraded,) if degraded else ())


def _reply(made: Made, source: Source, *, reduced: bool) -> Reply:
    if source in KEPT:
        return Reply(raw=made.value, headers=HIT)
    without = (*made.notes, "redis") if reduced else made.notes
    return Reply(raw=made.value, headers={**MISS, DEGRADED: ", ".join(without)})
