"""A daemon that is killed at any moment: its server stops or is taken over, one at most runs, and no row is lost."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from memdeck_common.paths import Home
from memdeck_daemon.infra.postgres import account
from tests.integration.postgres.conftest import postgres_under
from tests.support.waiting import eventually_sync

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [ROOT / "common", ROOT / "daemon", Path(sysconfig.get_path("purelib"))]


class Parent:
    """The small daemon as a process."""

    def __init__(self, interpreter: str, home: Home, system_root: Path, user: account.Account) -> None:
        self.home = home
        self.clusters = system_root if user.uid == 0 else home.postgres
        self.output = home.root / "parent.log"
        script = str(Path(__file__).with_name("parent.py"))
        become = [] if user.uid == os.geteuid() else _become(user)
        self._command = [*become, interpreter, script, str(home.root), str(system_root)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        path = os.pathsep.join(map(str, SOURCES))
        with self.output.open("wb") as output:
            environment = {"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd="/"
            )

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wait(self) -> int | None:
        return self._process.wait(20) if self._process is not None else None

    def said(self) -> str:
        return self.output.read_text()

    def until(self, probe: Callable[[], object]) -> None:
        def reached_or_over() -> object:
            return probe() or (self._process is not None and self._process.poll() is not None)

        eventually_sync(reached_or_over, timeout=20)
        assert probe(), self.said()

    def postmasters(self) -> list[int]:
        """The servers proper; initdb's helpers have other arguments."""
        return [
            pid
            for pid, arguments in postgres_under(self.clusters)
            if arguments[1:2] == ["-D"] and len(arguments) <= 4
        ]

    def exists(self, pattern: str) -> bool:
        with suppress(FileNotFoundError):  # a folder went while it was looked through
            return any(True for _ in self.clusters.rglob(pattern))
        return False


@pytest.fixture(params=["root", "user"])
def parent(request: pytest.FixtureRequest, base: Path, home: Home) -> Iterator[Parent]:
    """The daemon of root, where this is root, and that of an ordinary user."""
    if request.param == "root":
        if os.geteuid() != 0:
            pytest.skip("needs root")
        user = account.Account("root", 0, 0)
        interpreter = sys.executable
    elif os.geteuid() == 0:
        user = account.service_account()
        interpreter = _interpreter_for(user)
        os.chown(home.root, user.uid, user.gid)
    else:
        user, interpreter = account.daemon_account(), sys.executable
    made = Parent(interpreter, home, base / "system" / request.param, user)
    made.home.root.chmod(0o755)
    (base / "system").mkdir(exist_ok=True)
    made.output.touch()
    yield made
    made.kill()
    eventually_sync(lambda: not made.postmasters(), what="its server stops with it", timeout=20)
    shutil.rmtree(made.home.postgres, ignore_errors=True)


def _become(user: account.Account) -> list[str]:
    return ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", "--"]


def _interpreter_for(user: account.Account) -> str:
    """One that the user can run; root's own often lies in a private folder."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    again = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        command = [*_become(user), candidate, "-c", again]
        if (
            Path(candidate).exists()
            and subprocess.run(command, check=False, capture_output=True).returncode == 0
        ):
            return candidate
    pytest.skip(f"no {version} that an unprivileged user can run")


def test_a_kill_at_any_moment_leaves_one_server_at_most_and_every_row(parent: Parent) -> None:
    """Killed while the cluster is made, configured, started, in use and being stopped, then started again at once."""
    moments: list[Callable[[], object]] = [
        lambda: parent.exists(".new-*"),
        lambda: parent.exists(".new-*/data/global/pg_control"),
        (parent.home.postgres / "CURRENT").exists,
        lambda: parent.exists("postmaster.pid"),
        lambda: "rows" in parent.said(),
        lambda: "rows" in parent.said(),
    ]
    acknowledged = 0
    for moment in moments:
        parent.start()
        parent.until(moment)
        assert len(parent.postmasters()) <= 1
        parent.kill()
        acknowledged += "rows" in parent.said()
    parent.start()
    parent.until(lambda: "rows" in parent.said())
    assert len(parent.postmasters()) == 1
    # A kill after the insert and before the line that says so leaves a row more.
    assert int(parent.said().rpartition("rows ")[2]) >= acknowledged + 1
    assert not parent.exists(".new-*")
    parent.signal(signal.SIGTERM)
    parent.until(lambda: "stopping" in parent.said())
    parent.kill()
    parent.start()
    parent.until(lambda: "rows" in parent.said())
    parent.signal(signal.SIGTERM)
    assert parent.wait() == 0
    assert parent.postmasters() == []


def test_the_server_stops_by_itself_when_the_daemon_is_killed(parent: Parent) -> None:
    """Without another start; the shutdown is a clean one."""
    parent.start()
    parent.until(lambda: "rows" in parent.said())
    parent.kill()
    eventually_sync(lambda: not parent.postmasters(), what="the server stops")
    log = (parent.home.root / "logs" / "postgres.log").read_text()
    assert "database system is shut down" in log.splitlines()[-1]


def test_the_server_is_started_again_when_it_is_killed(parent: Parent) -> None:
    """A kill -9 of the postmaster costs a crash recovery and nothing else."""
    parent.start()
    parent.until(lambda: "rows" in parent.said())
    (killed,) = parent.postmasters()
    os.kill(killed, signal.SIGKILL)
    parent.until(lambda: [pid for pid in parent.postmasters() if pid != killed])
    parent.until(lambda: "runs again" in parent.said() or parent.exists("socket/.s.PGSQL.5432"))
    parent.signal(signal.SIGTERM)
    assert parent.wait() == 0
