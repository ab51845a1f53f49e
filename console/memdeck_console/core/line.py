"""The vocabulary of drawing: spans of text in an ink, rows of spans, and how rows are laid out.

Owns inks by name (the tokens of the look, `text`, `muted`, `crit`, …), never by colour: the widgets' palette knows
those. Everything that came from outside passes `plain` before it is laid out, so that no memory can move the cursor.
"""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size

ELLIPSIS = "…"


class Span(NamedTuple):
    """A piece of text in one ink."""

    text: str
    ink: str = "text"
    bold: bool = False
    reverse: bool = False
    ground: str = ""
    """Token behind the text; empty: what the row stands on."""


Line = tuple[Span, ...]


class Row(NamedTuple):
    """One row of a panel."""

    line: Line = ()
    ground: str = ""
    """Tint of the whole row, one column past the text on both sides."""
    mark: str = ""
    """A glyph in the margin, in accent: `▸` where the focus is, `▌` at a selection."""
    lead: Line = ()
    """Begins one column left of the text, where tints begin: a chip."""


BLANK = Row()


def plain(text: str) -> str:
    """Text from outside without anything that a terminal would obey: control, format and bidi characters become spaces."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(c)[0] in "CZ" and c != "\u200d" else c for c in text)


def width_of(line: Iterable[Span]) -> int:
    """Cells that a line takes."""
    return sum(cell_len(span.text) for span in line)


def cut(text: str, width: int) -> str:
    """At most `width` cells; what is cut ends in `…`."""
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    return set_cell_size(text, width - 1).rstrip() + ELLIPSIS


def left(text: str, width: int, ink: str = "text", *, bold: bool = False) -> Span:
    """Words: cut to the width, filled at the right."""
    return Span(set_cell_size(cut(text, width), width), ink, bold)


def right(text: str, width: int, ink: str = "text", *, bold: bool = False) -> Span:
    """Numbers: never cut, filled at the left."""
    return Span(" " * (width - cell_len(text)) + text, ink, bold)


def space(width: int) -> Span:
    """Empty cells."""
    return Span(" " * max(0, width))


def cut_line(line: Line, width: int) -> Line:
    """At most `width` cells of a line."""
    taken: list[Span] = []
    room = width
    for span in line:
        size = cell_len(span.text)
        if size > room:
            if room > 0:
                taken.append(span._replace(text=cut(span.text, room)))
            break
        taken.append(span)
        room -= size
    return tuple(taken)


def spread(begin: Line, end: Line, width: int) -> Line:
    """`begin` at the left and `end` at the right edge; `begin` is cut when both do not fit."""
    room = width - width_of(end)
    begin = cut_line(begin, room - (2 if end else 0))
    return (*begin, space(room - width_of(begin)), *end)


def wrapped(text: str, width: int, rows: int) -> list[str]:
    """The text in at most `rows` rows of `width` cells, broken between words where possible."""
    lines: list[str] = []
    current = ""
    for word in text.split():
        for piece in chop_cells(word, width) or [""]:
            joined = f"{current} {piece}" if current else piece
            if cell_len(joined) <= width:
                current = joined
            else:
                lines.append(current)
                current = piece
    if current:
        lines.append(current)
    if len(lines) > rows:
        lines = [*lines[: rows - 1], cut(" ".join(lines[rows - 1 :]), width)]
    return lines


def title(name: str, width: int, *, unit: str = "", summary: Line = (), focused: bool = False) -> Line:
    """A section's title: bold name, muted unit, hairline, summary at the end."""
    ink = "accent" if focused else "text"
    head: Line = (Span(name, ink, bold=True), *((Span(f" {unit}", "muted"),) if unit else ()))
    summary = cut_line(summary, max(0, width - width_of(head) - 2))
    rest = width - width_of(head) - width_of(summary) - (2 if summary else 1)
    hairline = Span(" " + "─" * max(0, rest), "accent" if focused else "rule")
    return (*head, hairline, *((Span(" "), *summary) if summary else ()))
