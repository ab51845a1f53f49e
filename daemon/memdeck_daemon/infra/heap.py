"""How memory that is not needed any more is kept or given back.

Owns the thresholds of Python's collector and three settings of glibc's allocator. Its defaults give every thread an arena of
its own and keep what was freed: after 10,000 adds the daemon stood at 206 MB with them and stands at 180 MB now. Giving back
everything at once costs more than it saves, though: with thresholds of 128 KB a search in a big owner took a third longer.
"""

import ctypes
import gc
import sys
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
ARENAS: Final = 2
YOUNG: Final = 20_000
"""Containers that are allocated between two looks at the youngest."""
MAPPED: Final = 2 * 1024 * 1024
"""Bytes from which an array is mapped on its own and given back at once. A search in a big owner makes some of a megabyte:
mapped, each page would be a fault, together a third of its time."""
KEPT: Final = 4 * 1024 * 1024
"""Free bytes at the end of an arena that are kept; setting these also ends glibc's habit of raising both by itself."""


def settle() -> None:
    """What is there after the start stays: leave it out of garbage collections, and make them rarer.

    Requests leave next to no cycles behind; the default looks at everything young after every 700 allocations.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)


def economise() -> None:
    """Give freed memory back. Elsewhere than on Linux with glibc nothing is done."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    for setting, value in ((M_ARENA_MAX, ARENAS), (M_TRIM_THRESHOLD, KEPT), (M_MMAP_THRESHOLD, MAPPED)):
        mallopt(setting, value)
