"""The registry of embedding spaces, and who embeds for them.

Owns which space is primary and which is a candidate, as the database says (other daemons may change it, so it is read
again now and then), one embedder for each of the two, and how far unrelated memories are from each other in each space.
The configured model becomes the primary space of a database that has none, at the start or as soon as its dimensions are
known; in one that has another, it is for `memdeck spaces add` to bring it in. A key is sent to the origin for which it
was given and to no other.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from memdeck_common.clock import Clock
from memdeck_common.errors import BadRequest, ConfigurationError, Conflict, MemdeckError, StoreUnavailable
from memdeck_common.log import action
from memdeck_common.settings import Embedding as EmbeddingSettings
from memdeck_daemon.infra.postgres.database import Database
from memdeck_daemon.infra.resilience.breaker import Breaker, BreakerOpen
from memdeck_daemon.infra.resilience.bulkhead import Overloaded
from memdeck_daemon.infra.resilience.guard import Guard, Room
from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.infra.resilience.policies import OPENAI_API
from memdeck_daemon.memory.embedding.endpoint import (
    KNOWN,
    LIBRARY,
    LONGEST_QUERY,
    QUERIES,
    Embedder,
    Endpoint,
    configured,
    provider_of,
)
from memdeck_daemon.memory.embedding.failures import EmbedderFailed, TextRefused, WrongDimensions
from memdeck_daemon.memory.embedding.library import LibraryEmbedder, dimensions_of
from memdeck_daemon.memory.embedding.remote import RemoteEmbedder
from memdeck_daemon.memory.store import spaces as store
from memdeck_daemon.memory.store.spaces import Space

log = logging.getLogger(__name__)

MOST_ASKED: Final = 900.0
"""Seconds of a Retry-After that are believed."""
TRIAL: Final = "memdeck"
"""A text that every embedder takes."""
TRIAL_BUDGET: Final = 1.0
"""Seconds of the start that the embedder may take; one that is slower is believed."""
FIRST_REST: Final = 0.5
LAST_REST: Final = 5.0
"""Seconds between two tries to bring settings and database together."""


@dataclass(slots=True)
class Live:
    """A space with somebody who embeds for it."""

    space: Space
    embedder: Embedder
    guard: Guard
    """Of its queries; the worker of the queue has its own bound and shares the breaker."""

    @property
    def breaker(self) -> Breaker:
        """The embedder's."""
        return self.guard.breaker

    def failed(self, error: EmbedderFailed) -> None:
        """What its breaker has counted already; some failures need no repetition to be believed."""
        if error.at_once:
            self.breaker.open(error.state, min(error.wait, MOST_ASKED) or None)


def guard_of(clock: Clock, name: str, tell: Callable[[Breaker], None] = lambda _: None) -> Guard:
    """The guard of an embedder: sixteen queries at once, as many as that three times waiting."""
    room = Room(calls=QUERIES, queue=3 * QUERIES, patience=LONGEST_QUERY)
    return Guard(name, OPENAI_API, (EmbedderFailed,), clock, room, tell=tell)


async def _known(endpoint: Endpoint) -> int | None:
    """The dimensions of a model, without asking for a vector."""
    if provider_of(endpoint.url) == LIBRARY:
        return await asyncio.to_thread(dimensions_of, endpoint.model)
    return KNOWN.get(endpoint.model)


def embedder_at(endpoint: Endpoint, dimensions: int | None) -> Embedder:
    """Somebody who embeds; `dimensions` None: as many as there are."""
    if provider_of(endpoint.url) == LIBRARY:
        return LibraryEmbedder(endpoint, dimensions)
    return RemoteEmbedder(endpoint, dimensions)


