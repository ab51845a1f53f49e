"""The daemon as a process of this machine: whether one runs for a home, how it is started, when it is ready.

Owns the reading of `DIR/run` and the start in the background. Refuses to trust a pid: a process is this home's daemon
only when it holds `DIR/run/daemon.lock`, or answers with the `boot_id` that stands in `DIR/run/daemon.json`.
"""

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from memdeck_common.client import Address
from memdeck_common.errors import ConfigurationError, Conflict, DaemonUnreachable, MemdeckError
from memdeck_common.paths import Home
from memdeck_common.wire.health import DaemonFile, Ready
from memdeck_console.cli.command import Connect

PATIENCE = 1.0
"""Seconds after which a wait is explained."""
ANSWER = 3.0
"""Seconds within which a daemon that is alive answers /health/live."""
LAST_LINES = 8
POLL = 0.05
SERVING = 10.0
"""Seconds that a daemon which serves gets to be ready, too."""
KINDS = {78: ConfigurationError, 4: Conflict}
"""Exit code of a daemon that did not come up to the exception that says so."""


def daemon_file(home: Home) -> DaemonFile | None:
    """What the home's daemon wrote about itself; it stays behind after a crash."""
    try:
        return msgspec.json.decode(home.daemon_file.read_bytes(), type=DaemonFile)
    except (OSError, msgspec.DecodeError):
        return None


