"""The base of everything that is drawn: rows in, strips out, and only rows that changed are sent to the terminal.

Owns the palette (inks to styles of the current theme) and the two margin columns: one for the focus mark, one for tints
and selection. Refuses layout of text: `rows` of a subclass gets the width and returns finished rows.
"""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.events import Resize
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from memdeck_console.core.glyphs import ascii_text
from memdeck_console.core.line import Line, Row, Span, title
from memdeck_console.core.store import View
from memdeck_console.theme import REVERSING, TINTS, TOKENS

FOCUS = "▸"
"""Mark of the focused section, in the outermost column; any other mark stands beside the text."""


LEAST = 3
"""Columns of text below which nothing is drawn."""
UNMEASURED = 80
"""Columns for which the number of rows is asked before there is a layout."""


class Palette:
    """Styles by ink, ground and weight, for one theme."""

    def __init__(self, variables: dict[str, str], *, ascii_only: bool, reversing: bool) -> None:
        self._colours = {token: variables[f"md-{token}"] for token in TOKENS}
        self._styles: dict[tuple[str, str, bool, bool], Style] = {}
        self._reversing = reversing
        self.ascii_only = ascii_only

    def segment(self, span: Span, ground: str) -> Segment:
        """A span on the ground of its row."""
        text = ascii_text(span.text, span.ink) if self.ascii_only else span.text
        key = (span.ink, span.ground or ground, span.bold, span.reverse)
        style = self._styles.get(key)
        if style is None:
            style = self._styles[key] = self._style(*key)
        return Segment(text, style)

    def _style(self, ink: str, ground: str, bold: bool, reverse: bool) -> Style:
        if self._reversing and ground in TINTS and not reverse:
            ink, reverse = "text", True
        return Style(color=self._colours[ink], bgcolor=self._colours[ground], bold=bold, reverse=reverse)


def palette_of(app: App[object]) -> Palette:
    """The palette of the app's theme; made once per theme."""
    reversing = app.theme == REVERSING
    ascii_only = bool(getattr(app, "ascii_only", False))
    kept: tuple[str, Palette] | None = getattr(app, "kept_palette", None)
    if kept is None or kept[0] != app.theme:
        variables = app.theme_variables or app.get_css_variables()
        kept = (app.theme, Palette(variables, ascii_only=ascii_only, reversing=reversing))
        app.kept_palette = kept  # type: ignore[attr-defined]  # the app is ours; see app.py
    return kept[1]


class Panel(Widget):
    """A stretch of rows made from a view."""

    DEFAULT_CSS = """
    Panel { width: 1fr; height: auto; background: $md-bg; }
    """
    MARGIN_LEFT: ClassVar[int] = 2
    """Focus mark, then the column of tints and selection."""
    MARGIN_RIGHT: ClassVar[int] = 1
    GROUND: ClassVar[str] = "bg"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._view: View | None = None
        self._rows: list[Row] = []

    def rows(self, view: View, width: int) -> list[Row]:
        """The rows at a width of text; subclasses say."""
        raise NotImplementedError

    def build(self, width: int) -> list[Row]:
        """The rows of the current view; none before there is one."""
        return self.rows(self._view, width) if self._view is not None else []

    @property
    def ground(self) -> str:
        """What rows without a tint stand on."""
        return self.GROUND

    @property
    def text_width(self) -> int:
        """Columns of text."""
        return max(0, self.size.width - self.MARGIN_LEFT - self.MARGIN_RIGHT)

    def head(self, name: str, width: int, *, unit: str = "", summary: Line = ()) -> Row:
        """The section's title; with mark and accent while the panel has the focus."""
        line = title(name, width, unit=unit, summary=summary, focused=self.has_focus)
        return Row(line, mark=FOCUS if self.has_focus else "")

    def show(self, view: View) -> None:
        """Draw another view; rows that stay the same are not touched."""
        self._view = view
        self.redraw()

    def redraw(self) -> None:
        """Draw the same view again: something else that the rows depend on has changed."""
        if self.size.width:
            self._take(self._built(self.text_width))
        elif self.display:
            # A panel without rows has no size, and without a size it would never get rows.
            self._take(self.build(UNMEASURED))

    def _take(self, rows: list[Row]) -> None:
        before, self._rows = self._rows, rows
        if len(before) != len(rows):
            self.refresh(layout=self._grows)
            return
        if self._misfits(rows):
            self.refresh(layout=True)
            return
        changed = [y for y, (old, new) in enumerate(zip(before, rows, strict=True)) if old != new]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    @property
    def _grows(self) -> bool:
        height = self.styles.height
        return height is not None and height.is_auto

    def _misfits(self, rows: list[Row]) -> bool:
        """Whether the layout was made for another number of rows: they may change between layout and resize."""
        return self._grows and bool(self.size.height) and self.size.height != len(rows)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as there are at this width."""
        del container, viewport
        return len(self._built(width - self.MARGIN_LEFT - self.MARGIN_RIGHT))

    def _built(self, width: int) -> list[Row]:
        """The rows, none where there is no room for words."""
        return self.build(width) if width >= LEAST else []

    def on_resize(self, event: Resize) -> None:
        """Rows depend on the width."""
        del event
        if self.size.width:
            self._rows = self._built(self.text_width)
            self.refresh(layout=self._misfits(self._rows))

    def watch_has_focus(self, has_focus: bool) -> None:
        """The title shows it. A handler of the event would come too early: the base class sets this after it."""
        super().watch_has_focus(has_focus)
        self.redraw()

    def notify_style_update(self) -> None:
        """Another theme: all rows."""
        super().notify_style_update()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row."""
        row = self._rows[y] if y < len(self._rows) else Row()
        return self._strip(row)

    def _strip(self, row: Row) -> Strip:
        palette, width, own = palette_of(self.app), self.size.width, self.ground
        tint = row.ground or own
        segments: list[Segment] = []
        if self.MARGIN_LEFT:
            focus, edge = (row.mark, " ") if row.mark == FOCUS else (" ", row.mark or " ")
            segments.append(palette.segment(Span(focus, "accent"), own))
            if not row.lead:
                segments.append(palette.segment(Span(edge, "accent"), tint))
        segments += [palette.segment(span, tint) for span in (*row.lead, *row.line)]
        drawn = sum(segment.cell_length for segment in segments)
        if drawn < width:
            segments.append(palette.segment(Span(" " * (width - drawn)), tint))
        return Strip(segments, max(drawn, width)).crop(0, width)


class Sheet(Panel):
    """A panel whose rows do not come from the feed: what they show is handed over by its screen."""

    def build(self, width: int) -> list[Row]:
        """The rows at a width of text; subclasses say."""
        raise NotImplementedError
