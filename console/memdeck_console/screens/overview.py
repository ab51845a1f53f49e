"""Overview: is it well, and if not, what first.

Services and latency, one graph with the counts beside it, what needs attention, the newest log lines. Shrinks in the
order of the look: graph and log go below 30 rows, tables stack below 100 columns, only what is not OK stays below 80,
and below 60×16 three lines.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget

from memdeck_console.core.store import View
from memdeck_console.screens.advice import Advice
from memdeck_console.screens.deck import DeckScreen
from memdeck_console.widgets.attention import Attention
from memdeck_console.widgets.brief import Brief
from memdeck_console.widgets.counts import Counts
from memdeck_console.widgets.latency import Latency
from memdeck_console.widgets.logtail import LogTail
from memdeck_console.widgets.services import NARROW, SINGLE, Services
from memdeck_console.widgets.trend import Trend

TURN = Binding.Group("operation")
FRAME = 16
"""Rows that a narrow terminal needs beside those of services, two in a row, and of operations: all else, and two facts."""


class OverviewScreen(DeckScreen):
    """The first screen."""

    WINDOWED: ClassVar[bool] = True
    """Its figures are of a window of time, which the tabs row names."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open"),
        Binding("left_square_bracket", "turn(-1)", "previous operation", group=TURN),
        Binding("right_square_bracket", "turn(1)", "next operation", group=TURN),
        Binding("y", "copy", "copy the verdict"),
        Binding("e", "export", "export"),
    ]
    FOOTER: ClassVar[tuple[str, ...]] = (
        "screen", "open", "search", "operation", "reconnect", "pause", "rate", "palette", "help", "quit",
    )  # fmt: skip
    SPARE: ClassVar[tuple[str, ...]] = ("rate", "operation", "screen", "pause", "palette")
    DEFAULT_CSS = """
    OverviewScreen #top { height: auto; margin-top: 1; }
    OverviewScreen Services { width: 50; }
    OverviewScreen #middle { height: auto; margin-top: 1; }
    OverviewScreen Trend { margin-right: 1; }
    OverviewScreen Counts { width: 43; }
    OverviewScreen Attention { margin-top: 1; }
    OverviewScreen LogTail { margin-top: 1; }
    OverviewScreen Brief { display: none; }

    OverviewScreen.-w160 Services { width: 64; }
    OverviewScreen.-w160 Counts { width: 50; }
    OverviewScreen.-w100 Services { width: 41; }
    OverviewScreen.-h0 Trend, OverviewScreen.-h16 Trend, OverviewScreen.-h0 LogTail,
    OverviewScreen.-h16 LogTail { display: none; }
    OverviewScreen.-h0 #top, OverviewScreen.-h16 #top { margin-top: 0; }
    OverviewScreen.-h0 Counts, OverviewScreen.-h16 Counts { width: 1fr; }
    OverviewScreen.-w0 #top, OverviewScreen.-w60 #top, OverviewScreen.-w80 #top,
    OverviewScreen.-w0 #middle, OverviewScreen.-w60 #middle, OverviewScreen.-w80 #middle { layout: vertical; }
    OverviewScreen.-w0 Services, OverviewScreen.-w60 Services, OverviewScreen.-w80 Services,
    OverviewScreen.-w0 Counts, OverviewScreen.-w60 Counts, OverviewScreen.-w80 Counts { width: 1fr; }
    OverviewScreen.-w0 Latency, OverviewScreen.-w60 Latency, OverviewScreen.-w80 Latency { margin-top: 1; }
    OverviewScreen.-w0 Trend, OverviewScreen.-w60 Trend, OverviewScreen.-w80 Trend { margin-right: 0; margin-bottom: 1; }
    OverviewScreen.-cramped #middle { display: none; }
    OverviewScreen.-w0 #body > *, OverviewScreen.-h0 #body > * { display: none; }
    OverviewScreen.-w0 #body > Brief, OverviewScreen.-h0 #body > Brief { display: block; }
    OverviewScreen.-w0 Tabs, OverviewScreen.-h0 Tabs, OverviewScreen.-w0 VerdictRow,
    OverviewScreen.-h0 VerdictRow, OverviewScreen.-w0 Header, OverviewScreen.-h0 Header { display: none; }
    """

    def body(self) -> Iterable[Widget]:
        """From the tables to the log, read top to bottom."""
        yield Brief()
        yield Horizontal(Services(), Latency(), id="top")
        yield Horizontal(Trend(), Counts(), id="middle")
        yield Attention()
        yield LogTail()

    def show(self, view: View, *, frozen: bool) -> None:
        """Draw a view; in a small terminal the counts make room for what needs attention."""
        columns, rows = self.app.size
        needed = FRAME + (len(view.vitals.services) + 1) // 2 + len(view.operations)
        small = SINGLE <= columns < NARROW and rows < needed
        self.set_class(small and bool(view.facts), "-cramped")
        super().show(view, frozen=frozen)

    def on_mount(self) -> None:
        """Attention has the focus: enter says what to do."""
        self.query_one(Attention).focus()

    def action_turn(self, step: int) -> None:
        """Another operation in the graph."""
        self.query_one(Trend).turn(step)

    def action_open(self) -> None:
        """What to do about the chosen fact."""
        fact = self.query_one(Attention).fact
        if fact is not None:
            self.app.push_screen(Advice(fact, self.app_view()))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now."""
        del parameters
        if action == "open":
            return bool(self.app_view().facts)
        if action == "turn":
            return bool(self.app_view().operations) and self.has_class("-h30")
        return True

    def copied(self) -> str:
        """The verdict in words."""
        facts = self.app_view().facts
        return "\n".join(f"{f.severity.upper()} {f.subject} {f.sentence}" for f in facts) or "OK"

    def action_copy(self) -> None:
        """Copy what needs attention."""
        self.app.copy_to_clipboard(self.copied())

    def exported(self) -> dict[str, Any]:
        """What is known, for a file."""
        view = self.app_view()
        return {
            "true_at": view.true_at, "link": view.link.state.value, "vitals": view.vitals,
            "operations": view.operations, "attention": view.facts, "log": view.log,
        }  # fmt: skip
