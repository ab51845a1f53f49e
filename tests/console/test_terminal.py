"""The real program in a pseudo-terminal: however it ends, the terminal is as it was before."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
"""The alternate screen: taken when the console begins, given back when it ends."""
CALM = """
import sys
from pathlib import Path
from memdeck_common.paths import Home
from memdeck_console.app import Console, run_console
{prepare}
sys.exit(run_console(None, Home(Path(sys.argv[1]))))
"""
BOMB = """
def draw(self, *, at_once=False):
    raise RuntimeError("a mistake of ours")
Console.draw = draw
"""
LIMIT = 30.0


class Program:
    """The console as a process, and all that it has drawn."""

    def __init__(self, home: Path, prepare: str = "") -> None:
        self._screen, theirs = pty.openpty()
        command = [sys.executable, "-c", CALM.format(prepare=prepare), str(home)]
        environment = {**os.environ, "MEMDECK_HOME": str(home)}
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self.drawn = b""

    def until(self, mark: bytes) -> None:
        """Read until the mark was drawn."""
        end = time.monotonic() + LIMIT
        while mark not in self.drawn:
            assert time.monotonic() < end, self.drawn[-2000:]
            if select.select([self._screen], [], [], 0.2)[0]:
                try:
                    self.drawn += os.read(self._screen, 65536)
                except OSError:
                    break
        assert mark in self.drawn

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._screen, keys)

    def close(self) -> int:
        """The exit code, once it has ended."""
        code = self.process.wait(LIMIT)
        os.close(self._screen)
        return code


def test_q_gives_the_terminal_back(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.until(b"NO LINK")
    program.type(b"q")
    program.until(LEAVE)
    assert 0 == program.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(tmp_path: Path, number: signal.Signals) -> None:
    program = Program(tmp_path)
    program.until(b"Services")
    program.process.send_signal(number)
    program.until(LEAVE)
    assert 0 == program.close()


def test_a_mistake_of_ours_gives_the_terminal_back_and_is_told(tmp_path: Path) -> None:
    program = Program(tmp_path, BOMB)
    program.until(LEAVE)
    program.until(b"a mistake of ours")
    assert 0 != program.close()
    assert ENTER in program.drawn


def test_it_starts_without_http_being_imported() -> None:
    """The HTTP library costs a tenth of a second; it comes after the first screen."""
    code = "import sys, memdeck_console.app; sys.exit('aiohttp' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False, timeout=LIMIT).returncode
