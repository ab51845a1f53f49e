"""`memdeck version`: which versions are installed here."""

import platform
import sys

from memdeck_common import __version__
from memdeck_console.cli.command import Command, Invocation


def run(invocation: Invocation) -> int:
    """Print the version."""
    if invocation.terminal.as_json:
        invocation.terminal.json(
            {"version": __version__, "python": platform.python_version(), "platform": sys.platform}
        )
    else:
        invocation.terminal.say(f"memdeck {__version__}")
    return 0


COMMANDS = (Command("version", "print the version", run, examples=("memdeck version --json",)),)
