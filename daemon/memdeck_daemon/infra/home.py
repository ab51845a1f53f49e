"""The home directory of a daemon: made, guarded, and marked as in use.

Owns the lock that keeps two daemons out of one home (flock, so a SIGKILL releases it) and the file that says where the
daemon answers. Refuses a home that everybody can write: who can replace the keys owns the memories.
"""

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from memdeck_common.errors import ConfigurationError
from memdeck_common.paths import Home
from memdeck_common.wire.health import DaemonFile
from memdeck_daemon.infra import durable


def prepare(home: Home) -> None:
    """Make the directories, private to this user.

    Raises:
        ConfigurationError: they cannot be made or written, or everybody can write them.
    """
    try:
        for folder in (home.root, home.run, home.keys, home.log_file.parent, home.postgres, home.indexes):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.keys.chmod(0o700)
        with tempfile.TemporaryFile(dir=home.run):
            pass
        open_to_all = home.root.stat().st_mode & stat.S_IWOTH
    except OSError as error:
        raise ConfigurationError(
            f"The home {home.root} cannot be used: {error.strerror or error}. "
            "MEMDECK_HOME (or --home) names another one; `memdeck doctor` says more."
        ) from None
    if open_to_all:
        raise ConfigurationError(
            f"Everybody can write the home {home.root}, and so replace its keys. `chmod 700 {home.root}`, or choose another "
            "with --home."
        )


@contextlib.contextmanager
def locked(home: Home) -> Iterator[None]:
    """Hold the home for this process.

    Raises:
        ConfigurationError: another daemon holds it, or its lock cannot be taken.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(home.daemon_lock.open("a+", encoding="ascii"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read(20).strip() or "unknown"
            raise ConfigurationError(
                f"A daemon runs in {home.root} already (pid {pid}); `memdeck status` shows it, `memdeck down` stops it."
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"The lock {home.daemon_lock} cannot be taken: {error.strerror or error}. Did a daemon of another user "
                "make it?"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        home.daemon_file.unlink(missing_ok=True)  # left by a daemon that was killed
        yield


@contextlib.contextmanager
def announced(home: Home, daemon: DaemonFile) -> Iterator[None]:
    """Say where the daemon answers, for as long as it does."""
    write_atomically(home.daemon_file, msgspec.json.format(msgspec.json.encode(daemon)), 0o600)
    try:
        yield
    finally:
        home.daemon_file.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes, mode: int) -> None:
    """Put a whole file in place, or leave what was there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            durable.sync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