@dataclass(slots=True)
class Spaces:
    """The spaces of one database."""

    database: Database
    settings: EmbeddingSettings
    clock: Clock
    modes: Modes
    primary: Live | None = None
    """The space in which searches are answered; None: the local one."""
    candidate: Live | None = None
    backgrounds: dict[int, float | None] = field(default_factory=dict)
    """Mean cosine of unrelated memories, by space."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever there may be something to embed."""
    agreed: bool = True
    """Settings and database have been brought together; until then the configured embedder is done without."""
    trouble: str = ""
    """Why they have not been, as far as it is the embedder's fault, in a few words."""
    _complaint: str = ""
    _endpoint: Endpoint | None = None
    _lives: dict[int, Live] = field(default_factory=dict)

    @property
    def lives(self) -> list[Live]:
        """Those that memories are embedded for, the primary one first."""
        return [live for live in (self.primary, self.candidate) if live is not None]

    @property
    def searched(self) -> int:
        """The space in which searches are answered."""
        return self.primary.space.id if self.primary is not None else store.LOCAL

    @property
    def expected(self) -> bool:
        """Whether the local space answers for a configured embedder that has not been heard of yet."""
        return not self.agreed and self.primary is None

    @property
    def endpoint(self) -> Endpoint:
        """The configured embedder.

        Raises:
            Conflict: none is configured.
        """
        if self._endpoint is None:
            raise Conflict(
                "No remote embedder is configured; set MEMDECK_EMBEDDING_URL and start the daemon again."
            )
        return self._endpoint

    async def open(self) -> None:
        """Bring settings and database together; later, where one of them or the embedder does not tell what is needed.

        Raises:
            ConfigurationError: the settings do not go together, or the embedder answers with other dimensions.
        """
        self._endpoint = configured(self.settings)
        self.agreed = self._endpoint is None
        with contextlib.suppress(StoreUnavailable):
            await self.agree(TRIAL_BUDGET)

    async def run(self) -> None:
        """Do what `open` could not do, as soon as that can be; until cancelled."""
        rest = FIRST_REST
        while not self.agreed:
            await asyncio.sleep(rest)
            rest = min(2 * rest, LAST_REST)
            try:
                # A server may load its model only when it is asked: nobody waits for this one.
                await self.agree(self.settings.timeout)
            except StoreUnavailable:
                continue
            except MemdeckError as error:
                self._cannot(str(error), "settings")
                self.modes.embedder(slow=self.expected)
        await asyncio.Event().wait()

    async def agree(self, seconds: float) -> None:
        """Bring settings and database together; the embedder may take so long to tell its dimensions.

        While they are not known, searches use the space that there is.

        Raises:
            StoreUnavailable: the database does not answer.
            ConfigurationError: as `open`.
        """
        if self.agreed:
            return
        endpoint = self.endpoint
        dimensions = await self._tried(endpoint, seconds)
        async with self.database.transaction() as connection:
            spaces = await store.listed(connection)
            mine = [s for s in spaces if (s.provider, s.model) == (provider_of(endpoint.url), endpoint.model)]
            dimensions = dimensions or next((space.dimensions for space in mine), await _known(endpoint))
            if dimensions is not None:
                await self._settle(connection, spaces, endpoint, dimensions)
        await self.refresh()
        self.agreed = dimensions is not None
        self.modes.embedder(slow=self.expected)

    async def _settle(
        self, connection: object, spaces: Sequence[Space], endpoint: Endpoint, dimensions: int
    ) -> None:
        name = (provider_of(endpoint.url), endpoint.model, dimensions)
        known = next((s for s in spaces if (s.provider, s.model, s.dimensions) == name), None)
        primary = next((space for space in spaces if space.role == "primary"), None)
        if (
            known is not None and known.url != endpoint.url
        ):  # a database that takes no writes is asked for none
            await store.move(connection, known.id, endpoint.url)
        if primary is None:
            await self._begin(connection, endpoint, dimensions)
        elif known is None or known.role == "retired":
            log.warning(
                "the settings name the embedding model %s, the memories are searched with %s: "
                "`memdeck spaces add` brings it in",
                endpoint.model, primary.name, extra=action("embedding_space_differs"),
            )  # fmt: skip

    async def _begin(self, connection: object, endpoint: Endpoint, dimensions: int) -> None:
        try:
            space = await store.create(
                connection, provider_of(endpoint.url), endpoint.model, dimensions, endpoint.url
            )
        except BadRequest as error:
            raise ConfigurationError(str(error)) from None
        log.info("%s is the embedding space from now on", space.name, extra=action("embedding_space_added"))

    async def _tried(self, endpoint: Endpoint, seconds: float) -> int | None:
        """The dimensions that the embedder has; as they are set while it does not answer."""
        try:
            return await self.trial(endpoint, self.settings.dims, seconds)
        except WrongDimensions as error:
            raise ConfigurationError(str(error)) from None
        except EmbedderFailed as error:
            self._cannot(str(error), error.state)
        except TextRefused as error:
            self._cannot(str(error), "refuses every text")
        except TimeoutError:
            self._cannot("It does not answer in time.", EmbedderFailed.state)
        return self.settings.dims

    def _cannot(self, reason: str, words: str) -> None:
        if reason != self._complaint:
            log.warning(
                "the embedder cannot be used yet: %s The local space answers meanwhile.",
                reason, extra=action("embedder_failed"),
            )  # fmt: skip
        self._complaint, self.trouble = reason, words

    async def trial(self, endpoint: Endpoint, dimensions: int | None, seconds: float) -> int:
        """Ask for one vector; its dimensions.

        Raises:
            EmbedderFailed, TextRefused, TimeoutError: why there is none.
        """
        embedder = embedder_at(endpoint, dimensions)
        embedder.open()
        try:
            async with asyncio.timeout(seconds):
                return int((await embedder.embed([TRIAL], query=True)).shape[1])
        finally:
            await embedder.close()

    async def add(self, model: str, dimensions: int, url: str) -> Space:
        """A new space; it is filled in the background."""
        async with self.database.transaction() as connection:
            space = await store.create(connection, provider_of(url), model, dimensions, url)
        await self.refresh()
        return space

    async def switch(self, space_id: int, *, force: bool) -> Space:
        """Search with the candidate from now on."""
        async with self.database.transaction() as connection:
            space = await store.switch(connection, space_id, force=force)
        await self.refresh()
        return space

    async def drop(self, space_id: int, *, force: bool) -> Space:
        """Remove a space. Searches leave it first, so that none meets a table that is gone."""
        if self.primary is not None and self.primary.space.id == space_id and force:
            self.primary = None
        try:
            async with self.database.transaction() as connection:
                space = await store.drop(connection, space_id, force=force)
        finally:
            await self.refresh()
        async with self.database.transaction() as connection:
            await store.tidy(connection)
        return space

    async def refresh(self) -> None:
        """Read the spaces anew: this or another daemon may have changed them."""
        async with self.database.connection() as connection:
            rows = await store.listed(connection)
        self.backgrounds = {row.id: row.background for row in rows}
        kept = {row.id: self._live(row) for row in rows if row.role in {"primary", "candidate"}}
        gone = [live for space_id, live in self._lives.items() if kept.get(space_id) is not live]
        self._lives = kept
        by_role = {live.space.role: live for live in kept.values()}
        self.primary, self.candidate = by_role.get("primary"), by_role.get("candidate")
        self.changed.set()
        for live in gone:
            await live.embedder.close()

    def _live(self, row: Space) -> Live:
        known = self._lives.get(row.id)
        if known is not None and known.space.url == row.url:
            known.space = row
            return known
        embedder = embedder_at(self.endpoint_at(row.url, row.model), row.dimensions)
        embedder.open()
        name = f"openai_api:{row.id}" if row.role == "candidate" else "openai_api"
        return Live(row, embedder, guard_of(self.clock, name, self._told))

    def breakers(self) -> list[Breaker]:
        """Of all embedders in use."""
        return [live.breaker for live in self.lives]

    async def look(self) -> None:
        """See whether an embedder that is left alone, or slow, is well again: there may be no searches to find out."""
        live = self.primary
        if not self.modes.embedder_slow:
            return
        if live is None:  # it was dropped meanwhile, or is not there yet
            self.modes.embedder(slow=self.expected)
            return
        begun = self.clock.monotonic()
        try:
            async with live.guard.call():
                await live.embedder.embed([TRIAL], query=True)
        except EmbedderFailed as error:
            live.failed(error)
        except (BreakerOpen, Overloaded, TextRefused):
            return
        else:
            self.modes.embedder(slow=self.clock.monotonic() - begun > self.settings.query_budget)

    def _told(self, breaker: Breaker) -> None:
        """Searches are answered by the local space while the primary one's embedder is left alone."""
        if self.primary is not None and self.primary.breaker is breaker:
            self.modes.embedder(slow=not breaker.closed)

    def endpoint_at(self, url: str, model: str) -> Endpoint:
        """An endpoint of the same settings; the key goes along to the same origin only."""
        own = self.endpoint
        key = own.key if urlsplit(url)[:2] == urlsplit(own.url)[:2] else None
        return Endpoint(url, model, key, own.timeout, own.concurrency)

    async def close(self) -> None:
        """Close all connections to embedders."""
        for live in self._lives.values():
            await live.embedder.close()
        self._lives, self.primary, self.candidate = {}, None, None
