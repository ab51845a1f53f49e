"""The environment of a test run: nothing of the person's own home, keys and settings reaches a test.

Imported before anything else by conftest.py, because Textual and mem0 read theirs when they are imported.
"""

import os
import shutil
import tempfile
from collections.abc import MutableMapping

PRIVATE_PREFIXES = ("MEMDECK_", "MEMORY_", "MEM0_", "OPENAI_", "PG", "TELEGRAM_", "XDG_", "UV_")
PRIVATE_NAMES = ("AUTH_DISABLED", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES")

SETTINGS = {
    "MEM0_TELEMETRY": "false",
    "HF_HUB_OFFLINE": "1",
    "TEXTUAL_ANIMATIONS": "none",
    "TERM": "xterm-256color",
    "COLORTERM": "truecolor",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}


def isolate(environ: MutableMapping[str, str] = os.environ) -> str:
    """Clean the environment, give it a home of its own, and return that; `remove` it at the end."""
    home = tempfile.mkdtemp(prefix="memdeck-home-")
    for name in [name for name in environ if name.startswith(PRIVATE_PREFIXES) or name in PRIVATE_NAMES]:
        del environ[name]
    environ.update(SETTINGS, HOME=home, MEM0_DIR=f"{home}/.mem0")
    return home


def remove(home: str) -> None:
    """Delete what `isolate` made; a straggling process may still write there, which is no test's failure."""
    shutil.rmtree(home, ignore_errors=True)
