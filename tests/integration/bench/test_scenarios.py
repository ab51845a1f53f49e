"""The validation harness against a whole daemon: contexts hold what questions need."""

import asyncio
import shutil
from pathlib import Path

import pytest

from bench import scenarios
from bench.scenarios import Scenario
from memdeck_common.client import Address, Client
from tests.support.daemon import RunningDaemon


@pytest.fixture(scope="module")
def every() -> list[Scenario]:
    return scenarios.read()


def test_there_are_scenarios_of_every_kind(every: list[Scenario]) -> None:
    """Thirty at least: changed preferences, names, dates, numbers, corrections, two people, two languages."""
    assert len(every) >= 30
    kinds = {one.kind for one in every}
    assert {
        "changed preference",
        "names",
        "dates",
        "numbers",
        "correction",
        "two people",
        "two languages",
    } <= kinds
    assert {"en", "de", "es", "fr"} == {language for one in every for language in one.languages}
    assert {one.name for one in every} == {path.stem for path in scenarios.FOLDER.glob("*.json")}


@pytest.mark.parametrize(
    ("together", "cut"), [(False, scenarios.GATE_ALONE), (True, scenarios.GATE_TOGETHER)]
)
async def test_contexts_hold_what_questions_need(
    daemon: RunningDaemon, every: list[Scenario], *, together: bool, cut: int
) -> None:
    """More than 95 % of what is expected, and something of it for every question of every scenario."""
    async with Client(Address(daemon.url, await asyncio.to_thread(lambda: daemon.key))) as client:
        asked = await scenarios.run(client, every, together=together)
    found = scenarios.figures(asked, cut)
    assert found["context_recall"] > scenarios.LEAST_RECALL, found["missed"]
    assert scenarios.LEAST_COVERAGE == found["coverage"], found["missed"]
    assert found["most_tokens"] <= scenarios.BUDGET


async def test_without_its_memories_the_harness_fails(daemon: RunningDaemon, every: list[Scenario]) -> None:
    """The control: where the turns that answer were never said, nothing is found and the gate does not open."""
    silent = [
        Scenario(one.name, one.kind, one.languages, [t for t in one.turns if t.key is None], one.questions)
        for one in every[:3]
    ]
    async with Client(Address(daemon.url, await asyncio.to_thread(lambda: daemon.key))) as client:
        asked = await scenarios.run(client, silent)
    found = scenarios.figures(asked, scenarios.MOST)
    assert (0, 0) == (found["context_recall"], found["coverage"])
    assert not scenarios.passed(found)


def test_scenarios_that_prove_nothing_are_refused(tmp_path: Path) -> None:
    """Too few distractors, or a question whose answer nobody gave."""
    source = scenarios.FOLDER / "dog-name.json"
    few = tmp_path / "few"
    few.mkdir()
    text = source.read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if '"text"' not in line or '"key"' in line]
    (few / "x.json").write_text("\n".join(kept).replace("},\n  ],", "}\n  ],"), encoding="utf-8")
    with pytest.raises(ValueError, match="distract"):
        scenarios.read(few)
    unsaid = tmp_path / "unsaid"
    unsaid.mkdir()
    shutil.copy(source, unsaid / "x.json")
    (unsaid / "x.json").write_text(text.replace('"expect": ["a"]', '"expect": ["z"]'), encoding="utf-8")
    with pytest.raises(ValueError, match="nobody said"):
        scenarios.read(unsaid)
