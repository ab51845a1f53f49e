"""Pictures of the console: the real app over scripted scenes, as SVG and, where rsvg-convert is there, as PNG.

    .venv/bin/python scripts/console_pictures.py OUTPUT_DIR [NAME …]
    .venv/bin/python scripts/console_pictures.py OUTPUT_DIR --home DIR --user alice --ask "What can she eat?"

With --home the console is attached to the daemon that runs there and drawn as it is: `overview` and `memory`.

The SVG has one rectangle per run of background and places each glyph on the cell grid, so that it looks the same with
any monospaced font. PNGs need `rsvg-convert` (librsvg2-bin) and look best with JetBrains Mono (fonts-jetbrains-mono).
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.pilot import Pilot

from memdeck_common.clock import SystemClock
from memdeck_common.paths import Home
from memdeck_console.app import Console, connector
from memdeck_console.core.link import FeedLink
from memdeck_console.core.question import Question
from memdeck_console.core.store import Store
from memdeck_console.screens.memory import MemoryScreen
from tests.fakes import deck, memories

LOOK_SECONDS = 3.0
"""Until a live console has been told everything."""
CELL, LINE, EDGE = 13, 28, 20
FONT = 21.6
FONTS = "'JetBrains Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace"
BASELINE = 20.6


@dataclass(frozen=True)
class Picture:
    """One picture: a scene, a size, and what is pressed before."""

    scene: deck.Scene
    width: int = 120
    height: int = 36
    memory: bool = False
    answer: Any = None
    press: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


PICTURES = {
    "overview-120x36": Picture(deck.troubled),
    "overview-80x24": Picture(deck.troubled, 80, 24),
    "overview-degraded-120x36": Picture(deck.degraded),
    "overview-severed-120x36": Picture(deck.severed),
    "advice-mode-120x36": Picture(deck.severed, press=("enter",)),
    "overview-healthy-120x36": Picture(deck.healthy),
    "overview-restart-120x36": Picture(deck.restarted),
    "overview-never-120x36": Picture(deck.never),
    "overview-fresh-120x36": Picture(deck.fresh),
    "overview-100x30": Picture(deck.troubled, 100, 30),
    "overview-200x50": Picture(deck.troubled, 200, 50),
    "overview-70x24": Picture(deck.troubled, 70, 24),
    "overview-50x14": Picture(deck.troubled, 50, 14),
    "overview-light-120x36": Picture(deck.troubled, options={"look": "light"}),
    "overview-contrast-120x36": Picture(deck.troubled, options={"look": "contrast"}),
    "overview-prd-120x36": Picture(deck.troubled, options={"prd": True}),
    "overview-ascii-120x36": Picture(deck.troubled, options={"ascii_only": True}),
    "memory-120x36": Picture(deck.administered, memory=True, answer=memories.answer()),
    "memory-80x24": Picture(deck.administered, 80, 24, memory=True, answer=memories.answer()),
    "memory-empty-120x36": Picture(deck.administered, memory=True),
    "memory-light-120x36": Picture(
        deck.administered, memory=True, answer=memories.answer(), options={"look": "light"}
    ),
    "memory-forget-120x36": Picture(deck.administered, memory=True, answer=memories.answer(), press=("F",)),
    "memory-filters-120x36": Picture(deck.administered, memory=True, answer=memories.answer(), press=("f",)),
    "help-120x36": Picture(deck.troubled, press=("question_mark",)),
    "advice-120x36": Picture(deck.troubled, press=("enter",)),
}


async def drawn(picture: Picture) -> tuple[Console, list[list[Segment]]]:
    """The app, and the segments of each row of its screen."""
    scripted = deck.ScriptedMemories(picture.answer, list(memories.HISTORY))
    app = deck.deck(picture.scene, scripted, **picture.options)
    async with app.run_test(size=(picture.width, picture.height)) as pilot:
        if picture.memory:
            await _ask(pilot, answered=picture.answer is not None)
        for key in picture.press:
            await pilot.press(key)
        await pilot.pause()
        return app, _filtered(app, _rows(app))


def _filtered(app: Console, rows: list[list[Segment]]) -> list[list[Segment]]:
    for line_filter in app._filters:  # noqa: SLF001 - NO_COLOR is one of them
        if line_filter.enabled:
            rows = [list(line_filter.apply(row, app.screen.background_colors[0])) for row in rows]
    return rows


async def live(home: Home, user: str, question: str) -> dict[str, tuple[Console, list[list[Segment]]]]:
    """The console of a running daemon: its overview, and a search."""
    clock = SystemClock()
    store = Store(clock)
    app = Console(store, FeedLink(store, connector(None, home), clock), clock)
    pictures = {}
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause(LOOK_SECONDS)
        pictures["overview"] = app, _filtered(app, _rows(app))
        await pilot.press("3")
        screen = pilot.app.screen
        if isinstance(screen, MemoryScreen):
            screen.query_one("#question").value = question  # type: ignore[attr-defined]  # an Input
            screen.search(Question(text=question, user=user, limit=8))
            await pilot.pause(LOOK_SECONDS)
        pictures["memory"] = app, _filtered(app, _rows(app))
    return pictures


def _rows(app: Console) -> list[list[Segment]]:
    return [list(strip) for strip in app.screen._compositor.render_strips()]  # noqa: SLF001 - what is drawn, cell by cell


async def _ask(pilot: Pilot[Any], *, answered: bool) -> None:
    await pilot.press("3")
    screen = pilot.app.screen
    if isinstance(screen, MemoryScreen) and answered:
        screen.query_one("#question").value = memories.QUESTION  # type: ignore[attr-defined]  # an Input
        screen.search(Question(text=memories.QUESTION, user="ops", since="90d", limit=8, threshold=0.3))
        await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def svg(rows: list[list[Segment]], width: int, page: str) -> str:
    """The rows as a picture."""
    size = f"{width * CELL + 2 * EDGE}", f"{len(rows) * LINE + 2 * EDGE}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}">',
        f"<style>text {{ font-family: {FONTS}; font-size: {FONT}px; white-space: pre }}</style>",
        f'<rect width="100%" height="100%" fill="{page}"/>',
    ]
    first = _colours((rows[0][0].style if rows and rows[0] else None) or Style())[1]
    parts.append(f'<rect width="100%" height="{EDGE + 1}" fill="{first}"/>')
    for y, row in enumerate(rows):
        parts += _edges(row, y, width, page)
        parts += _row(row, y)
    return "\n".join([*parts, "</svg>\n"])


def _edges(row: list[Segment], y: int, width: int, page: str) -> Iterable[str]:
    """Rows that run from edge to edge reach the picture's."""
    if row:
        for x, style in ((0, row[0].style), (EDGE + width * CELL, row[-1].style)):
            colour = _colours(style or Style())[1]
            if colour != page:
                top, height = (0, EDGE + LINE) if y == 0 else (EDGE + y * LINE, LINE + 0.5)
                yield f'<rect x="{x}" y="{top}" width="{EDGE}" height="{height}" fill="{colour}"/>'


