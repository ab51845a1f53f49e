"""Three lines for a terminal that has room for no more: the link, the worst, the counts."""

from memdeck_console.core import formatting
from memdeck_console.core.glyphs import INKS, MARKS
from memdeck_console.core.line import Row, Span, cut_line, spread
from memdeck_console.core.store import View
from memdeck_console.core.verdict import link_words, verdict
from memdeck_console.widgets.panel import Panel


class Brief(Panel):
    """Link, worst, counts."""

    def rows(self, view: View, width: int) -> list[Row]:
        """Three rows."""
        worst = verdict(view)[-1]
        ink = "ok" if view.live else "stale"
        state = Span(f"{'●' if view.live else '◌'} {link_words(view)}", ink, bold=True, reverse=not view.live)
        clock = Span(formatting.clock(view.now))
        mark = Span(f"{MARKS[worst.state]} ", INKS[worst.state])
        words = Span(worst.word, INKS[worst.state], bold=True, reverse=worst.state == "crit")
        counts = view.counts
        known = f"{formatting.count(counts.memories)} memories  {formatting.count(counts.users)} users"
        return [
            Row(spread((state,), (clock,), width)),
            Row(cut_line((mark, words, Span(f" {worst.headline}{worst.rest}")), width)),
            Row(cut_line((Span(known if view.snapshot else "Nothing known yet.", "muted"),), width)),
        ]
