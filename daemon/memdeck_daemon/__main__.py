"""`memdeckd serve | check`."""

import sys

from memdeck_daemon.command import main

if __name__ == "__main__":
    sys.exit(main())
