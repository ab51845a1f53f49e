"""All commands, in the order of `memdeck --help`."""

from memdeck_console.cli import (
    doctor,
    index,
    keys,
    memories,
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
    *index.COMMANDS,
    *spaces.COMMANDS,
    *spool.COMMANDS,
    *doctor.COMMANDS,
    *version.COMMANDS,
)
