"""Bytes that survive a power cut.

Owns the one way in which this program asks a disk to keep something. On macOS `fsync` only reaches the drive's own cache;
F_FULLFSYNC goes on to the platter.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

FULL_SYNC: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)


def sync(descriptor: int) -> None:
    """Come back when all that was written to an open file is on the disk.

    Raises:
        OSError: it may not be; what is on the disk is not known.
    """
    if FULL_SYNC is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, FULL_SYNC)


def sync_folder(folder: Path) -> None:
    """Come back when the names in a folder are on the disk: new files, renamed and removed ones.

    Raises:
        OSError: they may not be.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)
