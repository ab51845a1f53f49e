"""What belongs to the selected memory: details, history, and what can be done with it."""

from dataclasses import replace
from datetime import UTC, datetime

from rich.cells import cell_len

from memdeck_common.wire.memory import HistoryEntry, Memory
from memdeck_console.core import formatting
from memdeck_console.core.inquiry import Inquiry
from memdeck_console.core.line import Line, Row, Span, cut, cut_line, left, plain, width_of
from memdeck_console.core.question import Question
from memdeck_console.widgets.panel import Sheet

LABEL = 9
MOST_EVENTS = 4
DAY = 15
EVENT, WHO = 8, 12


class Details(Sheet):
    """Identifiers, dates and metadata."""

    def __init__(self, inquiry: Inquiry, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._inquiry = inquiry

    def build(self, width: int) -> list[Row]:
        """Title and one row per fact, two short ones sharing a row."""
        memory = self._inquiry.memory
        if memory is None:
            return []
        ink = "stale-dim" if self._view is not None and self._view.stale else "text"
        rows = [Row(line) for line in _paired(details_of(memory), width, ink)]
        return [self.head("Details", width, summary=_metadata_words(memory)), *rows]


def _paired(facts: list[tuple[str, str]], width: int, ink: str) -> list[Line]:
    """One row per fact; two short ones that follow each other share it."""
    half = width // 2
    lines: list[Line] = []
    waiting: Line = ()
    for name, value in facts:
        short = cell_len(value) <= half - LABEL - 1 and cell_len(name) < LABEL
        fact = _fact(name, value, half if short else width, ink)
        if short and waiting:
            lines.append((*waiting, *fact))
            waiting = ()
            continue
        if waiting:
            lines.append(waiting)
        waiting = fact if short else ()
        if not short:
            lines.append(fact)
    return [*lines, waiting] if waiting else lines


def _fact(name: str, value: str, width: int, ink: str) -> Line:
    label = name if cell_len(name) < LABEL else cut(name, LABEL - 1)
    return left(label, LABEL, "muted"), left(value, width - LABEL, ink)


def _metadata_words(memory: Memory) -> Line:
    number = len(memory.metadata or {})
    return (Span(f"{number} in metadata" if number else "no metadata", "muted"),)


def details_of(memory: Memory) -> list[tuple[str, str]]:
    """What is known of a memory: label and value, only what there is, metadata last."""
    created, updated = formatting.epoch_of(memory.created_at), formatting.epoch_of(memory.updated_at)
    owners = (
        ("user", memory.user_id),
        ("agent", memory.agent_id),
        ("app", memory.app_id),
        ("run", memory.run_id),
    )
    rows = [("id", memory.id), *((name, value) for name, value in owners if value)]
    rows += [("actor", memory.actor_id)] if memory.actor_id else []
    changed = updated is not None and updated != created
    rows.append(("created", formatting.day(created)))
    rows += [("updated", formatting.day(updated))] if changed else []
    rows += [("expires", memory.expiration_date)] if memory.expiration_date else []
    rows += [("category", ", ".join(memory.categories))] if memory.categories else []
    rows += [(str(name), str(value)) for name, value in (memory.metadata or {}).items()]
    return [(plain(name), plain(value)) for name, value in rows]


class History(Sheet):
    """The changes of the selected memory, newest first."""

    def __init__(self, inquiry: Inquiry, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._inquiry = inquiry

    def build(self, width: int) -> list[Row]:
        """Title and one row per change."""
        inquiry = self._inquiry
        if inquiry.memory is None:
            return []
        number = len(inquiry.history or ())
        words = f"{number} event{'' if number == 1 else 's'}" if inquiry.history is not None else ""
        head = self.head(
            f"History of #{inquiry.selected + 1}", width, summary=(Span(words, "muted"),) if words else ()
        )
        if inquiry.history_error:
            return [head, Row((Span(cut(plain(inquiry.history_error), width), "crit"),))]
        if inquiry.history is None:
            return [head, Row((Span("Reading…", "muted"),))]
        changes, first = inquiry.history, len(inquiry.history) - 1
        return [
            head,
            *(Row(_event(c, width, first=n == first)) for n, c in enumerate(changes[:MOST_EVENTS])),
        ]


def _event(entry: HistoryEntry, width: int, *, first: bool) -> Line:
    who = plain(entry.changed_by or entry.actor_id or "")
    return cut_line(
        (
            left(changed_at(entry), DAY, "muted"),
            left(entry.event, EVENT),
            left(who, WHO - 1),
            Span(" "),
            Span(change_of(entry, first=first), "muted"),
        ),
        width,
    )


def changed_at(entry: HistoryEntry) -> str:
    """When it happened; `created_at` is when the memory was made, as mem0 has it."""
    return formatting.day(formatting.epoch_of(entry.updated_at or entry.created_at))


def change_of(entry: HistoryEntry, *, first: bool) -> str:
    """A change in words: what became what, only where they differ. `first`: nothing came before it."""
    old, new = plain(entry.old_memory or ""), plain(entry.new_memory or "")
    if entry.event == "ADD":
        return "first stored" if first else "brought back"
    if entry.event == "DELETE" or entry.is_deleted:
        return "forgotten"
    if old == new:
        return "text unchanged"
    before, after = _difference(old, new)
    if not before:
        return f"added “{after}”"
    return f"“{before}” became “{after}”" if after else f"removed “{before}”"


def _difference(old: str, new: str) -> tuple[str, str]:
    """The words in the middle in which two texts differ."""
    first, second = old.split(), new.split()
    begin = 0
    while begin < min(len(first), len(second)) and first[begin] == second[begin]:
        begin += 1
    end = 0
    while end < min(len(first), len(second)) - begin and first[-1 - end] == second[-1 - end]:
        end += 1
    return " ".join(first[begin : len(first) - end]), " ".join(second[begin : len(second) - end])


class Actions(Sheet):
    """The keys that change the selected memory, and the same search without a screen."""

    def __init__(self, inquiry: Inquiry, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._inquiry = inquiry
        self.allowed = True
        """Whether this role and profile may change memories."""

    def build(self, width: int) -> list[Row]:
        """Title, keys, twin."""
        if not self._inquiry.question.text:
            return []
        now = datetime.fromtimestamp(self._view.now if self._view else 0, UTC)
        twin = Row((Span(twin_line(self._inquiry.question, now, width), "muted"),))
        if not self.allowed:
            return [self.head("Actions", width, summary=(Span("read only", "muted"),)), twin]
        words = (("u", "undo last change"), ("E", "edit"), ("x", "expire"), ("F", "forget, asks for the id"))
        keys: Line = ()
        for key, word in words:
            keys = (*keys, Span("   " if keys else ""), Span(key, "accent"), Span(f" {word}", "muted"))
        keys = cut_line(keys, width) if width_of(keys) > width else keys
        return [self.head("Actions", width, summary=(Span("undo for 24h", "muted"),)), Row(keys), twin]


def twin_line(question: Question, now: datetime, width: int) -> str:
    """The command in one row, its question cut first: the options are what one looks for. `Y` copies it whole."""
    text = question.text
    for kept in (len(text), 24, 12, 9):
        asked = text if kept >= len(text) else f"{text[:kept].rstrip()}…"
        command = replace(question, text=plain(asked)).twin(now)
        if cell_len(command) <= width:
            return command
    return cut(command, width)
