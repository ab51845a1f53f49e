"""`memdeck`: the console, and the command line beside it."""

import sys

from memdeck_console.cli.program import main as run_program
from memdeck_console.cli.registry import COMMANDS


def main() -> int:
    """Run the command line; the exit code."""
    return run_program(COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
