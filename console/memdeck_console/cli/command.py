"""What a command is, and what it is handed when it runs.

Owns the shape only. A command returns its exit code and raises `MemdeckError` for everything that went wrong; it never
prints an error or exits by itself.
"""

import argparse
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memdeck_common.paths import Home

if TYPE_CHECKING:
    from memdeck_common.client import Address, Client
    from memdeck_console.cli.terminal import Terminal

Connect = Callable[["Address"], "Client"]


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of a command: its options and everything that it may touch."""

    options: argparse.Namespace
    terminal: "Terminal"
    environ: Mapping[str, str]
    connect: Connect

    @property
    def home(self) -> Home:
        """The home directory: `--home`, `MEMDECK_HOME`, or `~/.memdeck`."""
        root = self.options.home or self.environ.get("MEMDECK_HOME") or "~/.memdeck"
        return Home(Path(root).expanduser().absolute())

    def address(self) -> "Address":
        """The daemon that is meant: `--url`, `MEMDECK_URL`, or what the home's daemon wrote about itself.

        Raises:
            DaemonUnreachable: no address is known.
        """
        from memdeck_common.client import find_daemon  # late: aiohttp

        environ = dict(self.environ)
        if self.options.url:
            environ["MEMDECK_URL"] = self.options.url
        return find_daemon(self.home, environ)

    def client(self) -> "Client":
        """A client of that daemon, to be used as an async context manager."""
        return self.connect(self.address())


def no_options(_parser: argparse.ArgumentParser) -> None:
    """For commands without options of their own."""


@dataclass(frozen=True, slots=True)
class Command:
    """One word of the command line; with `parts`, a group of them."""

    name: str
    summary: str
    """A few words, lower case, no full stop: the line in the list of commands."""
    run: Callable[[Invocation], int | Coroutine[Any, Any, int]] | None = None
    options: Callable[[argparse.ArgumentParser], None] = no_options
    details: str = ""
    """Sentences for its own help."""
    examples: tuple[str, ...] = ()
    parts: tuple["Command", ...] = ()
