"""The hits of a search: score, text, where they come from, and the parts of each score as one stacked bar."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from memdeck_common.wire.memory import Memory
from memdeck_console.core import formatting
from memdeck_console.core.charts.bar import stacked
from memdeck_console.core.inquiry import Inquiry, Phase, explanation_of, score_of
from memdeck_console.core.line import Line, Row, Span, left, plain, right, space, spread, wrapped
from memdeck_console.widgets.panel import Sheet

PARTS = ("dense", "lexical", "graph", "recency")
"""Always in this order, each in its own ink."""
BAR = 18
TEXT_AT = 10
HEAD = 2
EACH = 2
SHOWN = 1000
"""Characters of a memory that a list looks at."""


class Results(Sheet, can_focus=True):
    """Two rows per hit; the selected one has a tint and `▌`."""

    DEFAULT_CSS = "Results { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "step(-1)", "previous result", show=False),
        Binding("down,j", "step(1)", "next result", show=False),
        Binding("pageup", "step(-5)", "five up", show=False),
        Binding("pagedown", "step(5)", "five down", show=False),
        Binding("home", "step(-1000)", "first result", show=False),
        Binding("end", "step(1000)", "last result", show=False),
    ]

    class Chosen(Message):
        """Another result was selected."""

        def can_replace(self, message: Message) -> bool:
            """Only the last of a burst counts."""
            return isinstance(message, Results.Chosen)

    def __init__(self, inquiry: Inquiry, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._inquiry = inquiry

    def action_step(self, step: int) -> None:
        """Select another result."""
        if self._inquiry.choose(self._inquiry.selected + step):
            self.post_message(self.Chosen())
        self.redraw()

    def build(self, width: int) -> list[Row]:
        """Title, header, hits; or what there is instead of hits."""
        inquiry, stale = self._inquiry, self._view is not None and self._view.stale
        summary: Line = (Span("by score", "muted"),) if inquiry.results else ()
        if stale and inquiry.asked_at and self._view:
            summary = (Span(f"asked {formatting.duration(self._view.now - inquiry.asked_at)} ago", "stale"),)
        head = self.head("Results", width, summary=summary)
        if not inquiry.results:
            return [head, *(Row((Span(line, ink),)) for line, ink in _instead(inquiry, width))]
        whole = max(1.0, *(score_of(memory) or 0.0 for memory in inquiry.results))
        first, last = self._visible()
        rows = [head, Row(_columns(width, whole))]
        for index in range(first, last):
            rows += _hit(
                index, inquiry, whole, width, stale=stale, now=self._view.now if self._view else None
            )
        return rows

    def _visible(self) -> tuple[int, int]:
        """The results for which there is room, the selected one among them."""
        number, selected = len(self._inquiry.results), self._inquiry.selected
        room = max(1, (self.size.height - HEAD) // EACH) if self.size.height else number
        first = max(0, min(selected - room // 2, number - room)) if number > room else 0
        return first, min(number, first + room)


def _columns(width: int, whole: float) -> Line:
    begin = (Span(" # SCORE  MEMORY", "muted"),)
    return spread(begin, (left("PARTS", BAR - 7, "muted"), right(f"of {whole:.2f}", 7, "muted")), width)


def _instead(inquiry: Inquiry, width: int) -> list[tuple[str, str]]:
    """Rows for a list without hits: not asked, asking, failed, nothing found."""
    if inquiry.phase is Phase.LOADING:
        return [("Searching…", "muted")]
    if inquiry.phase is Phase.FAILED:
        return [
            ("The search failed.", "crit"),
            *((line, "text") for line in wrapped(plain(inquiry.error), width, 4)),
        ]
    if inquiry.phase is Phase.DONE:
        return [
            (f"No memory matches “{plain(inquiry.question.text)}”.", "text"),
            ("Fewer filters or a lower threshold may find it: press f. / asks again.", "muted"),
        ]
    return [
        ("Ask in your own words: press /, type, press enter.", "text"),
        ("f narrows to a user, an agent or a run, a time or a threshold.", "muted"),
    ]


def _hit(
    index: int, inquiry: Inquiry, whole: float, width: int, *, stale: bool, now: float | None
) -> tuple[Row, Row]:
    memory = inquiry.results[index]
    chosen = index == inquiry.selected
    value, quiet = ("stale-dim", "stale-dim") if stale else ("text", "muted")
    score = score_of(memory)
    first: Line = (
        right(f"{index + 1}", 2, quiet),
        right(formatting.MISSING if score is None else f"{score:.2f}", 6, value, bold=chosen),
        Span("  "),
        left(plain(memory.memory[:SHOWN]), width - TEXT_AT, value, bold=chosen),
    )
    room = width - TEXT_AT - BAR - 2
    second: Line = (
        space(TEXT_AT),
        left(_origin(memory, now, room), room, quiet),
        Span("  "),
        *_parts(memory, whole, stale=stale),
    )
    tint, mark = ("accent-tint", "▌") if chosen else ("", "")
    return Row(first, tint, mark), Row(second, tint, mark)


def _origin(memory: Memory, now: float | None, room: int) -> str:
    """Short id, whose it is, how old; the id is never cut."""
    words = [formatting.short_id(memory.id)]
    for name, value in (("run", memory.run_id), ("agent", memory.agent_id), ("user", memory.user_id)):
        if value:
            words.append(f"{name} {plain(value)}")
            break
    changed = formatting.epoch_of(memory.updated_at) or formatting.epoch_of(memory.created_at)
    if changed is not None and now is not None:
        age = f"{formatting.coarse(now - changed)} ago"
        scope = room - len(words[0]) - len(age) - 4
        if len(words) > 1 and len(words[1]) > scope:
            words[1] = words[1][: max(0, scope - 1)] + "…"
        words.append(age)
    return "  ".join(words)


def _parts(memory: Memory, whole: float, *, stale: bool) -> Line:
    """The score's parts by group; one ink when they are not known."""
    explanation = explanation_of(memory)
    if explanation is None:
        return stacked(((score_of(memory) or 0.0, "stale-dim" if stale else "crest"),), whole, BAR)
    sums = dict.fromkeys(PARTS, 0.0)
    for part in explanation.parts:
        group = part.group if part.group in sums else "recency"
        sums[group] += part.part
    return stacked([(value, "stale-dim" if stale else group) for group, value in sums.items()], whole, BAR)