def _row(row: list[Segment], y: int) -> Iterable[str]:
    x = 0
    top = EDGE + y * LINE
    grounds: list[str] = []
    texts: list[str] = []
    for text, style, _ in row:
        ink, ground = _colours(style or Style())
        cells = cell_len(text)
        left = EDGE + x * CELL
        grounds.append(
            f'<rect x="{left}" y="{top}" width="{cells * CELL + 0.5}" height="{LINE + 0.5}" fill="{ground}"/>'
        )
        texts += _text(text, left, top, ink, bold=bool(style and style.bold))
        x += cells
    yield from grounds
    yield from texts


def _text(text: str, left: int, top: int, ink: str, *, bold: bool) -> Iterable[str]:
    """Letters as text, chart marks as shapes: their places must not depend on a font."""
    places = [left + cell_len(text[:i]) * CELL for i in range(len(text))]
    shapes = "".join(_shape(glyph, x, top) for glyph, x in zip(text, places, strict=True))
    if shapes:
        yield f'<path d="{shapes}" fill="{ink}"/>'
    letters = "".join(" " if _shape(glyph, 0, 0) else glyph for glyph in text)
    if letters.strip():
        weight = ' font-weight="bold"' if bold else ""
        xs = " ".join(map(str, places))
        yield f'<text x="{xs}" y="{top + BASELINE}" fill="{ink}"{weight} xml:space="preserve">{escape(letters)}</text>'


