"""The validation harness: own scripted conversations, and whether a context holds what a question needs.

    python -m bench.scenarios --start [--report]        a daemon of its own
    python -m bench.scenarios --url URL                 a server that runs; its key: MEMDECK_API_KEY

Each file of `bench/scenarios/` is a conversation of several sessions with at least twelve turns that answer nothing, and
questions with the turns that a right answer rests on. Every turn is stored as it was said, each scenario for a user of its
own; then each question is asked through `POST /v1/context` in a new session, so that nothing stands in the window. Owns the
figures and their report:

- *context recall*: the share of expected memories that stand in the context, the mean over questions;
- *coverage*: the share of scenarios in which every question was answered undegraded and every context held at least one
  expected memory.

A second pass stores all scenarios for one user and asks again: there, everything else is a distractor.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import machine
from bench.daemon import NotReadyError, OwnDaemon
from memdeck_common import __version__
from memdeck_common.client import Address, Client

FOLDER: Final = Path(__file__).parent / "scenarios"
REPORTS: Final = Path(__file__).parent.parent / "docs" / "reports"
MOST: Final = 10
"""Memories of a context."""
CUTS: Final = (1, 2, 3, 5, 10)
"""Memories that an agent may take, for the curve."""
GATE_ALONE: Final = 5
"""So many must do where a scenario has a user of its own,"""
GATE_TOGETHER: Final = 10
"""and so many where all scenarios are one user's."""
BUDGET: Final = 600
"""Tokens of a context."""
LEAST_RECALL: Final = 0.95
LEAST_COVERAGE: Final = 1.0
LEAST_DISTRACTORS: Final = 12


class Turn(msgspec.Struct, frozen=True):
    """One turn; with a key, a question may expect it."""

    session: int
    time: str
    speaker: str
    text: str
    key: str | None = None


class Question(msgspec.Struct, frozen=True):
    """A question, and the keys of the turns that its answer rests on."""

    ask: str
    expect: list[str]


