"""First paint and idle CPU of the console, measured from outside.

    .venv/bin/python scripts/console_measure.py [--seconds 20] [--runs 5] [--home DIR]

Starts `memdeck console` in a pseudo-terminal of 120×36, as a person would. First paint: from the start of the process to
the first byte of the first screen's section title. Idle: CPU time of the process over the seconds that follow, with a
feed that ticks once a second; a scripted daemon with 300 calls a second unless `--home` names a real one. One start more
than asked comes first and is not counted: it writes the bytecode that an installation has. Linux only, because CPU time is
read from /proc.
"""

import argparse
import asyncio
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from msgspec import structs

from tests.fakes import scenes
from tests.fakes.daemon import running

MARK = b"Services"
LONGEST = 30.0


class Feed(threading.Thread):
    """A scripted daemon with a tick a second, in a thread of its own."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self.home = home
        self.ready = threading.Event()

    def run(self) -> None:
        """Serve until the process ends."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        begin = time.time()
        slots = scenes.slots("troubled", at=begin)
        snapshot = scenes.snapshot(begin, slots=slots)
        async with running(self.home, snapshot=snapshot) as daemon:
            self.ready.set()
            for second in range(10**6):
                await asyncio.sleep(1)
                now = begin + second + 1
                slot = structs.replace(slots[second % len(slots)], at=int(now))
                daemon.say(scenes.tick(now, snapshot.seq + second + 1, slot=slot))


class Terminal:
    """The console in a pseudo-terminal."""

    def __init__(self, home: Path) -> None:
        command = [str(Path(sys.executable).parent / "memdeck"), "console", "--home", str(home)]
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.begin = time.perf_counter()
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, environment)  # noqa: S606 - our own command, in the child of the fork
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))

    def read_until(self, mark: bytes) -> float:
        """Seconds from the start until the mark was drawn."""
        drawn = b""
        while time.perf_counter() - self.begin < LONGEST:
            drawn += self._read(0.5)
            if mark in drawn:
                return time.perf_counter() - self.begin
        raise SystemExit(f"the console drew no {mark!r} in {LONGEST} s; the last it drew: {drawn[-500:]!r}")

    def idle(self, seconds: float) -> tuple[float, int]:
        """Share of a core and bytes drawn over the seconds."""
        drawn, before, end = 0, self._cpu(), time.perf_counter() + seconds
        while time.perf_counter() < end:
            drawn += len(self._read(0.2))
        return (self._cpu() - before) / seconds, drawn

    def close(self) -> None:
        """Ask it to leave, and wait."""
        os.kill(self.pid, signal.SIGTERM)
        while self._read(0.2):
            pass
        os.waitpid(self.pid, 0)
        os.close(self._screen)

    def _read(self, patience: float) -> bytes:
        if not select.select([self._screen], [], [], patience)[0]:
            return b""
        try:
            return os.read(self._screen, 65536)
        except OSError:
            return b""

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        home = options.home or Path(made)
        if options.home is None:
            feed = Feed(home)
            feed.start()
            feed.ready.wait(10)
        paints: list[float] = []
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(made) / "bytecode"))
        warm = Terminal(home)
        warm.read_until(MARK)
        warm.close()
        for run in range(options.runs):
            terminal = Terminal(home)
            paints.append(terminal.read_until(MARK))
            if run == options.runs - 1:
                terminal.idle(5)
                share, drawn = terminal.idle(options.seconds)
                print(f"idle         {share:.1%} of a core, {drawn / options.seconds:,.0f} bytes/s drawn")
            terminal.close()
        paints.sort()
        print(f"first paint  {paints[len(paints) // 2]:.3f} s median, {paints[0]:.3f} to {paints[-1]:.3f}")


if __name__ == "__main__":
    main()
