"""How many files and connections this process may have open."""

import logging
import resource
from typing import Final

from memdeck_common.log import action

log = logging.getLogger(__name__)
RESERVE: Final = 256
"""Descriptors for everything but clients: database, index, logs, caches."""


def allow(connections: int) -> None:
    """Raise the soft limit so far that these connections fit; macOS begins with 256.

    Where even the hard limit is lower it is used whole, and the log says so.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + RESERVE  # two listeners
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    if reachable < wanted:
        log.warning(
            "MEMDECK_MAX_CONNECTIONS=%d needs %d descriptors, and the system allows %d", connections, wanted, reachable,
            extra=action("descriptors_limited"),
        )  # fmt: skip