def lock_held(home: Home) -> bool:
    """Whether a daemon of this home lives, answering or not."""
    try:
        descriptor = os.open(home.daemon_lock, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        # Shared, so that two who look at the same time do not take each other for a daemon.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def opened_by(pid: int, path: Path) -> bool:
    """Whether the process has the file open."""
    descriptors = Path(f"/proc/{pid}/fd")
    if descriptors.is_dir():
        try:
            return any(entry.resolve() == path.resolve() for entry in descriptors.iterdir())
        except OSError:
            return False
    lsof = shutil.which("lsof")
    if not lsof:
        return False
    found = subprocess.run(  # its own short list of pids
        [lsof, "-t", "--", str(path)], capture_output=True, text=True, timeout=10, check=False
    )
    return str(pid) in found.stdout.split()


async def answering(home: Home, connect: Connect) -> DaemonFile | None:
    """What the home's daemon says of itself, if it answers."""
    file = daemon_file(home)
    if file is None:
        return None
    try:
        async with asyncio.timeout(ANSWER), connect(Address(file.url, "")) as client:
            live = await client.live()
    except (MemdeckError, TimeoutError):
        return None
    return file if live.boot_id == file.boot_id else None


# --- starting -------------------------------------------------------------------------------------------------------


def command_line(home: Home, flags: Mapping[str, str]) -> list[str]:
    """How the daemon of this installation is started; it lies beside this interpreter.

    Raises:
        ConfigurationError: it is not there.
    """
    beside = Path(sys.executable).parent / "memdeckd"
    program = str(beside) if beside.exists() else shutil.which("memdeckd")
    if not program:
        raise ConfigurationError(
            "`memdeckd` is not installed beside `memdeck`; install the package memdeck again."
        )
    given = [part for pair in flags.items() for part in pair]
    return [program, "serve", "--home", str(home.root), *given]


def start(home: Home, flags: Mapping[str, str], environ: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start the daemon in a session of its own, with its output in the home's log.

    Raises:
        ConfigurationError: the home cannot be written.
    """
    command = command_line(home, flags)
    try:
        home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.log_file.parent.mkdir(mode=0o700, exist_ok=True)
        log = os.open(home.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename} cannot be written ({error.strerror}); give this user the right to, "
            "or choose another home with --home or MEMDECK_HOME."
        ) from None
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(environ),
            start_new_session=True,
        )
    finally:
        os.close(log)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the daemon's log."""

    sentence: str
    plain: bool
    """Not a record: what the interpreter or a library wrote."""


class LogTail:
    """What is written to a log from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def read(self) -> list[LogLine]:
        """The lines that came since the last call."""
        try:
            with self._path.open("rb") as log:
                log.seek(self._offset)
                content = log.read()
        except OSError:
            return []
        self._offset += len(content)
        *whole, self._rest = (self._rest + content).split(b"\n")
        return [line_of(line.decode(errors="replace")) for line in whole if line.strip()]


def line_of(line: str) -> LogLine:
    """A log line: JSON as the daemon writes it to files, or plain text."""
    try:
        record = msgspec.json.decode(line)
    except msgspec.DecodeError:
        record = None
    if not isinstance(record, dict):
        return LogLine(line.strip(), plain=True)
    level = record.get("level", "")
    prefix = f"{level}: " if level in {"WARNING", "ERROR", "CRITICAL"} else ""
    return LogLine(f"{prefix}{record.get('message', '')}", plain=False)


class Waiting:
    """A wait for the home's daemon; `say` hears what goes on once it lasts longer than a second."""

    def __init__(self, home: Home, tail: LogTail, connect: Connect, say: Callable[[str], None]) -> None:
        self._home, self._tail, self._connect, self._say = home, tail, connect, say
        self.missing: list[str] = []
        """What the daemon that was waited for still lacks."""
        self._unsaid: list[LogLine] = []
        self._last: deque[LogLine] = deque(maxlen=LAST_LINES)

    async def until_ready(self, child: "subprocess.Popen[bytes] | None") -> DaemonFile:
        """The daemon's addresses once it is ready; it is given all the time it needs while it lives.

        One that serves without its database is not waited for longer than `SERVING`; `missing` tells what it lacks.

        Raises:
            MemdeckError: it ended instead; the message is the last that it said.
        """
        begin = asyncio.get_running_loop().time()
        while True:
            file, ready = await self._looked(child)
            if file and ready and self._will_do(ready, asyncio.get_running_loop().time() - begin):
                return file
            if child is not None and (code := child.poll()) is not None:
                if not lock_held(self._home):
                    raise self._failure(code)
                child = None  # another start was faster: its daemon is the one to wait for
            elif child is None and not lock_held(self._home):
                raise DaemonUnreachable(
                    "The daemon that was starting has ended; `memdeck doctor` says what is wrong."
                )
            self._explain(asyncio.get_running_loop().time() - begin)
            await asyncio.sleep(POLL)

    def _will_do(self, ready: Ready, elapsed: float) -> bool:
        if ready.status != "ready" and elapsed < SERVING:
            return False
        self.missing = ready.missing
        return True

    async def _looked(
        self, child: "subprocess.Popen[bytes] | None"
    ) -> tuple[DaemonFile | None, Ready | None]:
        file = daemon_file(self._home)
        if file is None or (child is not None and file.pid != child.pid):
            return None, None
        try:
            async with self._connect(Address(file.url, "")) as client:
                if child is None and (await client.live()).boot_id != file.boot_id:
                    return None, None
                return file, await client.ready()
        except MemdeckError:
            return None, None

    def _explain(self, elapsed: float) -> None:
        new = self._tail.read()
        self._last += new
        self._unsaid += [line for line in new if not line.plain]
        if elapsed >= PATIENCE:
            for line in self._unsaid:
                self._say(f"  {duration_words(elapsed)}  {line.sentence}")
            self._unsaid.clear()

    def _failure(self, code: int) -> MemdeckError:
        self._explain(0.0)
        lines = [line.sentence for line in self._last] or ["it said nothing"]
        if len(lines) > 1:
            self._say("The last lines of its log:")
            for line in lines:
                self._say(f"  {line}")
        kind = KINDS.get(code, MemdeckError)
        last = lines[-1].removeprefix("memdeckd: ").removeprefix("ERROR: ").removeprefix("CRITICAL: ")
        ending = f"signal {-code}" if code < 0 else f"exit code {code}"
        stop = "" if last.endswith(".") else "."
        return kind(f"The daemon did not start ({ending}): {last}{stop} Its log: {self._home.log_file}")


def duration_words(seconds: float) -> str:
    """`3s`, right-aligned for a list."""
    return f"{seconds:>3.0f}s"
