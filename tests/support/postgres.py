"""A PostgreSQL of the test's own, as somebody else runs one: reached over TCP, with a password."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from memdeck_daemon.infra.postgres import account, binaries
from tests.support.waiting import eventually_sync

OWNER = "owner"
PASSWORD = "s3cret:/@word"


class PostgresServer:
    """A server on a port that was free; `programs` are a copy that a test may change."""

    def __init__(self) -> None:
        # Unprivileged users must be able to pass through; pytest's own folders are private.
        self.folder = Path(tempfile.mkdtemp(prefix="memdeck-outside-", dir="/tmp")).resolve()
        self.folder.chmod(0o755)
        self.programs = binaries.shared_copy(binaries.packaged(), self.folder)
        user = account.service_account() if os.geteuid() == 0 else account.daemon_account()
        self._as: dict[str, Any] = (
            {"user": user.uid, "group": user.gid, "extra_groups": []} if user.foreign else {}
        )
        self._cluster = self.folder / "cluster"
        self._cluster.mkdir(mode=0o700)
        (self._cluster / "password").write_text(PASSWORD)
        for path in (self._cluster, self._cluster / "password"):
            os.chown(path, user.uid, user.gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._create()

    def _create(self) -> None:
        command = [
            str(self.programs.initdb), f"--pgdata={self._cluster}/data", f"--username={OWNER}",
            f"--pwfile={self._cluster}/password", "--auth=scram-sha-256", "--no-sync", "--locale=C", "--encoding=UTF8",
        ]  # fmt: skip
        environment = {"TZ": "UTC", "PATH": "/usr/bin:/bin"}
        subprocess.run(command, check=True, capture_output=True, cwd="/", env=environment, **self._as)

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        """The address of a database for its owner; `port` of something that leads here."""
        return f"postgresql://{OWNER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> Self:
        """Start it and wait until it is ready."""
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
        }
        command = [str(self.programs.postgres), "-D", f"{self._cluster}/data"]
        command += [f"--{name}={value}" for name, value in options.items()]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/", **self._as)
        pid_file = self._cluster / "data" / "postmaster.pid"
        eventually_sync(lambda: pid_file.exists() and "ready" in pid_file.read_text(), what="a PostgreSQL")
        return self

    def stop(self) -> None:
        """Stop it at once; every connection ends."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)

    def demote(self) -> None:
        """Start it again as a standby that has lost its primary; `pg_promote()` makes it one."""
        self.stop()
        (self._cluster / "data" / "standby.signal").touch()
        self.start()

    def dispose(self) -> None:
        """Stop it and remove all that it wrote."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
