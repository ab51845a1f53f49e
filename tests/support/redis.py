"""A Redis of the test's own, which it may end and start again."""

import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support.servers import requires
from tests.support.waiting import eventually_sync


class RedisServer:
    """`redis-server` on a port that was free; nothing is written to disk."""

    def __init__(self, folder: Path) -> None:
        self._command, self._folder = requires("redis-server"), folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> "RedisServer":
        """Start it and wait until it takes connections."""
        self._process = subprocess.Popen(
            [
                self._command,
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        eventually_sync(self._answers, what="a Redis that takes connections")
        return self

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
