"""Bars of `━` on a track: one value, stacked parts, and stages along a time axis.

A bar is full only at 100 % and has at least one cell above 0; the number always stands beside it.
"""

from collections.abc import Sequence

from memdeck_console.core.line import Line, Span

GLYPH = "━"


def cells_of(share: float, width: int) -> int:
    """Filled cells of a share of 0 to 1."""
    if share <= 0:
        return 0
    if share >= 1:
        return width
    return min(width - 1, max(1, round(share * width)))


def bar(share: float | None, width: int, ink: str) -> Line:
    """A share of the whole; None: only the track."""
    filled = cells_of(share or 0.0, width)
    return _joined(((GLYPH * filled, ink), (GLYPH * (width - filled), "rule")))


def stacked(parts: Sequence[tuple[float, str]], whole: float, width: int) -> Line:
    """Parts of a whole in their inks, in the given order, on a track.

    Edges are rounded cumulatively, so that the bar's length is that of the sum. Negative parts shorten nothing and
    are not drawn.
    """
    pieces: list[tuple[str, str]] = []
    total, edge = 0.0, 0
    for value, ink in parts:
        total += max(0.0, value)
        reached = cells_of(total / whole, width) if whole > 0 else 0
        pieces.append((GLYPH * (reached - edge), ink))
        edge = max(edge, reached)
    pieces.append((GLYPH * (width - edge), "rule"))
    return _joined(pieces)


def stage(begin: float, length: float, whole: float, width: int, ink: str) -> Line:
    """One stage of a whole that takes `whole`: empty before it, at least one cell, nothing after it."""
    if whole <= 0:
        return ()
    first = min(width - 1, max(0, round(begin / whole * width)))
    last = min(width, max(first + 1, round((begin + length) / whole * width)))
    return _joined(((" " * first, "text"), (GLYPH * (last - first), ink)))


def _joined(pieces: Sequence[tuple[str, str]]) -> Line:
    return tuple(Span(text, ink) for text, ink in pieces if text)
