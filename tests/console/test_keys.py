"""What the keys do: screens, operations, pausing, searching, and changing under guards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from memdeck_console.app import Console
from memdeck_console.screens.advice import Advice
from memdeck_console.screens.dialogs import Confirm, Form, Reader
from memdeck_console.screens.help import Help
from memdeck_console.screens.memory import MemoryScreen
from memdeck_console.widgets.chrome import Footer, footer_keys
from memdeck_console.widgets.panel import Panel
from memdeck_console.widgets.trend import Trend
from tests.fakes import deck, memories, scenes
from tests.support.waiting import eventually


def drawn(app: Console, kind: type[Panel]) -> str:
    """What a panel shows."""
    return "\n".join(
        "".join(span.text for span in (*row.lead, *row.line)) for row in app.screen.query_one(kind)._rows
    )


@asynccontextmanager
async def opened(
    scene: deck.Scene = deck.administered, **options: Any
) -> AsyncIterator[tuple[Pilot[Any], Any, Any]]:
    """Pilot, app and what the daemon was asked."""
    scripted = deck.ScriptedMemories(memories.answer(), list(memories.HISTORY))
    app = deck.deck(scene, scripted, **options)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        yield pilot, app, scripted


def only_file(folder: Path) -> bytes:
    """Content of the one file there is."""
    (file,) = folder.iterdir()
    return file.read_bytes()


async def ask(pilot: Pilot[Any], text: str = "who") -> MemoryScreen:
    """Type a question, as a person does."""
    await pilot.press("slash")
    await eventually(lambda: isinstance(pilot.app.focused, Input), what="the search line has the focus")
    await pilot.press(*text, "enter")
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, MemoryScreen)
    return screen


async def test_numbers_change_the_screen() -> None:
    async with opened() as (pilot, app, _):
        await pilot.press("3")
        assert "memory" == app.screen.name
        await pilot.press("1")
        assert "overview" == app.screen.name


async def test_numbers_of_screens_that_do_not_exist_do_nothing() -> None:
    async with opened() as (pilot, app, _):
        await pilot.press("2", "4", "5", "6", "7")
        assert "overview" == app.screen.name


async def test_the_memory_screen_keeps_its_results_while_another_stands_in_front() -> None:
    async with opened() as (pilot, _, _asked):
        screen = await ask(pilot)
        await pilot.press("1", "3")
        assert 8 == len(screen.inquiry.results)


async def test_brackets_choose_another_operation() -> None:
    async with opened() as (pilot, app, _):
        assert drawn(app, Trend).startswith("search ms")
        await pilot.press("right_square_bracket")
        assert drawn(app, Trend).startswith("add ms")
        await pilot.press("left_square_bracket", "left_square_bracket")
        assert drawn(app, Trend).startswith("embed ms")


async def test_the_graph_begins_with_the_operation_that_needs_a_look() -> None:
    async with opened(deck.troubled) as (_, app, _asked):
        assert drawn(app, Trend).startswith("graph ms")


async def test_pausing_holds_the_body_and_not_the_frame() -> None:
    async with opened() as (pilot, app, _):
        await pilot.press("space")
        app.store.take("boot:2", scenes.tick(scenes.NOON + 1, 88_215, scenes.vitals(scenes.SILENT)))
        app.draw()
        await pilot.pause()
        services, verdict = (app.screen.query_one(name)._rows for name in ("Services", "VerdictRow"))
        assert "6 OK" in str(services[0])
        assert "CRIT" in str(verdict[0])
        await pilot.press("space")
        assert "1 STALE" in str(app.screen.query_one("Services")._rows[0])


async def test_the_rate_stays_within_its_steps() -> None:
    async with opened() as (pilot, app, _):
        await pilot.press("plus")
        assert "1s" == app.rate_words
        await pilot.press(*["minus"] * 9)
        assert "10s" == app.rate_words


async def test_reconnect_is_offered_only_without_a_link() -> None:
    async with opened() as (pilot, app, _):
        assert "reconnect" not in [word for _, word in footer_keys(app.screen)]
    async with opened(deck.degraded) as (pilot, app, _):
        await pilot.press("ctrl+r")
        assert 1 == app.link.retries


async def test_enter_says_what_to_do_about_the_worst() -> None:
    async with opened(deck.troubled) as (pilot, app, _):
        await pilot.press("enter")
        assert isinstance(app.screen, Advice)
        await pilot.press("escape")
        assert "overview" == app.screen.name


async def test_enter_is_not_offered_when_all_is_well() -> None:
    async with opened() as (pilot, app, _):
        assert "open" not in [word for _, word in footer_keys(app.screen)]
        await pilot.press("enter")
        assert "overview" == app.screen.name


async def test_the_footer_has_ten_keys_at_most() -> None:
    async with opened(deck.degraded) as (pilot, app, _):
        await pilot.press("3")
        assert len(footer_keys(app.screen)[: Footer.MOST]) <= 10


async def test_help_lists_every_key_of_the_screen() -> None:
    async with opened() as (pilot, app, _):
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        assert {"/", "space", "f8", "ctrl+t", "q", "?", "["} <= {
            key for keys, _ in app.screen._keys for key in keys.split()
        }


async def test_the_palette_has_every_action() -> None:
    async with opened() as (_, app, _asked):
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Overview", "Memory", "Screenshot", "Export", "Quit", "Theme: light"} <= titles


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_the_palette_opens_by_both_keys(key: str) -> None:
    async with opened() as (pilot, app, _):
        await pilot.press(key)
        await eventually(lambda: type(app.screen).__name__ == "CommandPalette")


async def test_themes_take_turns() -> None:
    async with opened() as (pilot, app, _):
        seen = [app.theme]
        for _ in range(3):
            await pilot.press("ctrl+t")
            seen.append(app.theme)
        assert ["memdeck-dark", "memdeck-light", "memdeck-contrast", "memdeck-dark"] == seen


async def test_quitting_leaves_with_zero() -> None:
    async with opened() as (pilot, app, _):
        await pilot.press("q")
        await pilot.pause()
    assert 0 == app.return_value


async def test_a_question_is_asked_with_its_filters() -> None:
    async with opened() as (pilot, _, scripted):
        await ask(pilot, "who")
        name, query, filters, fields = scripted.asked[0]
        assert ("search", "who", 10, True) == (name, query, fields["top_k"], fields["explain"])
        assert "OR" in filters


async def test_letters_go_to_the_search_line_and_not_to_keys() -> None:
    """`q` would quit and `1` would leave."""
    async with opened() as (pilot, app, _):
        screen = await ask(pilot, "q13f")
        assert "q13f" == screen.inquiry.question.text
        assert app.screen is screen


async def test_filters_are_edited_in_a_form_and_asked_again() -> None:
    async with opened() as (pilot, app, scripted):
        await ask(pilot)
        await pilot.press("f")
        assert isinstance(app.screen, Form)
        await pilot.press(*"ops", "enter")
        await app.workers.wait_for_complete()
        searches = [call for call in scripted.asked if call[0] == "search"]
        assert {"user_id": "ops"} == searches[-1][2]


async def test_a_field_that_cannot_be_meant_keeps_the_form_open() -> None:
    async with opened() as (pilot, app, _scripted):
        await ask(pilot)
        await pilot.press("f", "tab", "tab", "tab", *"soon", "enter")
        assert isinstance(app.screen, Form)
        assert "length of time" in app.screen._said


async def test_another_result_has_its_history_read() -> None:
    async with opened() as (pilot, app, scripted):
        await ask(pilot)
        await pilot.press("down")
        await app.workers.wait_for_complete()
        assert ("history", memories.memory(1).id) == scripted.asked[-1]


async def test_enter_reads_the_memory_whole() -> None:
    async with opened() as (pilot, app, _):
        await ask(pilot)
        await pilot.press("enter")
        assert isinstance(app.screen, Reader)


async def test_forgetting_asks_for_the_id_and_enter_does_nothing_until_it_matches() -> None:
    async with opened() as (pilot, app, scripted):
        screen = await ask(pilot)
        await pilot.press("F", "enter")
        assert isinstance(app.screen, Confirm)
        await pilot.press(*"7f3a91c", "enter")
        assert isinstance(app.screen, Confirm)
        assert "delete" not in [call[0] for call in scripted.asked]
        await pilot.press("2", "enter")
        await app.workers.wait_for_complete()
        assert ("delete", memories.memory(0).id) in scripted.asked
        assert 7 == len(screen.inquiry.results)


async def test_what_was_forgotten_can_be_brought_back() -> None:
    async with opened() as (pilot, app, scripted):
        screen = await ask(pilot)
        await pilot.press("F", *"7f3a91c2", "enter")
        await app.workers.wait_for_complete()
        await pilot.press("u", "enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        await app.workers.wait_for_complete()
        assert ("undo", memories.memory(0).id) in scripted.asked
        assert 8 == len(screen.inquiry.results)


async def test_escape_forgets_nothing() -> None:
    async with opened() as (pilot, _, scripted):
        await ask(pilot)
        await pilot.press("F", *"7f3a91c2", "escape")
        assert "delete" not in [call[0] for call in scripted.asked]


async def test_an_edit_is_sent() -> None:
    async with opened() as (pilot, app, scripted):
        await ask(pilot)
        await pilot.press("E", *" now", "enter")
        await app.workers.wait_for_complete()
        text = memories.memory(0).memory + " now"
        assert ("update", memories.memory(0).id, {"memory": text}) in scripted.asked


@pytest.mark.parametrize("options", [{"read_only": True}, {"scene": deck.healthy}], ids=["profile", "role"])
async def test_who_may_not_write_has_no_keys_for_it(options: dict[str, Any]) -> None:
    """A read-only profile, and an operator's key."""
    async with opened(**options) as (pilot, app, _scripted):
        screen = await ask(pilot)
        await pilot.press("F", "E", "x", "u")
        assert app.screen is screen


async def test_an_export_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened() as (pilot, app, _):
        await ask(pilot)
        await pilot.press("e")
        await app.workers.wait_for_complete()
    content = msgspec.json.decode(only_file(tmp_path))
    assert ("who", 8) == (content["query"], len(content["answer"]["results"]))


async def test_the_text_is_copied() -> None:
    async with opened() as (pilot, app, _):
        await ask(pilot)
        await pilot.press("y")
        assert memories.memory(0).memory == app.clipboard
        await pilot.press("Y")
        assert app.clipboard.startswith("memdeck search")
