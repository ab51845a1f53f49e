"""Every fault harness in its long form, each with its control: `make faults`, or `python -m bench.faults --only kills`.

Owns the order, the bars and docs/reports/faults.json, in which each harness replaces its own part. A harness whose control
finds nothing is reported as blind: what it says of the daemon is worth nothing then.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import machine
from bench.faults import crowds, kills, outages, schema, soak

REPORT: Final = Path("docs/reports/faults.json")


@dataclass(frozen=True, slots=True)
class Length:
    """How long the long form is."""

    daemon_kills: int = 200
    postgres_kills: int = 50
    rounds: int = 8
    fault_seconds: float = 10.0
    schema_seconds: int = 600
    soak_hours: float = 0.5


@dataclass(frozen=True, slots=True)
class Part:
    """What one harness found: whether its bars held, and whether its control failed as it must."""

    held: bool
    control_failed: bool
    found: Any
    control: Any
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether it can be believed and the bars held."""
        return self.held and self.control_failed


def say(line: str) -> None:
    """Tell who waits."""
    print(line, file=sys.stderr, flush=True)


async def _kills(seed: int, length: Length) -> Part:
    plan = kills.Plan(seed=seed, daemon_kills=length.daemon_kills, postgres_kills=length.postgres_kills)
    found = await kills.KillLoop(plan, say).run()
    controls = {}
    for protection in ("commit", "idempotency"):
        short = kills.Plan(
            seed=seed, daemon_kills=5, postgres_kills=0, unheard=1.0, settle=1.0, without=(protection,)
        )
        controls[protection] = (await kills.KillLoop(short).run()).figures
    failed = controls["commit"]["lost"] > 0 and controls["idempotency"]["doubled"] > 0
    return Part(found.clean and not found.wrong_when_ready, failed, asdict(found), controls)


async def _crowds(seed: int, length: Length) -> Part:
    plan = crowds.Plan(seed=seed, rounds=length.rounds)
    found = [await crowds.stalled_bodies(plan), await crowds.hanging_embedder(plan)]
    controls = {
        "places": await crowds.stalled_bodies(crowds.Plan(seed=seed, rounds=1, without=("places",))),
        "few places": await crowds.hanging_embedder(
            crowds.Plan(seed=seed, rounds=1, settings=(("MEMDECK_MAX_CONCURRENT", "45"),))
        ),
        "quiet": await crowds.stalled_bodies(crowds.Plan(seed=seed, rounds=1, crowd=10, without=("quiet",))),
    }
    failed = not any(verdict.held for verdict in controls.values())
    return Part(
        all(verdict.held for verdict in found),
        failed,
        [asdict(verdict) for verdict in found],
        {name: asdict(verdict) for name, verdict in controls.items()},
    )


async def _outages(seed: int, length: Length) -> Part:
    found = await outages.run(outages.Plan(seed=seed, seconds=length.fault_seconds), say)
    control = await outages.run(outages.control(seed))
    return Part(
        all(verdict.held for verdict in found),
        not any(verdict.held for verdict in control),
        [asdict(verdict) for verdict in found],
        [asdict(verdict) for verdict in control],
    )


async def _schema(seed: int, length: Length) -> Part:
    found = await schema.run(seed=seed, seconds=length.schema_seconds)
    control = await schema.run(phases=("coverage",), seed=seed, seconds=30, without=("declarations",))
    return Part(
        found.clean, not control.clean, asdict(found), {"calls": control.calls, "clean": control.clean}
    )


async def _soak(seed: int, length: Length) -> Part:
    found = await soak.run(soak.Plan(seed=seed, seconds=length.soak_hours * 3600), say)
    control = await soak.run(soak.Plan(seed=seed, seconds=60, every=1, without=("tidiness",)))
    return Part(found.held, not control.held, asdict(found), asdict(control))


HARNESSES: Final[dict[str, Callable[[int, Length], Awaitable[Part]]]] = {
    "kills": _kills, "crowds": _crowds, "outages": _outages, "schema": _schema, "soak": _soak,
}  # fmt: skip


async def run(names: list[str], seed: int, length: Length) -> dict[str, Part]:
    """These harnesses, one after the other."""
    found: dict[str, Part] = {}
    for name in names:
        say(f"== {name}, seed {seed}")
        begun = time.monotonic()
        part = await HARNESSES[name](seed, length)
        found[name] = Part(
            part.held, part.control_failed, part.found, part.control, round(time.monotonic() - begun, 1)
        )
        write(name, found[name], seed)
        blind = "" if part.control_failed else ", but its control found nothing: it is blind"
        say(f"== {name}: {'held' if part.held else 'NOT HELD'}{blind} after {found[name].seconds:.0f} s")
    return found


def write(name: str, part: Part, seed: int) -> None:
    """Replace one harness' part of the report."""
    try:
        report = json.loads(REPORT.read_text(encoding="utf-8"))
    except FileNotFoundError:
        report = {}
    made = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "machine": machine.described(),
    }
    report[name] = {**made, **asdict(part)}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__.splitlines()[0])
    options.add_argument("--only", help=f"some of {','.join(HARNESSES)}")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    for name, value in asdict(Length()).items():
        options.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = options.parse_args()
    length = Length(**{name: getattr(given, name) for name in asdict(Length())})
    names = given.only.split(",") if given.only else list(HARNESSES)
    found = asyncio.run(run(names, given.seed, length))
    return int(not all(part.good for part in found.values()))


if __name__ == "__main__":
    sys.exit(main())
