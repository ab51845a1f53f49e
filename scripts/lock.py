"""Makes `requirements.lock` from pyproject.toml, or tells whether it still belongs to it.

Owns the file's header: a digest of everything in pyproject.toml that decides what is installed, so that `--check` needs
neither network nor resolver. The lock holds exact versions with the hashes of every platform's files, for the package,
its extras, what builds it, and uv itself. It names no index: where packages come from is the installing machine's choice.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
PYPROJECT = ROOT / "pyproject.toml"

# hatchling asks for editables when it makes an editable install; both come from the lock, as builds are not isolated.
TOOLS = ("editables", "uv")
LOWEST_PYTHON = "3.11"

HEADER = """\
# Exact versions with hashes, for Linux and macOS and Python 3.11 to 3.13. Remade by `make lock`, never by hand.
# Inputs: sha256:{digest}
"""


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Make or check requirements.lock.")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 when the lock does not belong to pyproject.toml"
    )
    parser.add_argument(
        "--upgrade", action="store_true", help="take the newest versions that pyproject.toml allows"
    )
    options = parser.parse_args()
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    header = HEADER.format(digest=inputs_digest(project))
    if options.check:
        return check(header)
    pins = resolve(project, LOCK.read_text(encoding="utf-8") if LOCK.exists() and not options.upgrade else "")
    LOCK.write_text(header + pins, encoding="utf-8")
    return 0


def inputs_digest(project: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the parts of pyproject.toml that decide what the lock holds; order and comments do not count."""
    table = project["project"]
    inputs = {
        "python": table["requires-python"],
        "build": sorted(project["build-system"]["requires"]),
        "dependencies": sorted(table["dependencies"]),
        "extras": {name: sorted(wanted) for name, wanted in table.get("optional-dependencies", {}).items()},
        "tools": sorted(TOOLS),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def check(header: str) -> int:
    """0 when the lock begins with this header, else 1 and a sentence."""
    if LOCK.exists() and LOCK.read_text(encoding="utf-8").startswith(header):
        print("requirements.lock belongs to pyproject.toml")
        return 0
    print(
        "requirements.lock does not belong to pyproject.toml: run `make lock` and commit both",
        file=sys.stderr,
    )
    return 1


def resolve(project: Mapping[str, Any], pinned: str) -> str:
    """The lock's body; versions in `pinned` stay where they still fit.

    Raises:
        subprocess.CalledProcessError: uv found no solution; it has said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        tools = scratch / "tools.in"
        tools.write_text("\n".join([*project["build-system"]["requires"], *TOOLS]), encoding="utf-8")
        output = scratch / "lock.txt"
        output.write_text(pinned, encoding="utf-8")
        command = [
            *(str(Path(sys.executable).parent / "uv"), "pip", "compile", "--quiet", "--no-config"),
            *("--universal", "--python-version", LOWEST_PYTHON, "--all-extras", "--generate-hashes"),
            *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
            *(str(PYPROJECT), str(tools), "--output-file", str(output)),
        ]
        subprocess.run(
            command, check=True, env=without_uv_settings(os.environ), stdout=subprocess.DEVNULL, timeout=600
        )
        return output.read_text(encoding="utf-8")


def without_uv_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would make uv resolve against another index than everybody's."""
    return {name: value for name, value in environ.items() if not name.startswith("UV_")}


if __name__ == "__main__":
    sys.exit(main())
