"""A server that speaks Bolt, of the test's own: ArcadeDB as a process, which the official Neo4j driver takes for Neo4j.

It differs from Neo4j: no full-text or vector index, no transaction timeout, READ mode is not enforced.
"""

import importlib.util
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import in_ci
from tests.support.waiting import eventually_sync

USER = "root"
PASSWORD = "bolt-password"
START_TIMEOUT = 60.0
STARTED = b"ArcadeDB Server started"


class BoltServer:
    """ArcadeDB with its Bolt plugin, on ports that were free."""

    def __init__(self, folder: Path) -> None:
        found = importlib.util.find_spec("arcadedb_embedded")
        if found is None or found.origin is None:
            message = "arcadedb-embedded is missing: `make install` brings it, but for Macs with Intel there is none"
            if in_ci():
                pytest.fail(message)
            pytest.skip(message)
        self._programs, self._folder = Path(found.origin).parent, folder
        self.port, self._http = _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"bolt://127.0.0.1:{self.port}"

    def start(self) -> "BoltServer":
        """Start it and wait until it takes connections; 2 to 9 s."""
        options = {
            "server.rootPath": self._folder,
            "server.rootPassword": PASSWORD,
            "server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
            "server.defaultDatabases": f"neo4j[{USER}]",
            "server.httpIncomingHost": "127.0.0.1",
            "server.httpIncomingPort": self._http,
            "bolt.host": "127.0.0.1",
            "bolt.port": self.port,
        }
        printed = self._folder / "bolt.log"
        with printed.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(self._programs / "jre/bin/java"), "-Xmx256m", "-XX:TieredStopAtLevel=1",
                    *(f"-Darcadedb.{name}={value}" for name, value in options.items()),
                    "-cp", f"{self._programs}/jars/*", "com.arcadedb.server.ArcadeDBServer",
                ],
                cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        # The ports are open before the database is there.
        eventually_sync(
            lambda: STARTED in printed.read_bytes(), timeout=START_TIMEOUT, what="a server that speaks Bolt"
        )
        return self

    def pause(self) -> None:
        """It takes connections, but answers nothing."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `pause`."""
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
