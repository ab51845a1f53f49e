"""The rows that every screen has: header, tabs, verdict and footer.

Owns what is dropped when the terminal is narrow: version, address and who, from the middle outwards; link, mode and
clock never go.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding
from textual.screen import Screen

from memdeck_console.core import formatting
from memdeck_console.core.glyphs import INKS, MARKS
from memdeck_console.core.line import Line, Row, Span, cut_line, plain, spread, width_of
from memdeck_console.core.store import LinkState, View
from memdeck_console.core.verdict import STEADY, Verdict, link_words, verdict
from memdeck_console.widgets.panel import Panel

WIDE = 100
_CHIPPED = {
    LinkState.STALE: ("stale", "◌"),
    LinkState.CONNECTING: ("stale", "◌"),
    LinkState.RECONNECTING: ("warn", "◌"),
    LinkState.AUTH_FAILED: ("crit", "■"),
    LinkState.VERSION_MISMATCH: ("crit", "■"),
}


class Chrome(Panel):
    """A row that runs from edge to edge."""

    MARGIN_LEFT: ClassVar[int] = 0
    MARGIN_RIGHT: ClassVar[int] = 0
    GROUND: ClassVar[str] = "surface"
    DEFAULT_CSS = "Chrome { background: $md-surface; width: 100%; }"

    @property
    def prd(self) -> bool:
        """Whether this is the production profile: so started, or the instance is named so."""
        snapshot = self._view.snapshot if self._view else None
        return bool(getattr(self.app, "prd", False)) or (
            snapshot is not None and is_production(snapshot.instance)
        )

    def show(self, view: View) -> None:
        """Draw another view; all of it when the profile became known."""
        before = self.prd
        super().show(view)
        if self.prd != before:
            self.refresh()

    @property
    def ground(self) -> str:
        """Red chrome in the production profile."""
        return "crit-tint" if self.prd else self.GROUND


def is_production(instance: str) -> bool:
    """`prd`, `PRD`, `prd-2`."""
    return instance.lower().split("-")[0] == "prd"


class Header(Chrome):
    """Brand, instance, address and version; link, age, mode, who and clock."""

    def rows(self, view: View, width: int) -> list[Row]:
        """One row."""
        return [Row(self._line(view, width))]

    def _line(self, view: View, width: int) -> Line:
        wide = width >= WIDE
        parts = [_link(view), _age(view, wide=wide), _mode(view)]
        who = _who(view) if wide else ()
        end = _joined([*parts, who, _clock(view)], wide=wide)
        begin = self._begin(view, width - width_of(end) - 5)
        return spread(begin, (*end, Span(" ")), width)

    def _begin(self, view: View, room: int) -> Line:
        snapshot = view.snapshot
        name = plain(snapshot.instance) if snapshot else str(getattr(self.app, "instance", ""))
        if self.prd:
            label = name.upper() if is_production(name) else f"PRD {name}"
            instance: Line = (Span(f" {label} ", "crit", bold=True, reverse=True),)
        else:
            instance = (Span(name, bold=True),) if name else ()
        line: Line = (Span(" "), Span("memdeck", "accent", bold=True), Span("  "), *instance)
        if snapshot and self.size.width >= WIDE:
            for extra in (snapshot.url.split("//")[-1], snapshot.version):
                longer = (*line, Span("  "), Span(plain(extra), "muted"))
                if width_of(longer) > room:
                    break
                line = longer
        return cut_line(line, room)


def _link(view: View) -> Line:
    words = link_words(view)
    if view.live:
        trip = view.link.round_trip_ms
        tail = (Span(f" {_milliseconds(trip)}", "muted"),) if trip is not None else ()
        return (Span("● ", "ok"), Span(words, "ok", bold=True), *tail)
    ink, mark = _CHIPPED[view.link.state]
    return (Span(f" {mark} {words} ", ink, bold=True, reverse=True),)


def _milliseconds(value: float) -> str:
    return f"{max(1, round(value)):d} ms"


def _age(view: View, *, wide: bool) -> Line:
    if view.age is None:
        return ()
    if not view.live:
        return (Span(f"data {formatting.age(view.age)} old", "stale"),)
    return (Span(f"{formatting.age(view.age)} ago", "muted"),) if wide else ()


def _mode(view: View) -> Line:
    mode = view.vitals.mode
    if view.snapshot is None:
        return (Span(formatting.MISSING, "muted"),)
    if mode == "normal":
        return (Span("NORMAL", "muted" if view.live else "stale-dim"),)
    hard = mode in {"cache-only", "read-only"}
    return (Span(mode.upper(), "crit" if hard else "warn", bold=True),)


def _who(view: View) -> Line:
    caller = view.caller
    return (Span(plain(caller.name)), Span(f" {plain(caller.role)}", "muted")) if caller else ()


def _clock(view: View) -> Line:
    return (Span(formatting.clock(view.now)),)


def _joined(parts: Iterable[Line], *, wide: bool) -> Line:
    between = Span("  │  " if wide else " │ ", "faint")
    line: Line = ()
    for part in parts:
        if part:
            line = (*line, between, *part) if line else part
    return line


class Tabs(Chrome):
    """The screens with their numbers; the window and the rate."""

    def rows(self, view: View, width: int) -> list[Row]:
        """One row."""
        line: list[Span] = []
        for number, name, active in self._screens():
            ground = "bg" if active else ""
            key = Span(f" {number}", "accent" if active else "faint", bold=active, ground=ground)
            word = Span(f" {name} ", "text" if active else "muted", bold=active, ground=ground)
            line += [key, word, Span(" ")]
        return [Row(spread(tuple(line), (*self._right(view), Span(" ")), width))]

    def _screens(self) -> Sequence[tuple[str, str, bool]]:
        listed: Sequence[tuple[str, str, str]] = getattr(self.app, "TABS", ())
        current = self.screen.name or ""
        return [(number, title, name == current) for number, name, title in listed]

    def _right(self, view: View) -> Line:
        rate, paused = getattr(self.app, "rate_words", "1s"), bool(getattr(self.app, "paused", False))
        line: Line = (Span("window ", "muted"), Span("5 min"), Span("   "))
        if not getattr(self.screen, "WINDOWED", False):
            line = ()
        if paused:
            return (*line, Span("paused", "stale", bold=True))
        if view.link.state not in STEADY:
            return (*line, Span("stream paused", "stale"))
        return (*line, Span("every ", "muted"), Span(str(rate))) if line else ()


class VerdictRow(Chrome):
    """The one line for 3 a.m.; two when the link is down."""

    GROUND: ClassVar[str] = "bg"
    DEFAULT_CSS = "VerdictRow { background: $md-bg; }"

    @property
    def ground(self) -> str:
        """The page's own, in every profile."""
        return self.GROUND

    def rows(self, view: View, width: int) -> list[Row]:
        """One or two rows, their chips equally wide."""
        found = verdict(view)
        chip = max(len(row.word) for row in found) + 4
        return [_verdict_row(row, chip, width) for row in found]


