"""The newest lines of the log, the newest first."""

from memdeck_common.wire.feed import LogLine
from memdeck_console.core import formatting
from memdeck_console.core.line import Line, Row, Span, left, spread
from memdeck_console.core.store import View
from memdeck_console.widgets.panel import Panel

LEAST = 2
"""Rows below which a title would stand alone."""
_LEVELS = {"WARNING": ("WARN", "warn"), "ERROR": ("ERROR", "crit"), "CRITICAL": ("CRIT", "crit")}


class LogTail(Panel):
    """As many lines as there is room for."""

    DEFAULT_CSS = "LogTail { height: 1fr; }"

    def rows(self, view: View, width: int) -> list[Row]:
        """Title and lines."""
        if self.size.height < LEAST:
            return []
        newest = view.log[-1] if view.log else None
        own = newest is not None and newest.seq < 0
        words = Span("console, not daemon", "stale") if own and not view.live else Span("following", "muted")
        head = self.head("Log", width, summary=(words,) if view.log else ())
        room = max(0, self.size.height - 1)
        if not view.log:
            return [head, Row((Span("No lines yet.", "muted"),))]
        lines = list(view.log)[-room:] if room else []
        return [head, *(Row(_line(line, width)) for line in reversed(lines))]


def _line(line: LogLine, width: int) -> Line:
    level, ink = _LEVELS.get(line.level, (line.level, "faint"))
    words = "muted" if ink == "faint" else "text"
    begin: Line = (
        Span(f"{formatting.instant(line.at)}  ", "muted"),
        left(level, 5, ink),
        Span("  "),
        left(line.service, 10, words),
        Span(" "),
        Span(line.message, words),
    )
    end: list[Span] = []
    if line.milliseconds is not None:
        end.append(Span(formatting.with_unit(line.milliseconds), "muted"))
    if line.request_id:
        end += [Span("  req ", "faint"), Span(line.request_id[-4:], "muted")]
    return spread(begin, tuple(end), width)
