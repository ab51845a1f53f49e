"""The API on a port that the system chose, over memory without a database."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from memdeck_common.clock import SystemClock, SystemIdentity
from memdeck_common.paths import Home
from memdeck_common.settings import Server as ServerSettings
from memdeck_common.settings import Settings
from memdeck_common.wire.keys import NewKey
from memdeck_daemon.api.access.access import Access
from memdeck_daemon.api.answers import Answers
from memdeck_daemon.api.application import build_application
from memdeck_daemon.api.http.server import serve
from memdeck_daemon.api.memories import Memories
from tests.fakes.key_store import FakeKeyStore
from tests.fakes.memory_service import FakeMemoryService
from tests.fakes.projections import FakeProjections
from tests.fakes.session_service import FakeSessionService
from tests.fakes.spaces import FakeSpaces
from tests.fakes.spool import FakeSpool
from tests.fakes.telemetry import FakeTelemetry


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    """Decoded JSON, or text."""
    headers: Any

    @property
    def detail(self) -> Any:
        """The `detail` of a refusal."""
        return self.body["detail"]

    @property
    def code(self) -> Any:
        """The `code` of a refusal."""
        return self.body["code"]


@dataclass(slots=True)
class Api:
    """A served API and a client session of its own."""

    url: str
    admin: str = field(repr=False)
    session: aiohttp.ClientSession
    metrics_url: str = ""
    telemetry: FakeTelemetry = field(default_factory=FakeTelemetry)
    home: Home | None = None
    spool: FakeSpool = field(default_factory=FakeSpool)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request, by the administrator unless `key` is given; an empty key sends none."""
        sent = dict(headers or {})
        key = self.admin if key is None else key
        if key:
            sent["X-API-Key"] = key
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method, self.url + path, data=data, headers=sent, allow_redirects=False
        ) as answer:
            text = await answer.text()
            try:
                decoded = msgspec.json.decode(text) if text else None
            except msgspec.DecodeError:
                decoded = text
            return Answer(answer.status, decoded, answer.headers)

    async def key(self, **fields: Any) -> str:
        """A new key; the fields are those of `NewKey`."""
        new = msgspec.to_builtins(NewKey(**fields))
        made = await self.call("POST", "/ops/keys", new)
        assert made.status == 201, made.body
        return str(made.body["key"])

    async def add(self, text: str, *, key: str | None = None, **fields: Any) -> str:
        """The id of a new memory."""
        body = {"messages": [{"role": "user", "content": text}], "infer": False, **fields}
        answer = await self.call("POST", "/v3/memories/add/", body, key=key)
        assert answer.status == 200, answer.body
        return str(answer.body["results"][0]["id"])


def settings_of(home: Path, **server: Any) -> Settings:
    """Settings of a daemon on ports that the system chooses."""
    return Settings(
        home=Home(home), instance="test", server=ServerSettings(**{"port": 0, "metrics_port": 0, **server})
    )


@asynccontextmanager
async def served(
    home: Path, memory: Memories | None = None, store: FakeKeyStore | None = None, **server: Any
) -> AsyncIterator[Api]:
    """The API of this home while the block runs; `server` are settings."""
    async with served_with(settings_of(home, **server), memory, store) as api:
        yield api


@asynccontextmanager
async def served_with(
    settings: Settings,
    memory: Memories | None = None,
    store: FakeKeyStore | None = None,
    answers: Answers | None = None,
) -> AsyncIterator[Api]:
    """The API with these parts while the block runs."""
    telemetry, spool = FakeTelemetry(), FakeSpool()
    app = await _application(settings, memory, store, answers, telemetry, spool)
    admin = settings.home.admin_key.read_text().strip()
    async with serve(app, settings.server, telemetry) as addresses, aiohttp.ClientSession() as session:
        yield Api(addresses.url, admin, session, addresses.metrics_url, telemetry, settings.home, spool)


async def application_of(home: Path) -> web.Application:
    """The API over fakes, for who looks at its routes."""
    return await _application(settings_of(home), None, None, None, FakeTelemetry(), FakeSpool())


async def _application(
    settings: Settings,
    memory: Memories | None,
    store: FakeKeyStore | None,
    answers: Answers | None,
    telemetry: FakeTelemetry,
    spool: FakeSpool,
) -> web.Application:
    clock = SystemClock()
    identity = SystemIdentity(clock)
    access = Access(settings.server, settings.home, store or FakeKeyStore(), clock, identity)
    await access.load()
    memory = memory or FakeMemoryService(clock, identity)
    return build_application(
        settings,
        memory,
        access,
        telemetry,
        clock,
        answers,
        session_memory=FakeSessionService(memory, clock, identity),
        projections=FakeProjections(),
        spaces=FakeSpaces(),
        spool=spool,
    )