def _verdict_row(row: Verdict, chip: int, width: int) -> Row:
    mark, ink = MARKS[row.state], INKS[row.state]
    end: Line = ()
    if row.key:
        words = f" {row.key[1]}" if width >= WIDE else ""
        end = (Span(row.key[0], "accent"), Span(words), Span(" "))
    if row.state == "ok":
        line: Line = (Span(f" {mark} ", ink), Span(row.word, ink, bold=True), Span(f"   {row.rest}", "muted"))
        return Row(spread(line, end, width))
    tint = f"{row.state}-tint"
    line = (
        Span(f" {mark} {row.word} ".ljust(chip), ink, bold=True, reverse=True, ground=tint),
        Span(" "),
        Span(row.headline, bold=True),
        Span(row.rest),
    )
    if row.last_known:
        line = (*line, Span("  last known", "stale"))
    if row.aside:
        state, words = row.aside
        line = (*line, Span("   "), Span(f"{MARKS[state]} ", INKS[state]), Span(words))
    return Row(spread(line, end, width), ground=tint)


class Footer(Chrome):
    """The keys that can be used here and now, at most ten; the least needed go first where it is narrow."""

    MOST: ClassVar[int] = 10
    DEFAULT_CSS = "Footer { dock: bottom; height: 1; }"

    def rows(self, view: View, width: int) -> list[Row]:
        """One row."""
        del view
        keys = footer_keys(self.screen)[: self.MOST]
        spare = list(getattr(self.screen, "SPARE", ()))
        while sum(len(key) + len(word) + 3 for key, word in keys) - 1 > width and len(keys) > 1:
            word = spare.pop(0) if spare else keys[-1][1]
            keys = [pair for pair in keys if pair[1] != word]
        line: Line = (Span(" "),)
        for key, word in keys:
            line = (*line, Span(key, "accent"), Span(f" {word}  ", "muted"))
        return [Row(line)]


def footer_keys(screen: Screen[object]) -> list[tuple[str, str]]:
    """Keys and word of what the screen names in `FOOTER`, as far as it is available now; groups share one word."""
    found: dict[str, list[str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if active.enabled:
            word = binding.group.description if binding.group else binding.description
            keys = found.setdefault(word, [])
            if (key := key_text(binding)) not in keys:
                keys.append(key)
    named: Sequence[str] = getattr(screen, "FOOTER", ())
    return [(" ".join(sorted(found[word])), word) for word in named if word in found]


def key_text(binding: Binding) -> str:
    """The key as it is printed on it."""
    return binding.key_display or {
        "left_square_bracket": "[", "right_square_bracket": "]", "question_mark": "?", "slash": "/", "colon": ":",
        "plus": "+", "minus": "-", "escape": "esc",
    }.get(binding.key, binding.key)  # fmt: skip
