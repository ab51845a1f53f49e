"""What prefetching for a live session could save: `python -m bench.sessions --start`.

Owns the measurement behind docs/decisions/0007-warming.md. A scripted session begins (one turn is stored), asks its
first question, goes on and asks others. Timed are the first and the later searches, for owners of several sizes, after a
restart of the daemon, so that nothing is warm; and counted is how often a question could have been guessed: that it equals
the last turn, or a question asked before in the session.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from bench.daemon import OwnDaemon
from bench.scenarios import Scenario, read
from memdeck_common.client import Address, Client

SIZES: Final = (100, 1_000, 9_000)
USERS: Final = 6
"""Owners of each size."""
BATCH: Final = 250


async def fill(address: Address, scenarios: Sequence[Scenario]) -> dict[str, int]:
    """Owners with that many memories each; the scenarios' turns over and over, numbered so that no two are equal."""
    turns = [(turn.speaker, turn.text) for scenario in scenarios for turn in scenario.turns]
    owners = {f"bench_sessions_{size}_{number}": size for size in SIZES for number in range(USERS)}
    async with Client(address) as client:
        for owner, size in owners.items():
            said = [
                {
                    "role": "user",
                    "name": turns[n % len(turns)][0],
                    "content": f"{turns[n % len(turns)][1]} ({n})",
                }
                for n in range(size)
            ]
            for first in range(0, size, BATCH):
                await client.add(said[first : first + BATCH], user_id=owner, run_id=f"{owner}_{first}")
    return owners


async def measure(
    address: Address, owners: dict[str, int], scenarios: Sequence[Scenario], pause: float
) -> dict[str, Any]:
    """Milliseconds of the first and of later searches of a session, by the size of its owner."""
    first: dict[int, list[float]] = {size: [] for size in SIZES}
    later: dict[int, list[float]] = {size: [] for size in SIZES}
    async with Client(address) as client:
        for number, (owner, size) in enumerate(owners.items()):
            scenario = scenarios[number % len(scenarios)]
            await client.add(
                [{"role": "user", "content": "Hello again"}], user_id=owner, run_id=f"{owner}_live"
            )
            await asyncio.sleep(pause)
            for place, question in enumerate(scenario.questions):
                began = time.perf_counter()
                await client.search(question.ask, {"user_id": owner}, top_k=10)
                (later if place else first)[size].append((time.perf_counter() - began) * 1e3)
                said = {"role": "user", "content": question.ask}
                await client.add([said], user_id=owner, run_id=f"{owner}_live")
    return {
        str(size): {
            "first_ms": round(statistics.median(first[size]), 2),
            "later_ms": round(statistics.median(later[size]), 2),
        }
        for size in SIZES
    }


def guessable(scenarios: Sequence[Scenario]) -> float:
    """The share of questions that equal the last turn or a question before."""
    guessed = asked = 0
    for scenario in scenarios:
        known = {scenario.turns[-1].text}
        for question in scenario.questions:
            guessed += question.ask in known
            asked += 1
            known.add(question.ask)
    return guessed / asked


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(prog="python -m bench.sessions")
    options.add_argument(
        "--start", action="store_true", required=True, help="a daemon of its own, started twice"
    )
    options.add_argument(
        "--pause", type=float, default=0.5, help="seconds between a session's first turn and question (0.5)"
    )
    given = options.parse_args()
    scenarios = read()
    with OwnDaemon() as own:
        own.start()
        owners = asyncio.run(fill(Address(own.url, own.key), scenarios))
        own.stop()
        own.start()
        found = asyncio.run(measure(Address(own.url, own.key), owners, scenarios, given.pause))
    print(json.dumps({"searches": found, "guessable": guessable(scenarios)}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
