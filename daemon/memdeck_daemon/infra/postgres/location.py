"""Where a home's clusters are, and which of them is current.

Owns this layout:

    DIR/postgres/CURRENT           the current cluster's folder: a name beside this file, or an absolute path
    DIR/postgres/ID                this home's name under the system folder (daemons that run as root only)
    DIR/postgres/lock              held while a cluster is looked for or made
    CLUSTERS/<instance>-<random>/  one cluster; CLUSTERS is DIR/postgres, or for root /var/lib/memdeck/<id>
        data/                        PGDATA
        socket/                      the socket (outside PGDATA, or a restored base backup would carry its lock)
        lock                         held by the daemon that runs this cluster

Root needs another place because PostgreSQL refuses root and cannot reach into private folders. Refuses to begin an
empty database while one of this home exists: a lost pointer is found again when there is one cluster, and asked for when
there are several. Deleting the home altogether does begin anew.
"""

import hashlib
import os
import re
import secrets
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from memdeck_common.errors import DatabaseUnusable
from memdeck_common.paths import Home

SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_LIMIT = 103
"""Bytes of a socket's path on macOS, without its final NUL; Linux allows four more."""
UNFINISHED = ".new-"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The folder of one cluster."""

    folder: Path

    @property
    def name(self) -> str:
        """Shown in process titles; unique enough to recognise the cluster's processes by."""
        return self.folder.name

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.folder / "data"

    @property
    def lock(self) -> Path:
        """The supervisor's lock."""
        return self.folder / "lock"

    @property
    def exists(self) -> bool:
        """Whether there is a cluster here; a folder that cannot be looked into raises OSError."""
        return (self.data / "PG_VERSION").is_file()

    def socket_folder(self, owner: int) -> Path:
        """Where the socket of this cluster goes: beside its data, or somewhere shorter, private to `owner`."""
        beside = self.folder / "socket"
        if len(os.fsencode(beside / SOCKET_NAME)) <= SOCKET_LIMIT:
            return beside
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
        if runtime.is_dir() and runtime.stat().st_uid == owner:
            short = runtime / f"memdeck-{digest}"
            if len(os.fsencode(short / SOCKET_NAME)) <= SOCKET_LIMIT:
                return short
        return Path("/tmp", f"memdeck-{owner}-{digest}")  # noqa: S108 - made private and checked by `private_folder`


@dataclass(frozen=True, slots=True)
class Location:
    """The clusters of one home."""

    home: Home
    clusters: Path

    @property
    def pointer(self) -> Path:
        """The file that names the current cluster."""
        return self.home.postgres / "CURRENT"

    def current(self) -> Cluster | None:
        """The current cluster; None when there is none yet. A lost pointer is restored from what is found.

        Raises:
            DatabaseUnusable: the pointer leads nowhere, or it is lost and several clusters could be meant.
        """
        try:
            named = self.pointer.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return self._rediscovered()
        if not named:
            raise DatabaseUnusable(f"{self.pointer} is empty: {self._how_to_point()}")
        cluster = Cluster(self.home.postgres / named)
        try:
            if cluster.exists:
                return cluster
        except PermissionError:
            raise DatabaseUnusable(
                f"This user may not read the database in {cluster.folder}, which {self.pointer} names: "
                "start memdeckd as the user that made it (root, if it lies under /var/lib)."
            ) from None
        raise DatabaseUnusable(
            f"{self.pointer} names {cluster.folder}, where there is no database: put it back there, restore a backup, "
            "or remove CURRENT to look for another one."
        )

    def point_to(self, cluster: Cluster) -> None:
        """Make a cluster current, atomically and durably."""
        inside = cluster.folder.parent == self.home.postgres
        write_durably(self.pointer, f"{cluster.name if inside else cluster.folder}\n")

    def fresh(self, instance: str) -> Cluster:
        """A cluster that is not there yet."""
        label = re.sub(r"[^a-z0-9_]+", "-", instance.lower())[:24].strip("-") or "default"
        return Cluster(self.clusters / f"{label}-{secrets.token_hex(4)}")

    def unfinished(self) -> list[Path]:
        """What is left of clusters whose making was interrupted."""
        return sorted(self.clusters.glob(f"{UNFINISHED}*"))

    def _rediscovered(self) -> Cluster | None:
        found = [
            c for c in map(Cluster, sorted(self.clusters.glob("[!.]*"))) if c.folder.is_dir() and c.exists
        ]
        if len(found) > 1:
            names = ", ".join(str(c.folder) for c in found)
            raise DatabaseUnusable(
                f"{self.pointer} is missing and several databases exist: {names}. {self._how_to_point()}"
            )
        for cluster in found:
            self.point_to(cluster)
            return cluster
        return None

    def _how_to_point(self) -> str:
        return f"write the folder of the right one into it, `echo FOLDER > {self.pointer}`."


def locate(home: Home, system_root: Path, *, as_root: bool) -> Location:
    """The place for a home's clusters; its folders are made here.

    Raises:
        OSError: a folder cannot be made.
    """
    home.postgres.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not as_root:
        return Location(home, home.postgres)
    mark = home.postgres / "ID"
    try:
        name = mark.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        name = secrets.token_hex(6)
        write_durably(mark, f"{name}\n")
    clusters = system_root / name
    # PostgreSQL must be able to pass through, whatever the umask is.
    for folder, mode in ((system_root, 0o755), (clusters, 0o711)):
        if not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(mode)
    _require_passage(system_root)
    write_durably(clusters / "HOME", f"{home.root}\n")
    return Location(home, clusters)


def _require_passage(folder: Path) -> None:
    for parent in (folder, *folder.parents):
        if not parent.stat().st_mode & stat.S_IXOTH:
            raise DatabaseUnusable(
                f"PostgreSQL runs as an unprivileged user, which cannot pass through {parent} to {folder}: "
                f"allow it with `chmod o+x {parent}`."
            )


def private_folder(path: Path, uid: int, gid: int) -> None:
    """Make a folder that only `uid` can enter, or take it when it is exactly that.

    Raises:
        DatabaseUnusable: something else is there; in /tmp anybody may have put it there.
        OSError: it cannot be made.
    """
    try:
        path.mkdir(mode=0o700)
        if os.geteuid() != uid:
            os.chown(path, uid, gid)
    except FileExistsError:
        pass
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        raise DatabaseUnusable(
            f"{path} must be a folder that belongs to user id {uid} alone (mode 0700): remove it."
        )


def write_durably(path: Path, text: str) -> None:
    """Replace a file so that after a crash either the old or the new contents are there, whole."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames inside a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
