"""Runs the command line in this process, with streams and a daemon that tests control."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from memdeck_console.cli.program import run
from memdeck_console.cli.registry import COMMANDS
from tests.fakes.cli_daemon import ScriptedDaemon

ENVIRON = {
    "MEMDECK_URL": "http://127.0.0.1:1",
    "MEMDECK_API_KEY": "m0sk_secret",
    "MEMDECK_HOME": "/nonexistent/memdeck",
}


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a command line."""

    code: int
    out: str
    err: str


class Stream(io.TextIOWrapper):
    """A text stream in memory that may pretend to be a terminal."""

    def __init__(self, content: bytes = b"", *, tty: bool = False) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8", write_through=True)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    def text(self) -> str:
        self.seek(0)
        return self.read()


Memdeck = Callable[..., Ran]


@pytest.fixture
def script() -> ScriptedDaemon:
    return ScriptedDaemon()


@pytest.fixture
def memdeck(script: ScriptedDaemon) -> Memdeck:
    """`memdeck("list", "--user", "alice", stdin="", tty=False)`."""

    def memdeck(*argv: str, stdin: str = "", tty: bool = False, environ: Mapping[str, str] = ENVIRON) -> Ran:
        streams = (Stream(stdin.encode(), tty=tty), Stream(tty=tty), Stream(tty=tty))
        code = run(argv, COMMANDS, environ=environ, streams=streams, connect=script.connect)
        return Ran(code, streams[1].text(), streams[2].text())

    return memdeck