class Scenario(msgspec.Struct, frozen=True):
    """One conversation and what is asked about it."""

    name: str
    kind: str
    languages: list[str]
    turns: list[Turn]
    questions: list[Question]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a context held."""

    scenario: str
    kind: str
    languages: tuple[str, ...]
    question: str
    ranks: dict[str, int | None]
    """The place of each expected memory among the memories of the context, from 1; None where it is missing."""
    tokens: int
    degraded: tuple[str, ...]
    milliseconds: float

    def missed(self, cut: int) -> list[str]:
        """The expected memories that are not among the first ones."""
        return [key for key, rank in self.ranks.items() if rank is None or rank > cut]

    def recall(self, cut: int) -> float:
        """The share of expected memories among the first ones."""
        return 1 - len(self.missed(cut)) / len(self.ranks)


def read(folder: Path = FOLDER) -> list[Scenario]:
    """All scenarios, by name.

    Raises:
        msgspec.ValidationError: a file has another form.
        ValueError: a question expects what nobody said, or too few turns distract.
    """
    found = [msgspec.json.decode(path.read_bytes(), type=Scenario) for path in sorted(folder.glob("*.json"))]
    for scenario in found:
        keys = {turn.key for turn in scenario.turns if turn.key}
        if not all(question.expect and keys.issuperset(question.expect) for question in scenario.questions):
            raise ValueError(f"{scenario.name}: a question expects what nobody said")
        if sum(turn.key is None for turn in scenario.turns) < LEAST_DISTRACTORS:
            raise ValueError(f"{scenario.name}: fewer than {LEAST_DISTRACTORS} turns distract")
    return found


async def run(client: Client, scenarios: Sequence[Scenario], *, together: bool = False) -> list[Asked]:
    """Store the scenarios and ask their questions; what was stored is deleted again."""
    prefix = f"bench_scenarios_{time.time_ns():x}"
    users = {one.name: prefix if together else f"{prefix}_{one.name}" for one in scenarios}
    try:
        stored = await asyncio.gather(*(_store(client, users[one.name], one) for one in scenarios))
        ids = {one.name: found for one, found in zip(scenarios, stored, strict=True)}
        return [
            await _ask(client, users[one.name], one, question, ids[one.name])
            for one in scenarios
            for question in one.questions
        ]
    finally:
        for user in set(users.values()):
            await client.delete_scope(user_id=user)


async def _store(client: Client, user: str, scenario: Scenario) -> dict[str, str]:
    """The ids of the memories that questions expect, by key."""
    ids = {}
    for turn in scenario.turns:
        receipt = await client.add(
            [{"role": "user", "name": turn.speaker, "content": turn.text}],
            user_id=user,
            run_id=f"{user}_{scenario.name}_{turn.session}",
            timestamp=turn.time,
        )
        if turn.key and isinstance(receipt.results, list):
            ids[turn.key] = receipt.results[0].id
    return ids


async def _ask(
    client: Client, user: str, scenario: Scenario, question: Question, ids: dict[str, str]
) -> Asked:
    began = time.perf_counter()
    context = await client.context(
        user_id=user,
        run_id=f"{user}_new",
        query=question.ask,
        token_budget=BUDGET,
        memories=MOST,
        traces=0,
    )
    milliseconds = (time.perf_counter() - began) * 1e3
    places = {part.id: place for place, part in enumerate(context.parts, 1)}
    return Asked(
        scenario.name,
        scenario.kind,
        tuple(scenario.languages),
        question.ask,
        {key: places.get(ids.get(key, "")) for key in question.expect},
        context.tokens,
        tuple(context.degraded),
        round(milliseconds, 2),
    )


def figures(every: Sequence[Asked], cut: int) -> dict[str, Any]:
    """Recall and coverage of the first `cut` memories, and what they are made of."""
    return {
        "memories": cut,
        "context_recall": _mean(one.recall(cut) for one in every),
        "coverage": coverage(every, cut),
        "scenarios": len({one.scenario for one in every}),
        "questions": len(every),
        "curve": {str(k): [_mean(one.recall(k) for one in every), coverage(every, k)] for k in CUTS},
        "by_kind": _means((one.kind, one.recall(cut)) for one in every),
        "by_language": _means((" ".join(one.languages), one.recall(cut)) for one in every),
        "most_tokens": max(one.tokens for one in every),
        "median_ms": round(statistics.median(one.milliseconds for one in every), 2),
        "missed": [
            {"scenario": one.scenario, "question": one.question, "turns": missed}
            for one in every
            if (missed := one.missed(cut))
        ],
        "asked": [{"scenario": one.scenario, "question": one.question, "ranks": one.ranks} for one in every],
    }


def coverage(every: Iterable[Asked], cut: int) -> float:
    """The share of scenarios in which every question found something that it needs, undegraded."""
    held: dict[str, bool] = {}
    for one in every:
        held[one.scenario] = held.get(one.scenario, True) and one.recall(cut) > 0 and not one.degraded
    return _mean(map(float, held.values()))


def _mean(values: Iterable[float]) -> float:
    return round(statistics.fmean(values), 4)


def _means(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return {name: _mean(values) for name, values in sorted(groups.items())}


def passed(found: dict[str, Any]) -> bool:
    """Whether the figures are good enough."""
    return bool(found["context_recall"] > LEAST_RECALL and found["coverage"] >= LEAST_COVERAGE)


async def measured(address: Address) -> dict[str, Any]:
    """Both passes against a server."""
    scenarios = read()
    async with Client(address) as client:
        alone = figures(await run(client, scenarios), GATE_ALONE)
        together = figures(await run(client, scenarios, together=True), GATE_TOGETHER)
    return {
        "version": __version__,
        "machine": machine.described(),
        "token_budget": BUDGET,
        "passed": passed(alone) and passed(together),
        "alone": alone,
        "together": together,
    }


def markdown(found: dict[str, Any]) -> str:
    """The report for people."""
    passes = {"own user": found["alone"], "all for one": found["together"]}
    lines = [
        "# Context recall of scripted scenarios",
        "",
        f"`python -m bench.scenarios --start --report`, memdeck {found['version']}, {', '.join(f'{name} {value}' for name, value in found['machine'].items())}.",
        f"Contexts of at most {found['token_budget']} tokens from `POST /v1/context`, asked in a new session, no LLM, local embedding.",
        "Own user: each scenario is a user of its own. All for one: one user has said all of it.",
        "",
        "| | scenarios | questions | memories | context recall | coverage | median ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, one in passes.items():
        lines.append(
            f"| {title} | {one['scenarios']} | {one['questions']} | {one['memories']} "
            f"| {one['context_recall']:.1%} | {one['coverage']:.2f} | {one['median_ms']} |"
        )
    return "\n".join([*lines, *_curve(passes), *_groups(passes), *_missed(passes)]) + "\n"


def _curve(passes: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield from ("", "Recall (coverage) when an agent takes the first memories only:", "")
    yield "| | " + " | ".join(map(str, CUTS)) + " |"
    yield "|---" * (len(CUTS) + 1) + "|"
    for title, one in passes.items():
        cells = [f"{recall:.1%} ({covered:.2f})" for recall, covered in one["curve"].values()]
        yield f"| {title} | " + " | ".join(cells) + " |"


def _groups(passes: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield from ("", "Recall by kind and language:", "", "| | " + " | ".join(passes) + " |", "|---|---|---|")
    alone, together = passes.values()
    for group in ("by_kind", "by_language"):
        for name, value in alone[group].items():
            yield f"| {name} | {value:.1%} | {together[group][name]:.1%} |"


def _missed(passes: dict[str, dict[str, Any]]) -> Iterator[str]:
    for title, one in passes.items():
        yield from ("", f"Not among the first {one['memories']} memories ({title}):", "")
        for each in one["missed"]:
            yield f"- {each['scenario']}: {each['question']} ({', '.join(each['turns'])})"
        if not one["missed"]:
            yield "- nothing"


def main() -> int:
    """Command line; exit code 1 when the figures are not good enough."""
    options = argparse.ArgumentParser(prog="python -m bench.scenarios")
    server = options.add_mutually_exclusive_group(required=True)
    server.add_argument("--start", action="store_true", help="a daemon of its own")
    server.add_argument("--url", help="a server that runs")
    options.add_argument("--report", action="store_true", help="write docs/reports/scenarios.json and .md")
    options.add_argument("--json", action="store_true", help="print JSON")
    given = options.parse_args()
    try:
        with contextlib.ExitStack() as stack:
            address = Address(given.url, os.environ.get("MEMDECK_API_KEY", ""))
            if given.start:
                own = stack.enter_context(OwnDaemon())
                own.start()
                address = Address(own.url, own.key)
            found = asyncio.run(measured(address))
    except NotReadyError as error:
        print(error, file=sys.stderr)
        return 1
    if given.report:
        REPORTS.mkdir(parents=True, exist_ok=True)
        (REPORTS / "scenarios.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        (REPORTS / "scenarios.md").write_text(markdown(found))
    print(json.dumps(found, indent=2, ensure_ascii=False) if given.json else markdown(found))
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
