"""The search line and the filters below it."""

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Static

from memdeck_console.core import formatting
from memdeck_console.core.inquiry import Inquiry, Phase
from memdeck_console.core.line import Line, Row, Span, plain, spread, width_of
from memdeck_console.widgets.panel import Sheet


class Found(Sheet):
    """`8 of 1,204,881 in 12.1 ms`, at the end of the search line."""

    GROUND = "raised"
    MARGIN_LEFT = 0
    MARGIN_RIGHT = 0
    DEFAULT_CSS = "Found { width: auto; height: 1; background: $md-raised; }"

    def __init__(self, inquiry: Inquiry) -> None:
        super().__init__()
        self._inquiry = inquiry

    def line(self) -> Line:
        """How many of how many, and how long it took."""
        inquiry = self._inquiry
        if inquiry.phase is Phase.LOADING:
            return (Span(" searching… ", "muted"),)
        if inquiry.phase is not Phase.DONE:
            return (Span(" "),)
        number = formatting.count(len(inquiry.results))
        of = f" of {formatting.count(inquiry.total)}" if inquiry.total is not None else " found"
        took = formatting.with_unit(inquiry.took_ms)
        return (Span(f" {number}{of}"), Span(" in ", "muted"), Span(f"{took} "))

    def build(self, width: int) -> list[Row]:
        """One row."""
        return [Row(spread((), self.line(), width))]

    def get_content_width(self, container: object, viewport: object) -> int:
        """As wide as its words."""
        del container, viewport
        return width_of(self.line())

    def redraw(self) -> None:
        """Its width changes with its words."""
        self.refresh(layout=True)
        super().redraw()


class SearchLine(Horizontal):
    """`/`, what is asked, what came."""

    DEFAULT_CSS = """
    SearchLine { height: 1; background: $md-raised; }
    SearchLine #edge { width: 1; padding: 0; background: $md-bg; }
    SearchLine Static { width: 3; height: 1; padding: 0 0 0 1; color: $md-accent; text-style: bold; background: $md-raised; }
    SearchLine Input, SearchLine Input:focus {
        width: 1fr; height: 1; border: none; padding: 0; background: $md-raised; color: $md-text; text-style: bold;
    }
    SearchLine Input > .input--placeholder { color: $md-faint; text-style: none; }
    """

    def __init__(self, inquiry: Inquiry) -> None:
        super().__init__()
        self._inquiry = inquiry

    def compose(self) -> ComposeResult:
        """Mark, input, outcome."""
        yield Static(id="edge")
        yield Static("/", markup=False)
        question = Input(placeholder="what do you want to know?", id="question", select_on_focus=False)
        question.cursor_blink = False
        yield question
        yield Found(self._inquiry)


class FilterLine(Sheet):
    """User, agent, run, since, limit, threshold, explain; what the answer did without."""

    def __init__(self, inquiry: Inquiry) -> None:
        super().__init__()
        self._inquiry = inquiry

    def build(self, width: int) -> list[Row]:
        """One row; the last filters go first when it is narrow."""
        question, answer = self._inquiry.question, self._inquiry.answer
        threshold = "default" if question.threshold is None else f"{question.threshold:.2f}"
        pairs = (
            ("user", plain(question.user) or "any"),
            ("agent", plain(question.agent) or "any"),
            ("run", plain(question.run) or "any"),
            ("since", question.since or "ever"),
            ("limit", str(question.limit)),
            ("threshold", threshold),
            ("explain", "on" if question.explain else "off"),
        )
        end: Line = ()
        if answer is not None:
            degraded = plain(", ".join(answer.degraded))
            end = (Span("degraded ", "muted"), Span(degraded or "none", "warn" if degraded else "text"))
        line: Line = ()
        for name, value in pairs:
            quiet = value in {"any", "ever", "default"}
            longer = (
                *line,
                Span("   " if line else ""),
                Span(f"{name} ", "muted"),
                Span(value, "muted" if quiet else "text"),
            )
            if width_of(longer) > width - width_of(end) - 2:
                break
            line = longer
        return [Row(spread(line, end, width))]
