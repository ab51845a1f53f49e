"""schemathesis against a daemon of its own: `python -m bench.faults.schema`.

Examples, coverage, fuzzing and stateful calls made from `/openapi.json`: no status, header, content type or shape may come
back that is not declared, an undeclared 5xx least of all. Declared 5xx (501 of what only the hosted platform has) are
answers like others. The feed is left out: it never ends.
"""

import argparse
import asyncio
import json
import os
import random
import re
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.faults.daemon import victim

COMMAND: Final = Path(sys.executable).parent / "st"
CHECKS: Final = "status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"
PHASES: Final = ("examples", "coverage", "fuzzing", "stateful")
SHOWN: Final = 6000


@dataclass(frozen=True, slots=True)
class Driven:
    """What a run found; `output` is its end when it found something."""

    phases: str
    seed: int
    calls: int
    clean: bool
    output: str = ""


async def drive(url: str, key: str, *, phases: tuple[str, ...], seed: int, seconds: int) -> Driven:
    """Call everything that the document at `url` describes; fuzzing and stateful calls take what time is left."""
    command = [
        "run", url + "/openapi.json", "--phases", ",".join(phases), "--checks", CHECKS, "--exclude-path", "/ops/feed",
        "-H", f"X-API-Key: {key}", "--no-color", "--suppress-health-check", "all", "--warnings", "off",
        "--seed", str(seed), "--max-time", str(seconds),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="mdschema-") as scratch:
        process = await asyncio.create_subprocess_exec(
            COMMAND, *command, cwd=scratch, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        output = (await process.communicate())[0].decode()
    calls = re.search(r"([\d,]+) generated", output)
    clean = process.returncode == 0
    told = "" if clean else output[-SHOWN:]
    return Driven(",".join(phases), seed, int(calls[1].replace(",", "")) if calls else 0, clean, told)


async def run(
    *, phases: tuple[str, ...] = PHASES, seed: int, seconds: int, without: tuple[str, ...] = ()
) -> Driven:
    """Drive a daemon that is new."""
    async with victim(without=without) as daemon:
        return await drive(daemon.url, daemon.key, phases=phases, seed=seed, seconds=seconds)


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(
        prog="python -m bench.faults.schema", description=__doc__.splitlines()[0]
    )
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--seconds", type=int, default=600)
    options.add_argument(
        "--without", action="append", default=[], help="the control: a protection to take away"
    )
    given = options.parse_args()
    print(f"seed {given.seed}", file=sys.stderr)
    found = asyncio.run(run(seed=given.seed, seconds=given.seconds, without=tuple(given.without)))
    print(found.output or json.dumps(asdict(found), indent=2))
    return found.clean if given.without else int(not found.clean)


if __name__ == "__main__":
    sys.exit(main())
