"""The services table: every row in fleet order, tinted where something is wrong."""

from memdeck_common.wire.feed import Service
from memdeck_console.core import formatting
from memdeck_console.core.glyphs import INKS, MARKS, WORDS
from memdeck_console.core.line import BLANK, Line, Row, Span, left, plain, right, space, spread, width_of
from memdeck_console.core.store import View
from memdeck_console.widgets.panel import Panel

FIXED, LEAST_NOTE = 39, 6
"""Columns before the note; columns below which it says nothing and goes."""
NARROW, SINGLE = 100, 80
"""Widths of the terminal below which services are one-liners in two columns, and one column of what is not OK."""
HALF_GAP = 4


class Services(Panel):
    """State, uptime, p95, use and a note of each service."""

    def rows(self, view: View, width: int) -> list[Row]:
        """Title and table, or one-liners where the terminal is narrow."""
        terminal = self.app.size.width
        summary = age_of(view) or summary_of(view.services)
        unit = "p95 ms" if terminal < NARROW else ""
        head = self.head("Services", width, unit=unit, summary=summary)
        if view.snapshot is None:
            return [head, Row((Span("Nothing known yet.", "muted"),))]
        if terminal < SINGLE:
            return [head, *_not_ok(view, width)]
        if terminal < NARROW:
            return [head, *_halves(view, width)]
        return [head, Row(_columns(width)), *(_row(service, view, width) for service in view.services)]


def age_of(view: View) -> Line:
    """`18s old` in titles while values are old."""
    return (Span(f"{formatting.duration(view.age)} old", "stale"),) if view.stale else ()


def summary_of(services: tuple[Service, ...]) -> Line:
    """How many are in which state: OK, then worst first."""
    line: list[Span] = []
    for state in ("ok", "na", "crit", "warn", "stale"):
        if number := sum(1 for service in services if service.state == state):
            ink = "muted" if state in {"ok", "na"} else INKS[state]
            line += [Span("  ")] if line else []
            line.append(Span(f"{number} {WORDS[state]}", ink, bold=state == "crit"))
    return tuple(line)


def _columns(width: int) -> Line:
    head = f"{'SERVICE':12}{'STATE':5}{'UP':>5}{'p95 ms':>7}{'IN USE':>8}  NOTE"
    return (Span(head if width >= FIXED + LEAST_NOTE else head[: FIXED - 2], "muted"),)


def mark_of(service: Service, *, stale: bool) -> Span:
    """The glyph of a state; with the link down it is nobody's to say."""
    if stale:
        return Span(MARKS["stale"], "crit" if service.state == "crit" else "stale-dim")
    return Span(MARKS[service.state], INKS[service.state])


def word_of(service: Service, width: int, *, stale: bool) -> Span:
    """The word of a state: what is wrong keeps its colour even when it is old."""
    state = service.state
    if stale and state not in {"warn", "crit"}:
        return left(WORDS[state], width, "stale-dim")
    return left(WORDS[state], width, INKS[state], bold=state in {"warn", "crit"})


def _row(service: Service, view: View, width: int) -> Row:
    stale, state = view.stale, service.state
    wrong = state in {"warn", "crit"}
    quiet = "stale-dim" if stale else "stale" if state == "stale" else "muted"
    value = "stale-dim" if stale else "stale" if state == "stale" else "text"
    up = None if service.up_since is None else view.at - service.up_since
    broke = wrong and not stale
    line: Line = (
        mark_of(service, stale=stale),
        Span(" "),
        left(plain(service.name), 10, value),
        word_of(service, 5, stale=stale),
        right(formatting.duration(up), 5, quiet),
        right(formatting.latency(service.p95_ms), 7, INKS[state] if broke else value, bold=broke),
        right(in_use(service), 8, quiet),
    )
    if width >= FIXED + LEAST_NOTE:
        line = (*line, Span("  "), left(plain(service.note), width - FIXED, INKS[state] if broke else quiet))
    return Row(line, ground=f"{state}-tint" if broke else "")


def in_use(service: Service) -> str:
    """`14/64`, or how many where there is no limit."""
    if service.in_use is None:
        return formatting.MISSING
    return f"{service.in_use}/{service.capacity}" if service.capacity else f"{service.in_use:,}"


def _half(service: Service, view: View, width: int) -> tuple[Line, str]:
    stale, state = view.stale, service.state
    broke = state in {"warn", "crit"} and not stale
    value = "stale-dim" if stale else "stale" if state == "stale" else "text"
    quiet = INKS[state] if broke else value if value != "text" else "muted"
    note = plain(service.note) or in_use(service)
    line: Line = (
        mark_of(service, stale=stale),
        Span(" "),
        left(plain(service.name), 10, value),
        word_of(service, 6, stale=stale),
        right(formatting.latency(service.p95_ms), 6, INKS[state] if broke else value, bold=broke),
    )
    tail = left(note, min(len(note), width - 26), quiet)
    return spread(line, (tail,), width), f"{state}-tint" if broke else ""


def _halves(view: View, width: int) -> list[Row]:
    half = (width - HALF_GAP) // 2
    rows: list[Row] = []
    services = view.services
    for first in range(0, len(services), 2):
        pair = [_half(service, view, half) for service in services[first : first + 2]]
        line: list[Span] = []
        for position, (spans, tint) in enumerate(pair):
            edge = Span(" ", ground=tint)
            padded = [*spans, space(half - width_of(spans))]
            line += [edge, *(span._replace(ground=tint) for span in padded), edge]
            if position == 0:
                line.append(space(HALF_GAP - 2))
        rows.append(Row(lead=tuple(line)))
    return rows


def _not_ok(view: View, width: int) -> list[Row]:
    """What is wrong, one row each; a quiet sentence when nothing is."""
    wrong = [service for service in view.services if service.state not in {"ok", "na"}]
    if view.stale:
        wrong = wrong or list(view.services)
    if not wrong:
        return [Row((Span(f"All {len(view.services)} services are OK.", "muted"),)), BLANK][:1]
    rows: list[Row] = []
    for service in wrong:
        line, tint = _half(service, view, width)
        rows.append(Row(line, ground=tint))
    return rows
