"""Runs `memdeck` as a process, as people do, against daemons of its own or the shared one."""

import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import PASSED_ON, RunningDaemon
from tests.support.waiting import eventually_sync

MEMDECK = Path(sys.executable).parent / "memdeck"
TIMEOUT = 120.0
"""Seconds for one command; the machine may be busy."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer of a command with --json."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Commands:
    """`memdeck` with one home."""

    home: Path
    environment: Mapping[str, str]

    def __call__(self, *argv: str, stdin: str = "", code: int | None = 0) -> Ran:
        """Run a command; its exit code is checked unless it is None."""
        done = subprocess.run(
            [str(MEMDECK), *argv],
            input=stdin,
            capture_output=True,
            text=True,
            env=dict(self.environment),
            cwd=self.home.parent,
            timeout=TIMEOUT,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        if code is not None:
            assert code == ran.code, ran
        return ran

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        """Start a command without a terminal, and do not wait."""
        return subprocess.Popen(
            [str(MEMDECK), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(self.environment),
            cwd=self.home.parent,
        )


def commands(home: Path, **environment: str) -> Commands:
    """`memdeck` in a clean environment with this home."""
    clean = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # Ports of the machine may be taken by somebody else's daemon.
    ports = {"MEMDECK_PORT": "0", "MEMDECK_METRICS_PORT": "0"}
    return Commands(home, clean | ports | {"MEMDECK_HOME": str(home), "COLUMNS": "120"} | environment)


@pytest.fixture
def memdeck(daemon: RunningDaemon) -> Commands:
    """`memdeck` with the home of the shared daemon."""
    return commands(daemon.home)


@pytest.fixture
def own(make_daemon: Callable[..., RunningDaemon]) -> Iterator[Commands]:
    """`memdeck` with a home of its own in which nothing runs yet; what was started is stopped."""
    sandbox = make_daemon(start=False)
    mine = commands(sandbox.home)
    yield mine
    mine("down", code=None)


class Screen:
    """A command on a terminal of 120×36."""

    def __init__(self, command: Commands, *argv: str) -> None:
        self._leader, follower = pty.openpty()
        ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        self._process = subprocess.Popen(
            [str(MEMDECK), *argv],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=dict(command.environment),
            cwd=command.home.parent,
            start_new_session=True,
        )
        os.close(follower)
        self.seen = ""

    def read(self) -> str:
        """Everything that was drawn so far."""
        with suppress(OSError):
            while select.select([self._leader], [], [], 0)[0]:
                content = os.read(self._leader, 65536)
                if not content:
                    break
                self.seen += content.decode(errors="replace")
        return self.seen

    def until(self, words: str, timeout: float = 60.0) -> None:
        """Wait until the words were drawn."""
        eventually_sync(lambda: self._shows(words), timeout=timeout, what=f"{words!r} on the screen")

    def _shows(self, words: str) -> bool:
        code = self._process.poll()
        if words not in self.read() and code is not None:
            pytest.fail(f"the command ended with {code}:\n{self.seen[-2000:]}")
        return words in self.seen

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._leader, keys.encode())

    def ended(self, timeout: float = 30.0) -> int:
        """The exit code, once it has ended."""
        eventually_sync(self._over, timeout=timeout, what="the end of the command")
        self.read()
        return self._process.wait()

    def _over(self) -> bool:
        self.read()  # a full terminal would hold it up
        return self._process.poll() is not None

    def close(self) -> None:
        """End it if it runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._leader)


@pytest.fixture
def on_screen() -> Iterator[Callable[..., Screen]]:
    """`on_screen(own, "up")` runs a command on a terminal."""
    made: list[Screen] = []

    def open_screen(command: Commands, *argv: str) -> Screen:
        made.append(Screen(command, *argv))
        return made[-1]

    yield open_screen
    for screen in made:
        screen.close()
