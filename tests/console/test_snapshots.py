"""Pictures of the screens at the two sizes that matter, in every look and state; a person has looked at each."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from memdeck_common.errors import Forbidden, MemdeckError
from memdeck_common.wire.memory import SearchAnswer
from memdeck_console.core.question import Question
from memdeck_console.screens.memory import MemoryScreen
from tests.fakes import deck, memories

Compare = Callable[..., bool]
HABIT, REMOTE = (120, 36), (80, 24)
ASKED = Question(text=memories.QUESTION, user="ops", since="90d", limit=8, threshold=0.3)
SCENES = {
    "starting": deck.nothing,
    "never": deck.never,
    "refused": deck.refused,
    "fresh": deck.fresh,
    "healthy": deck.healthy,
    "troubled": deck.troubled,
    "degraded": deck.degraded,
    "severed": deck.severed,
    "restarted": deck.restarted,
}


@pytest.mark.parametrize("size", [HABIT, REMOTE], ids=["120x36", "80x24"])
@pytest.mark.parametrize("scene", SCENES)
def test_overview(snap_compare: Compare, scene: str, size: tuple[int, int]) -> None:
    """Healthy, one CRIT and one WARN with a gap, a lost link, a restart, and no daemon at all."""
    assert snap_compare(deck.deck(SCENES[scene]), terminal_size=size)


@pytest.mark.parametrize(
    "options",
    [{"look": "light"}, {"look": "contrast"}, {"ascii_only": True}, {"prd": True}],
    ids=["light", "contrast", "ascii", "prd"],
)
def test_overview_in_other_looks(snap_compare: Compare, options: dict[str, Any]) -> None:
    """CRIT wins in each of them."""
    assert snap_compare(deck.deck(deck.troubled, **options), terminal_size=HABIT)


@pytest.mark.parametrize("scene", ["troubled", "degraded"])
def test_overview_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, scene: str) -> None:
    """NO_COLOR: glyphs, words and reverse carry everything."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(deck.deck(SCENES[scene]), terminal_size=HABIT)


@pytest.mark.parametrize(
    "size", [(200, 50), (110, 34), (100, 30), (120, 24), (70, 24), (59, 30), (50, 14), (20, 3)]
)
def test_overview_shrinks_in_order(snap_compare: Compare, size: tuple[int, int]) -> None:
    """What decides is the last to go."""
    assert snap_compare(deck.deck(deck.troubled), terminal_size=size)


def searched(question: Question = ASKED) -> Callable[[Pilot[Any]], Awaitable[None]]:
    """Go to the Memory screen and ask."""

    async def do(pilot: Pilot[Any]) -> None:
        await pilot.press("3")
        screen = pilot.app.screen
        assert isinstance(screen, MemoryScreen)
        screen.search(question)
        if pilot.app.link.memories.answer is not None:  # type: ignore[attr-defined]  # the scripted one
            await pilot.app.workers.wait_for_complete()
        await pilot.pause()

    return do


ANSWERS: dict[str, SearchAnswer | MemdeckError | None] = {
    "results": memories.answer(),
    "nothing": SearchAnswer(results=[], total=1_204_881),
    "degraded": SearchAnswer(results=memories.answer(3).results, degraded=["dense arm"], total=3),
    "error": Forbidden("This key is pinned to workspace_7_*; press f and name a user that it may read."),
    "loading": None,
}


@pytest.mark.parametrize("size", [HABIT, REMOTE], ids=["120x36", "80x24"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_memory(snap_compare: Compare, answer: str, size: tuple[int, int]) -> None:
    """Results with their reasons, nothing found, a refusal, and a search that has not come back."""
    scripted = deck.ScriptedMemories(ANSWERS[answer], list(memories.HISTORY))
    app = deck.deck(deck.administered, scripted)
    assert snap_compare(app, terminal_size=size, run_before=searched())


@pytest.mark.parametrize("size", [HABIT, REMOTE], ids=["120x36", "80x24"])
def test_memory_before_anything_was_asked(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(deck.deck(deck.healthy), press=("3",), terminal_size=size)


def test_memory_when_the_link_went(snap_compare: Compare) -> None:
    """What was found stays, dimmed, with its age; what would change something goes."""
    scripted = deck.ScriptedMemories(memories.answer(), list(memories.HISTORY))
    assert snap_compare(deck.deck(deck.degraded, scripted), terminal_size=HABIT, run_before=searched())


@pytest.mark.parametrize("look", ["light", "contrast"])
def test_memory_in_other_looks(snap_compare: Compare, look: str) -> None:
    scripted = deck.ScriptedMemories(memories.answer(), list(memories.HISTORY))
    app = deck.deck(deck.administered, scripted, look=look)
    assert snap_compare(app, terminal_size=HABIT, run_before=searched())


def test_memory_read_only(snap_compare: Compare) -> None:
    """No key that changes something is offered."""
    scripted = deck.ScriptedMemories(memories.answer(), list(memories.HISTORY))
    app = deck.deck(deck.administered, scripted, read_only=True)
    assert snap_compare(app, terminal_size=HABIT, run_before=searched())


@pytest.mark.parametrize(
    "key", ["F", "E", "x", "u", "f", "enter"], ids=["forget", "edit", "expire", "undo", "filters", "open"]
)
def test_dialogs_of_the_memory_screen(snap_compare: Compare, key: str) -> None:
    scripted = deck.ScriptedMemories(memories.answer(), list(memories.HISTORY))
    app = deck.deck(deck.administered, scripted)

    async def do(pilot: Pilot[Any]) -> None:
        await searched()(pilot)
        await pilot.press(key)

    assert snap_compare(app, terminal_size=HABIT, run_before=do)


@pytest.mark.parametrize("size", [HABIT, REMOTE], ids=["120x36", "80x24"])
@pytest.mark.parametrize("key", ["question_mark", "enter"], ids=["help", "advice"])
def test_dialogs_of_the_overview(snap_compare: Compare, key: str, size: tuple[int, int]) -> None:
    assert snap_compare(deck.deck(deck.troubled), press=(key,), terminal_size=size)
