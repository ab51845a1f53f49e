"""All commands, in the order of `memdeck --help`."""

from memdeck_console.cli import (
    doctor,
    keys,
    memories,
    projections,
    removal,
    spaces,
    spool,
    status,
    transfer,
    up,
    version,
)

COMMANDS = (
    *up.COMMANDS,
    *status.COMMANDS,
    *memories.COMMANDS,
    *removal.COMMANDS,
    *transfer.COMMANDS,
    *keys.COMMANDS,
    *projections.COMMANDS,
    *spaces.COMMANDS,
    *spool.COMMANDS,
    *doctor.COMMANDS,
    *version.COMMANDS,
)
