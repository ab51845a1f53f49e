"""The daemon as a process of its own, as users run it.

Each one has a sandbox: its home, its log, and an environment that holds nothing but what a test gave it. Addresses are
read from `run/daemon.json`, so no port is fixed. Everything here blocks: in an `async` test use `asyncio.to_thread`.
"""

import functools
import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from memdeck_common.paths import Home
from memdeck_common.wire.health import DaemonFile
from tests.support.waiting import NeverHappenedError, eventually_sync

COMMANDS = Path(sys.executable).parent
"""Where the commands of the environment under test are."""

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0

SYSTEM_CLUSTERS = Path("/var/lib/memdeck")
"""Where a daemon that runs as root keeps its cluster; it is not below the home and has to be cleared away apart."""

# HOME is the made-up one of the test run already.
PASSED_ON = ("PATH", "HOME", "LC_ALL", "LANG", "TZ", "TERM", "TMPDIR", "PYTHONDONTWRITEBYTECODE")

DaemonFactory = Callable[..., "RunningDaemon"]
"""Makes a `RunningDaemon` of the same keyword arguments and, unless `start=False`, starts it."""


class DaemonFailedError(RuntimeError):
    """The daemon did not do what the test needs; the message ends with its log."""


class RunningDaemon:
    """A daemon process and its home.

    `environment` is added to a clean environment; `arguments` come after those that say where it lives.
    """

    def __init__(
        self, *, environment: Mapping[str, str] | None = None, arguments: tuple[str, ...] = ()
    ) -> None:
        # Short, because a socket's path has room for 103 bytes.
        self._sandbox = Path(tempfile.mkdtemp(prefix="md-"))
        self.home = self._sandbox / "home"
        self.layout = Home(self.home)
        self.environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self.environment |= {"MEMDECK_HOME": str(self.home), "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._arguments = arguments
        self._log = self._sandbox / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._published: DaemonFile | None = None

    @property
    def url(self) -> str:
        """Address of the API, as of the last start."""
        return self._facts().url

    @property
    def metrics_url(self) -> str:
        """Address of the metrics, as of the last start."""
        return self._facts().metrics_url

    @property
    def boot_id(self) -> str:
        """Another one after each start."""
        return self._facts().boot_id

    @property
    def pid(self) -> int:
        """The process, as of the last start."""
        return self._running().pid

    @property
    def key(self) -> str:
        """The admin key."""
        return self.layout.admin_key.read_text(encoding="utf-8").strip()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Everything the daemon printed, over all its starts."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def start(self, *, ready: bool = True, timeout: float = START_TIMEOUT) -> "RunningDaemon":
        """Start it and wait until it has published its addresses and, unless told otherwise, is ready.

        Raises:
            DaemonFailedError: it ended, or took too long.
        """
        command = [
            str(COMMANDS / "memdeckd"),
            "serve",
            "--home",
            str(self.home),
            "--port",
            "0",
            "--metrics-port",
            "0",
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._arguments],
                cwd=self._sandbox,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._published = None
        try:
            self._published = eventually_sync(self._publication, timeout=timeout, what="run/daemon.json")
            if ready:
                eventually_sync(self._is_ready, timeout=timeout, what="200 from /health/ready")
        except NeverHappenedError as error:
            self._end(signal.SIGKILL)
            raise self._failure(f"the daemon did not start: {error}") from None
        return self

    def stop(self, *, timeout: float = STOP_TIMEOUT) -> int:
        """Ask it to stop, as `memdeck down` does, and return its exit code.

        Raises:
            DaemonFailedError: it did not stop in time; it is killed then.
        """
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGKILL)
            raise self._failure(f"the daemon did not stop within {timeout:g} s") from None

    def kill(self) -> None:
        """End it as a crash does; its database may live on for a moment."""
        self._end(signal.SIGKILL)

    def restart(self, *, ready: bool = True) -> "RunningDaemon":
        """Stop it if it runs, and start it on the same home."""
        if self.alive:
            self.stop()
        return self.start(ready=ready)

    def get(self, path: str, *, url: str | None = None, timeout: float = 5.0) -> tuple[int, bytes]:
        """Status and body of a GET without a key, for health and metrics."""
        address = urlsplit(url or self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def dispose(self) -> None:
        """Stop it if it runs, wait until its database has gone, and remove all that it wrote."""
        try:
            if self.alive:
                self.stop()
        finally:
            for cluster in self._clusters():
                end_postmaster(cluster)
            shutil.rmtree(self._sandbox, ignore_errors=True)

    def _publication(self) -> DaemonFile | None:
        process = self._running()
        if process.poll() is not None:
            raise self._failure(f"the daemon ended with exit code {process.returncode}")
        try:
            published = msgspec.json.decode(self.layout.daemon_file.read_bytes(), type=DaemonFile)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        # The file of a daemon that was killed stays behind.
        return published if published.pid == process.pid else None

    def _is_ready(self) -> bool:
        if not self.alive:
            raise self._failure("the daemon ended before it was ready")
        try:
            return self.get("/health/ready")[0] == http.client.OK
        except OSError:
            return False

    def _end(self, number: signal.Signals) -> None:
        process = self._running()
        if process.poll() is None:
            process.send_signal(number)
        process.wait(STOP_TIMEOUT)

    def _clusters(self) -> list[Path]:
        below = [self.layout.postgres]
        mark = self.layout.postgres / "ID"
        if mark.exists():
            below.append(SYSTEM_CLUSTERS / mark.read_text(encoding="utf-8").strip())
        return [folder for folder in below if folder.is_dir()]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise DaemonFailedError("the daemon was never started")
        return self._process

    def _facts(self) -> DaemonFile:
        if self._published is None:
            raise self._failure("the daemon has published no address")
        return self._published

    def _failure(self, sentence: str) -> DaemonFailedError:
        tail = "\n".join(self.log().splitlines()[-60:])
        return DaemonFailedError(f"{sentence}\n--- {self._log.name}\n{tail}")


def end_postmaster(clusters: Path) -> None:
    """Wait until no server runs on the clusters below a folder, ending one that stays, and remove the folder."""
    for pid_file in clusters.glob("*/data/postmaster.pid"):
        pid = _postmaster_pid(pid_file)
        if pid is None or _is_gone(pid):
            continue
        gone = functools.partial(_is_gone, pid)
        try:
            eventually_sync(gone, timeout=5)
        except NeverHappenedError:
            os.kill(pid, signal.SIGQUIT)
            eventually_sync(gone, what="the end of a postmaster")
    shutil.rmtree(clusters, ignore_errors=True)


def _postmaster_pid(pid_file: Path) -> int | None:
    try:
        return abs(int(pid_file.read_text(encoding="utf-8").splitlines()[0]))
    except (OSError, ValueError, IndexError):
        return None


def _is_gone(pid: int) -> bool:
    """Whether no PostgreSQL has this pid; pids are used again soon after their process has gone."""
    if Path("/proc/self/stat").exists():
        try:
            shown = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return True
        return "(postgres)" not in shown or ") Z " in shown
    command = ("ps", "-o", "stat=,command=", "-p", str(pid))
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout
    return "postgres" not in shown or shown.startswith("Z")
