"""The README, read as a newcomer reads it: every command in it is run, from top to bottom, as it stands there."""

import http.client
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from memdeck_common.paths import Home
from memdeck_common.wire.health import DaemonFile
from memdeck_daemon.infra.postgres.cluster import dsn
from tests.e2e.readme.document import ROOT, Block, Document
from tests.support.daemon import PASSED_ON, SYSTEM_CLUSTERS, RunningDaemon, end_postmaster
from tests.support.servers import requires
from tests.support.waiting import eventually_sync

README = Document(ROOT / "README.md")
ADDRESS = "http://127.0.0.1:8888"
DATABASE = "postgresql://memdeck:secret@db.example.org:5432/memdeck"

NOT_RUN = {"make test": "it is what runs this test"}
"""Lines that are left out, and why."""

JUDGES = {".venv/bin/memdeck status", ".venv/bin/memdeck doctor"}
"""Commands whose exit code is a judgement of the machine, which may be slow or short of space: 0 or 1."""

STARTS = "make run"
"""The one command that does not end by itself where there is no terminal."""

ANSWERS = {
    "client.search(": "allergic to nuts",
    "curl -fsS http://127.0.0.1:8888/search": "Prefers window seats",
    "memdeck search": "Deploys on Fridays",
    "memdeck status": "NORMAL",
    "memdeck down": "memdeck is down",
}
"""What a block that holds this must print."""

PATIENCE = 120.0


class Reader:
    """Somebody at a shell in the checkout, with a home of their own. What is exported stays exported."""

    def __init__(self, sandbox: Path, environment: dict[str, str], database: str) -> None:
        self.home = Home(sandbox / ".memdeck")
        self._environment, self._database = environment, database
        self._exports = sandbox / "exports"
        self._exports.touch()
        self._log = sandbox / "make-run.log"
        self._daemon: subprocess.Popen[bytes] | None = None
        self.left_out: list[str] = []

    def does(self, block: Block) -> str:
        """Run a block; what it printed.

        Raises:
            AssertionError: a command failed.
        """
        if block.language == "python":
            return self._run(f"{sys.executable} - <<'END'\n{self._adapted(block.text)}\nEND\n", block)
        printed = ""
        lines: list[str] = []
        for line in block.text.splitlines():
            if line in NOT_RUN:
                self.left_out.append(line)
            elif line == STARTS:
                printed += self._run("\n".join(lines), block)
                lines = []
                self._start()
            else:
                lines.append(self._adapted(line) + (" || test $? = 1" if line in JUDGES else ""))
        return printed + self._run("\n".join(lines), block)

    def _adapted(self, text: str) -> str:
        """The addresses of the README become those of this run: the ports are taken, the database is somewhere else."""
        return text.replace(ADDRESS, self._facts().url if ADDRESS in text else "").replace(
            DATABASE, self._database
        )

    def _run(self, script: str, block: Block) -> str:
        whole = f'set -eu\n. "{self._exports}"\n{script}\nexport -p >"{self._exports}"\n'
        done = subprocess.run(
            ["sh", "-c", whole],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        failed = (
            f"README.md line {block.line}: exit code {done.returncode}\n{script}\n{done.stdout}{done.stderr}"
        )
        assert 0 == done.returncode, failed
        return done.stdout

    def _start(self) -> None:
        self.stopped()
        with self._log.open("ab") as log:
            self._daemon = subprocess.Popen(
                ["sh", "-c", f'. "{self._exports}"; exec {STARTS}'],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually_sync(
            self._is_ready, timeout=PATIENCE, what=f"an answer of the daemon that {STARTS} started"
        )

    def _is_ready(self) -> bool:
        assert self._daemon is not None
        if self._daemon.poll() is not None:
            pytest.fail(f"{STARTS} ended:\n{self._log.read_text()}")
        try:
            address = urlsplit(self._facts().url)
            connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
            with closing(connection):
                connection.request("GET", "/health/ready")
                return http.client.OK == connection.getresponse().status
        except (OSError, ValueError):
            return False

    def _facts(self) -> DaemonFile:
        return msgspec.json.decode(self.home.daemon_file.read_bytes(), type=DaemonFile)

    def stopped(self) -> None:
        """The daemon, if one was started, was told to stop by what was run, and ended well."""
        if self._daemon is not None:
            assert 0 == self._daemon.wait(PATIENCE), self._log.read_text()
            self._daemon = None

    def leave(self) -> None:
        """End whatever still runs and take away what lies outside the sandbox."""
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.terminate()
            self._daemon.wait(PATIENCE)
        mark = self.home.postgres / "ID"
        if mark.exists():
            end_postmaster(SYSTEM_CLUSTERS / mark.read_text(encoding="utf-8").strip())
        end_postmaster(self.home.postgres)


@pytest.fixture
async def database(daemon: RunningDaemon, scope: str) -> str:
    """The address of a database that some server has, with pgvector to be had."""
    cluster = (
        daemon.layout.postgres / (daemon.layout.postgres / "CURRENT").read_text(encoding="utf-8").strip()
    )
    name = scope[-8:]
    connection = await asyncpg.connect(dsn(cluster / "socket", "postgres"), timeout=10)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    return dsn(cluster / "socket", name)


@pytest.fixture
def reader(daemon: RunningDaemon, database: str) -> Iterator[Reader]:
    """A newcomer with an empty home."""
    sandbox = Path(tempfile.mkdtemp(prefix="md-"))
    passed_on = {name: daemon.environment[name] for name in PASSED_ON if name in daemon.environment}
    environment = passed_on | {
        "HOME": str(sandbox),
        "MEMDECK_PORT": "0",
        "MEMDECK_METRICS_PORT": "0",
        "MEM0_TELEMETRY": "false",
    }
    newcomer = Reader(sandbox, environment, database)
    try:
        yield newcomer
    finally:
        newcomer.leave()
        shutil.rmtree(sandbox, ignore_errors=True)


def test_every_command_works_from_top_to_bottom(reader: Reader) -> None:
    """What stands in the README can be typed as it stands there; what it shows comes out."""
    requires("curl")
    shown = set()
    for block in README.blocks:
        printed = reader.does(block)
        for command, answer in ANSWERS.items():
            if command in block.text:
                assert answer in printed, f"README.md line {block.line}"
                shown.add(command)
    assert set(ANSWERS) == shown
    assert list(NOT_RUN) == reader.left_out


def test_every_block_is_of_a_language_that_is_run() -> None:
    """A block that the test would pass over does not get in."""
    assert {"sh", "python"} == {block.language for block in README.blocks}


def test_the_client_needs_four_lines() -> None:
    """As it promises."""
    (block,) = (block for block in README.blocks if block.language == "python")
    assert 4 == len(block.text.splitlines())
