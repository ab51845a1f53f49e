"""What the checks look at, gathered once, and what they find."""

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from memdeck_common.client import Address
from memdeck_common.errors import ConfigurationError, DaemonUnreachable, MemdeckError
from memdeck_common.paths import Home
from memdeck_common.settings import Settings, load
from memdeck_common.wire.health import DaemonFile, Health
from memdeck_console.cli import process
from memdeck_console.cli.command import Invocation
from memdeck_console.cli.terminal import Terminal

State = Literal["pass", "warn", "fail", "na"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    state: State
    summary: str
    """What is so."""
    advice: str = ""
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Site:
    """This machine, this home and its daemon."""

    home: Home
    environ: Mapping[str, str]
    terminal: Terminal
    settings: Settings | None
    settings_error: str
    """Why there are none."""
    file: DaemonFile | None
    """What the last daemon of the home wrote about itself."""
    locked: bool
    """A daemon of this home lives."""
    address: Address | None
    health: Health | None
    """What the daemon says, when it answers."""
    refusal: MemdeckError | None
    """Why health or keys could not be had."""

    @property
    def local_url(self) -> str | None:
        """Where this home's own daemon listens, when it is the one that answers."""
        own = self.file and self.health and self.file.boot_id == self.health.boot_id
        return self.file.url if self.file and own else None


Check = Callable[[Site], Iterator[Finding]]


async def survey(invocation: Invocation) -> Site:
    """Look at everything once."""
    home = invocation.home
    settings, settings_error = _settings(invocation)
    try:
        address: Address | None = invocation.address()
    except DaemonUnreachable:
        address = None
    health, refusal = None, None
    if address:
        health, refusal = await _asked(invocation, address)
    return Site(
        home=home,
        environ=invocation.environ,
        terminal=invocation.terminal,
        settings=settings,
        settings_error=settings_error,
        file=process.daemon_file(home),
        locked=_locked(home),
        address=address,
        health=health,
        refusal=refusal,
    )


def _settings(invocation: Invocation) -> tuple[Settings | None, str]:
    try:
        return load({"MEMDECK_HOME": str(invocation.home.root)}, invocation.environ), ""
    except ConfigurationError as error:
        return None, str(error)


def _locked(home: Home) -> bool:
    try:
        return process.lock_held(home)
    except OSError:
        return False  # the check of permissions tells it


async def _asked(invocation: Invocation, address: Address) -> tuple[Health | None, MemdeckError | None]:
    """The daemon's health, and why it could not be had or why the key is not accepted."""
    health = None
    try:
        async with invocation.connect(address) as client:
            health = await client.health()
            await client.page({"user_id": "memdeck-doctor"}, page_size=1)
    except MemdeckError as error:
        return health, error
    return health, None


def unreachable(host: str, port: int, seconds: float) -> str:
    """Why nothing answers there; empty when something does."""
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""
