"""A daemon of the benchmark's own: a home that is new, ports that the system chooses, and nothing left afterwards.

Owns its start, its stop and how long it took to be ready. Settings of the person's own environment do not reach it: a
benchmark that wrote into somebody's database would be a disaster.
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

COMMAND: Final = Path(sys.executable).parent / "memdeckd"
START_LIMIT: Final = 60.0
STOP_LIMIT: Final = 30.0
LOOK: Final = 0.005
"""Seconds between two looks whether it is ready."""
PASSED_ON: Final = ("PATH", "HOME", "LC_ALL", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


class NotReadyError(RuntimeError):
    """The daemon ended or was not ready in time; the message ends with its log."""


class OwnDaemon:
    """One daemon and its home. Use as a context manager, which removes all of it at the end."""

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        command: Sequence[str | Path] = (COMMAND, "serve"),
        folder: Path | None = None,
    ) -> None:
        """`settings`: variables of memdeck that differ from their defaults; `command` takes the arguments of `serve`.

        `folder`: where there is room for it.
        """
        self._command = command
        self._sandbox = Path(tempfile.mkdtemp(prefix="mdbench-", dir=folder))
        # As root, the database belongs to another user, who must be able to reach its folder.
        self._sandbox.chmod(0o711)
        self.home = self._sandbox / "home"
        self._environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._environment |= {
            "MEMDECK_POSTGRES_SYSTEM_ROOT": str(self._sandbox / "clusters"),
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and remove what it wrote."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self._sandbox, ignore_errors=True)

    @property
    def sandbox(self) -> Path:
        """The folder that holds its home and its database."""
        return self._sandbox

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return self._process.pid if self._process else None

    @property
    def key(self) -> str:
        """The admin key, which has no rate limit."""
        return (self.home / "keys" / "admin.key").read_text(encoding="utf-8").strip()

    def start(self) -> float:
        """Start it; seconds until /health/ready said 200.

        Raises:
            NotReadyError: it ended or took too long.
        """
        began = time.perf_counter()
        with (self._sandbox / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "--home", self.home, "--port", "0", "--metrics-port", "0"],
                cwd=self._sandbox,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        while not self._is_ready(self._process):
            if time.perf_counter() - began > START_LIMIT:
                raise self.failure(f"not ready after {START_LIMIT:.0f} s")
            time.sleep(LOOK)
        return time.perf_counter() - began

    def stop(self) -> None:
        """Stop it if it runs."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it as a crash does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise self.failure(f"ended with exit code {process.returncode}")
        try:
            facts = json.loads((self.home / "run" / "daemon.json").read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        if facts["pid"] != process.pid:
            return False
        self.url = facts["url"]
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()

    def failure(self, sentence: str) -> NotReadyError:
        """An error that ends with the daemon's log."""
        log = (self._sandbox / "log").read_text(encoding="utf-8", errors="replace")
        return NotReadyError("\n".join([f"the daemon: {sentence}", *log.splitlines()[-20:]]))
