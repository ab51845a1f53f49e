"""How Python's threads, and those of libraries, share the processors.

Owns two settings that hold for a whole process and have to be made before numpy is loaded.
"""

import os
import sys
from typing import Final

SWITCH: Final = 0.0005
"""Seconds that a thread keeps Python to itself while others wait: the event loop and threads that make or save indexes take
turns, and the default of 5 ms would be most of an answer's time."""


def share() -> None:
    """Make short turns, and keep linear algebra to the thread that asks for it."""
    # Threads of its own would spin on processors that other requests need.
    for library in ("OPENBLAS", "VECLIB", "OMP"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    sys.setswitchinterval(SWITCH)
