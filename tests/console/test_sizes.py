"""No size of the terminal breaks the console, and no failure of a worker ends it."""

import pytest

from memdeck_common.wire.memory import SearchAnswer
from memdeck_console.core.question import Question
from memdeck_console.screens.memory import MemoryScreen
from tests.fakes import deck, memories

SIZES = [
    (1, 1),
    (2, 40),
    (3, 3),
    (9, 9),
    (17, 20),
    (40, 40),
    (59, 15),
    (60, 16),
    (79, 23),
    (99, 29),
    (101, 31),
    (159, 60),
    (300, 80),
]


@pytest.mark.parametrize("scene", [deck.never, deck.degraded])
async def test_every_size_is_drawn(scene: deck.Scene) -> None:
    """On both screens, with and without results, while the terminal changes under them."""
    app = deck.deck(scene, deck.ScriptedMemories(memories.answer(), list(memories.HISTORY)))
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("3")
        assert isinstance(app.screen, MemoryScreen)
        app.screen.search(Question("who"))
        await app.workers.wait_for_complete()
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await pilot.press("1")
            await pilot.press("3")
        assert app.return_code is None


async def test_a_worker_that_fails_is_shown_and_the_console_goes_on() -> None:
    """A mistake of ours is no reason to leave the person alone."""
    app = deck.deck(deck.healthy)

    async def fails() -> None:
        raise RuntimeError("a mistake of ours")

    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        app.run_worker(fails(), name="experiment", exit_on_error=False)
        await pilot.pause()
        await pilot.pause()
        assert app.is_running
        assert ["RuntimeError: a mistake of ours"] == [
            notification.message for notification in app._notifications
        ]


async def test_a_memory_with_escape_sequences_draws_none() -> None:
    """What agents store is drawn as text, never obeyed."""
    evil = memories.memory(0, memory="a\x1b[2J\x1b]0;owned\x07b\u202e", user_id="x\x1b[1m")
    scripted = deck.ScriptedMemories(SearchAnswer(results=[evil]))
    app = deck.deck(deck.healthy, scripted)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("3")
        assert isinstance(app.screen, MemoryScreen)
        app.screen.search(Question("\x1b[31mred"))
        await app.workers.wait_for_complete()
        await pilot.pause()
        drawn = "".join(segment.text for strip in app.screen._compositor.render_strips() for segment in strip)
        assert drawn.isprintable()


@pytest.mark.parametrize("size", [(50, 14), (59, 40), (120, 15), (30, 6)])
async def test_three_lines_are_left_where_there_is_no_room(size: tuple[int, int]) -> None:
    """Link, worst, counts; never a refusal."""
    app = deck.deck(deck.troubled)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        rows = [
            "".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()
        ]
    assert "LIVE" in rows[0]
    assert "scheduler silent" in rows[1]
    assert "1,204,881" in rows[2]
