"""What needs attention, worst first, with its age."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from memdeck_console.core import formatting
from memdeck_console.core.facts import Fact
from memdeck_console.core.line import Line, Row, Span, left, plain, right, space, spread
from memdeck_console.core.store import View
from memdeck_console.widgets.panel import Panel

WIDE = 100
ROOMY, TALL = 44, 30
"""Rows of the terminal from which there is room for more facts."""


class Attention(Panel, can_focus=True):
    """The facts; up and down choose one, enter says what to do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "choose(-1)", "up", show=False),
        Binding("down,j", "choose(1)", "down", show=False),
    ]
    chosen: int = 0

    def action_choose(self, step: int) -> None:
        """Choose another fact."""
        facts = self._view.facts if self._view else ()
        self.chosen = min(max(0, len(facts) - 1), max(0, self.chosen + step))
        self.redraw()

    @property
    def fact(self) -> Fact | None:
        """The chosen one."""
        facts = self._view.facts if self._view else ()
        return facts[min(self.chosen, len(facts) - 1)] if facts else None

    def rows(self, view: View, width: int) -> list[Row]:
        """Title and a row per fact, or a quiet sentence."""
        head = self.head("Attention", width, summary=_summary(view))
        if not view.facts:
            return [head, Row((Span(_quiet(view), "stale-dim" if view.stale else "muted"),))]
        most = _most(self.app.size.height)
        self.chosen = min(self.chosen, len(view.facts) - 1)
        first = max(0, self.chosen - most + 1)
        marked = self.chosen if self.chosen and self.has_focus else -1
        wide = self.app.size.width >= WIDE
        shown = list(enumerate(view.facts))[first : first + most]
        return [head, *(_row(fact, view, width, wide, chosen=i == marked) for i, fact in shown)]


def _most(height: int) -> int:
    """Facts shown at once; the summary counts all, and choosing scrolls."""
    return 8 if height >= ROOMY else 3 if height >= TALL else 2


def _quiet(view: View) -> str:
    if view.snapshot is None:
        return "Nothing known yet."
    return "Nothing needed attention when the link went." if view.stale else "Nothing needs attention."


def _summary(view: View) -> Line:
    parts: list[Span] = []
    for severity in ("crit", "warn"):
        if number := sum(1 for fact in view.facts if fact.severity == severity):
            parts += [Span("  ")] if parts else []
            parts.append(Span(f"{number} {severity.upper()}", severity, bold=severity == "crit"))
    if view.stale and parts:
        parts += [Span("  "), Span("last known", "stale")]
    return tuple(parts)


def _row(fact: Fact, view: View, width: int, wide: bool, *, chosen: bool) -> Row:
    crit = fact.severity == "crit"
    old = None if fact.since is None else view.at - fact.since
    gap = 3 if wide else 2
    end: Line = (Span(_since(fact), "crit" if crit else "muted", bold=crit),) if wide else ()
    words: Line = (
        right(formatting.duration(old), 7 if wide else 6, "muted"),
        space(gap),
        left(plain(fact.subject), 9, bold=crit),
        space(gap - 1),
        Span(plain(fact.sentence), "text" if crit else "muted"),
    )
    if crit:
        chip = Span(" ■ CRIT ", "crit", bold=True, reverse=True)
        return Row(
            spread(words, end, width - 7), ground="crit-tint", mark="▌" if chosen else "", lead=(chip,)
        )
    line: Line = (Span("▲ ", "warn"), Span("WARN", "warn", bold=True), space(1), *words)
    return Row(spread(line, end, width), mark="▌" if chosen else "", ground="accent-tint" if chosen else "")


def _since(fact: Fact) -> str:
    """Since when; a fact that stood there at the first snapshot is at least as old."""
    if fact.since is None:
        return ""
    return f"{'since' if fact.seen_begin else 'before'} {formatting.clock(fact.since)}"
