"""What to do about one fact: what is wrong, since when, and the next step."""

from textual.app import ComposeResult

from memdeck_console.core import formatting
from memdeck_console.core.facts import Fact
from memdeck_console.core.line import BLANK, Row, Span, plain, title
from memdeck_console.core.store import View
from memdeck_console.screens.dialogs import Dialog, Words, keys_row, paragraph


class Advice(Dialog[None]):
    """One fact, at length."""

    def __init__(self, fact: Fact, view: View) -> None:
        super().__init__()
        self._fact, self._view = fact, view

    def sheet(self) -> ComposeResult:
        """What is wrong, and what to do."""
        yield Words(self._rows)

    def _rows(self, width: int) -> list[Row]:
        fact, view = self._fact, self._view
        severity = (Span(fact.severity.upper(), fact.severity, bold=True),)
        since = "" if fact.since is None else f"{formatting.duration(view.at - fact.since)}, "
        begin = "since" if fact.seen_begin else "since before"
        lines = [line for line in view.log if line.service == fact.subject][-3:]
        return [
            Row(title(fact.subject, width, summary=severity)),
            BLANK,
            *paragraph(fact.sentence, width),
            Row((Span(f"{since}{begin} {formatting.clock(fact.since)}", "muted"),)),
            BLANK,
            *paragraph(fact.advice, width),
            BLANK,
            *[
                Row((Span(f"{formatting.instant(n.at)}  {plain(n.message)}"[:width], "muted"),))
                for n in lines
            ],
            *([BLANK] if lines else []),
            keys_row(("esc", "back")),
        ]
