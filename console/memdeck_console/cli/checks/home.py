"""The home directory: there, writable, private, with room."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from memdeck_console.cli.checks.site import Finding, Site
from memdeck_console.cli.wording import size

SPACE_LOW, SPACE_OUT = 10_000_000_000, 1_000_000_000
"""Free bytes below which it is told, and below which writes are about to fail."""
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def writable(site: Site) -> Iterator[Finding]:
    """A home that this user can write."""
    root = site.home.root
    if not _exists(root):
        yield from _can_be_made(root)
        return
    if not root.is_dir():
        yield Finding(
            "home", "fail", f"{root} is not a directory", "move that file away, or choose another --home"
        )
        return
    try:
        # Only writing tells: permissions say nothing of a read-only or a full file system, nor to root.
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"memdeck")
            file.flush()
    except OSError as error:
        yield Finding("home", "fail", f"{root} cannot be written: {error.strerror}", _way_out(root))
    else:
        yield Finding("home", "pass", str(root))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True


def _can_be_made(root: Path) -> Iterator[Finding]:
    parent = _nearest(root)
    try:
        tempfile.TemporaryDirectory(dir=parent).cleanup()
    except OSError as error:
        summary = f"{root} cannot be made in {parent}: {error.strerror}"
        yield Finding("home", "fail", summary, _way_out(parent))
    else:
        yield Finding("home", "na", f"{root} is made by the first `memdeck up`")


def _nearest(path: Path) -> Path:
    """The path, or the nearest of its parents that is there."""
    while not _exists(path) and path != path.parent:
        path = path.parent
    return path


def _way_out(path: Path) -> str:
    return f"give this user the right to write {path} (`ls -ld {path}`), free some space, or choose another --home"


def private(site: Site) -> Iterator[Finding]:
    """Secrets that nobody else can read."""
    wanted = [(path, "700") for path in (site.home.root, site.home.keys)]
    wanted += [(path, "600") for path in (site.home.admin_key, site.home.hash_key, site.home.env_file)]
    loose = 0
    for path, mode in wanted:
        try:
            found = path.stat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Finding(
                "permissions", "fail", f"{path}: {error.strerror}", "run this as the user of the daemon"
            )
            return
        if found & OTHERS:
            loose += 1
            summary = f"others can reach {path} ({stat.S_IMODE(found):o})"
            yield Finding("permissions", "warn", summary, f"`chmod {mode} {path}`")
    if not loose and _exists(site.home.root):
        yield Finding("permissions", "pass", "only this user reaches home and keys")


def space(site: Site) -> Iterator[Finding]:
    """Room to write."""
    places = [_nearest(site.home.root)]
    if os.geteuid() == 0 and site.settings and not site.settings.database.url:
        places.append(_nearest(Path(site.settings.database.system_root)))
    volumes: dict[int, Path] = {}
    for place in places:
        try:
            volumes.setdefault(place.stat().st_dev, place)
        except OSError as error:
            yield Finding("disk", "fail", f"{place}: {error.strerror}", "look whether the volume is mounted")
    for place in volumes.values():
        yield _room(place)


def _room(place: Path) -> Finding:
    usage = shutil.disk_usage(place)
    summary = f"{size(usage.free)} free of {size(usage.total)} at {place}"
    if usage.free >= SPACE_LOW:
        return Finding("disk", "pass", summary)
    advice = (
        f"free some space (`du -xhd1 {place} | sort -h`), or move the home to a larger volume with --home"
    )
    return Finding("disk", "fail" if usage.free < SPACE_OUT else "warn", summary, advice)


CHECKS = (writable, private, space)