_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille pattern."""
_LINES = {
    # left, right, vertical: 0 none, 1 light, 2 heavy
    "─": (1, 1, 0), "━": (2, 2, 0), "╴": (1, 0, 0), "╶": (0, 1, 0), "╸": (2, 0, 0), "╺": (0, 2, 0),
    "╾": (2, 1, 0), "╼": (1, 2, 0), "│": (0, 0, 1), "┼": (1, 1, 1), "┿": (2, 2, 1), "├": (0, 1, 1),
    "┤": (1, 0, 1), "┝": (0, 2, 1), "┥": (2, 0, 1), "┽": (2, 1, 1), "┾": (1, 2, 1),
}  # fmt: skip
_THICK = (0.0, 2.0, 4.0)


def _shape(glyph: str, x: float, top: float) -> str:
    code = ord(glyph)
    if "\u2801" <= glyph <= "\u28ff":
        return "".join(_dot(x, top, *_DOTS[bit]) for bit in range(8) if code >> bit & 1)
    if "▁" <= glyph <= "█":
        height = LINE * (code - ord("▁") + 1) / 8
        return _box(x, top + LINE - height, CELL, height)
    if glyph == "╌":
        return "".join(_box(x + i * CELL / 2, top + LINE / 2 - 1, 4, 1.6) for i in (0, 1))
    if glyph == "▌":
        return _box(x, top, CELL / 2, LINE)
    if glyph in _LINES:
        return _strokes(_LINES[glyph], x, top)
    return ""


def _strokes(strokes: tuple[int, int, int], x: float, top: float) -> str:
    middle = top + LINE / 2
    made = ""
    for half, thick in ((0, _THICK[strokes[0]]), (1, _THICK[strokes[1]])):
        if thick:
            made += _box(x + half * CELL / 2, middle - thick / 2, CELL / 2, thick)
    return made + (_box(x + CELL / 2 - 1, top, 2, LINE) if strokes[2] else "")


def _dot(x: float, top: float, column: int, row: int) -> str:
    cx, cy, r = x + CELL * (1 + 2 * column) / 4, top + LINE * (1 + 2 * row) / 8, 2.3
    return f"M{cx - r:g} {cy:g}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 -{2 * r} 0z"


def _box(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:g} {y:g}h{width:g}v{height:g}h-{width:g}z"


def _colours(style: Style) -> tuple[str, str]:
    ink = style.color.get_truecolor().hex if style.color else "#dce3eb"
    ground = style.bgcolor.get_truecolor().hex if style.bgcolor else "#0e1217"
    return (ground, ink) if style.reverse else (ink, ground)


def main() -> None:
    """Draw the named pictures, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("output", type=Path)
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []])
    parser.add_argument("--home", type=Path, help="home of a running daemon")
    parser.add_argument("--user", default="ops", help="whose memories to search there")
    parser.add_argument("--ask", default=memories.QUESTION, help="what to search for there")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    if options.home:
        for name, (app, rows) in asyncio.run(live(Home(options.home), options.user, options.ask)).items():
            _written(options.output / f"{name}.svg", svg(rows, 120, app.theme_variables["md-bg"].lower()))
        return
    for name in options.names or PICTURES:
        picture = PICTURES[name]
        app, rows = asyncio.run(drawn(picture))
        page = app.theme_variables["md-bg"].lower()
        _written(options.output / f"{name}.svg", svg(rows, picture.width, page))


def _written(path: Path, picture: str) -> None:
    path.write_text(picture, encoding="utf-8")
    if converter := shutil.which("rsvg-convert"):
        subprocess.run([converter, str(path), "-o", str(path.with_suffix(".png"))], check=True)
    print(path)


if __name__ == "__main__":
    main()
