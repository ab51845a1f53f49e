"""What every screen of the deck shares: header, tabs, verdict above; keys below; one way to draw a view.

Owns the frame. A subclass yields its body and names in `FOOTER` the words of the keys that it wants at the bottom, and in
`SPARE` those that go first when the terminal is narrow.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import Screen
from textual.widget import Widget

from memdeck_console.core.store import View
from memdeck_console.widgets.chrome import Chrome, Footer, Header, Tabs, VerdictRow
from memdeck_console.widgets.panel import Panel


class DeckScreen(Screen[None]):
    """A screen of the deck."""

    AUTO_FOCUS = ""
    FOOTER: ClassVar[tuple[str, ...]] = ()
    SPARE: ClassVar[tuple[str, ...]] = ()
    DEFAULT_CSS = """
    DeckScreen { background: $md-bg; layout: vertical; }
    DeckScreen #body { height: 1fr; margin-right: 1; overflow: hidden; }
    """

    def compose(self) -> ComposeResult:
        """Frame and body."""
        yield Header()
        yield Tabs()
        yield VerdictRow()
        with Vertical(id="body"):
            yield from self.body()
        yield Footer()

    def body(self) -> Iterable[Widget]:
        """The screen's own widgets."""
        return ()

    def on_mount(self) -> None:
        """Draw what is known at once."""
        self.show(self.app_view(), frozen=False)

    def on_screen_resume(self) -> None:
        """Draw what has changed while another screen stood in front."""
        self.show(self.app_view(), frozen=False)

    def app_view(self) -> View:
        """What is known now."""
        view: View = self.app.current_view()  # type: ignore[attr-defined]  # the app is ours; see app.py
        return view

    def show(self, view: View, *, frozen: bool) -> None:
        """Draw a view; while the person has paused, only the frame goes on."""
        for panel in self.query(Panel):
            if not frozen or isinstance(panel, Chrome):
                panel.show(view)

    def exported(self) -> dict[str, Any]:
        """What the screen shows, for a file."""
        return {}

    def action_export(self) -> None:
        """Write what the screen shows to a file."""
        self.app.export(self.name or "screen", self.exported())  # type: ignore[attr-defined]  # the app is ours

    def redraw_footer(self) -> None:
        """Other keys are available now."""
        for footer in self.query(Footer):
            footer.redraw()
