"""Help: the keys, made from the bindings of the screen below, and how to read what is drawn."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from memdeck_console.core.line import BLANK, Row, Span, title
from memdeck_console.screens.dialogs import Dialog, Words, keys_row, two_columns
from memdeck_console.widgets.chrome import key_text

FOREIGN = ("app.focus_next", "app.focus_previous", "screen.copy_text", "help_quit")
"""Textual's own bindings, which need no word here."""
_READING = (
    ("now", "median of the last 5 s; p50, p95, p99 are of five minutes"),
    ("burn", "calls over the SLO, by the 1% that p99 allows; warns from 20 on"),
    ("band", "p50 to p99, p99 bright, over the SLO in warn; raised column: gap"),
    ("stale", "old values are dimmed, never green; titles tell their age"),
)


class Help(Dialog[None]):
    """All keys that work on the screen below."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,q", "back", "back", show=False)]
    DEFAULT_CSS = "Help #sheet { width: 92; }"

    def __init__(self, below: Screen[object]) -> None:
        super().__init__()
        self._keys = keys_of(below)

    def sheet(self) -> ComposeResult:
        """Keys, then marks."""
        yield Words(self._rows)

    def _rows(self, width: int) -> list[Row]:
        marks: list[tuple[str, str]] = [
            ("●", "OK"),
            ("▲", "WARN"),
            ("■", "CRIT"),
            ("◌", "STALE"),
            ("–", "missing"),
        ]
        line = tuple(part for mark, word in marks for part in (Span(f"{mark} "), Span(f"{word}   ", "muted")))
        reading = [Row((Span(word.ljust(7)), Span(text[: width - 7], "muted"))) for word, text in _READING]
        return [
            Row(title("Keys", width)),
            *two_columns(self._keys, width),
            BLANK,
            Row(title("Reading", width)),
            Row(line),
            *reading,
            BLANK,
            keys_row(("esc", "back")),
        ]


def keys_of(screen: Screen[object]) -> Sequence[tuple[str, str]]:
    """Key and word of every binding that is available, keys of the same action together."""
    found: dict[str, list[str]] = {}
    for active in screen.active_bindings.values():
        if active.enabled and active.binding.description and active.binding.action not in FOREIGN:
            keys = found.setdefault(active.binding.description, [])
            if (key := key_text(active.binding)) not in keys:
                keys.append(key)
    return [(" ".join(keys), word) for word, keys in found.items()]
