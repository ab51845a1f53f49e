"""Screens that stand in front of others: they ask, confirm or let read, and hand back an answer.

Owns the one form of a confirmation: an input whose validator compares what is typed, so that enter does nothing until it
matches. Nothing destructive hangs on one key.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from memdeck_console.core.line import BLANK, Line, Row, Span, plain, space, title, width_of, wrapped
from memdeck_console.widgets.panel import Sheet

Answer = TypeVar("Answer")


class Words(Sheet):
    """Rows that are given; text wraps."""

    GROUND: ClassVar[str] = "surface"
    DEFAULT_CSS = "Words { background: $md-surface; }"

    def __init__(self, make: Callable[[int], list[Row]], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._make = make

    def build(self, width: int) -> list[Row]:
        """The given rows."""
        return self._make(width)


def paragraph(text: str, width: int, ink: str = "text", rows: int = 40) -> list[Row]:
    """Text as rows."""
    return [Row((Span(line, ink),)) for line in wrapped(plain(text), width, rows)]


def keys_row(*keys: tuple[str, str]) -> Row:
    """What to press."""
    line: Line = ()
    for key, word in keys:
        line = (*line, Span("  " if line else ""), Span(key, "accent"), Span(f" {word}", "muted"))
    return Row(line)


class Dialog(ModalScreen[Answer], Generic[Answer]):
    """A raised sheet over the deck; esc goes back without an answer."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "back")]
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $md-bg 60%; }
    Dialog #sheet { width: 80; max-width: 96%; height: auto; max-height: 92%; background: $md-surface; padding: 1 1; }
    Dialog Input {
        border: none; height: 1; padding: 0 1; margin: 0 2; background: $md-raised; color: $md-text;
    }
    Dialog Input:focus { border: none; background: $md-raised; }
    Dialog Input.-invalid, Dialog Input.-invalid:focus { border: none; }
    Dialog Input > .input--placeholder { color: $md-faint; }
    """

    def compose(self) -> ComposeResult:
        """The sheet."""
        with Vertical(id="sheet"):
            yield from self.sheet()

    def sheet(self) -> ComposeResult:
        """What stands on it."""
        yield from ()

    def action_back(self) -> None:
        """Go back without an answer."""
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """Type a name to go on; without a name, enter goes on."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "agree", "go on", show=False)]

    def __init__(
        self, heading: str, sentences: Sequence[str], *, expected: str = "", verb: str = "go on"
    ) -> None:
        super().__init__()
        self._heading, self._sentences, self._expected, self._verb = heading, sentences, expected, verb

    def sheet(self) -> ComposeResult:
        """What will happen, and the input."""
        yield Words(self._words)
        if self._expected:
            yield Input(id="typed", select_on_focus=False)
        yield Words(self._keys, id="keys")

    def on_mount(self) -> None:
        """The input has the focus."""
        if self._expected:
            self.query_one(Input).focus()

    @property
    def matches(self) -> bool:
        """Whether what is typed is what was asked for."""
        return not self._expected or self.query_one(Input).value.strip() == self._expected

    def on_input_changed(self) -> None:
        """Say whether enter works now."""
        self.query_one("#keys", Words).redraw()

    def on_input_submitted(self) -> None:
        """Enter in the input."""
        self.action_agree()

    def action_agree(self) -> None:
        """Go on; does nothing until it matches."""
        if self.matches:
            self.dismiss(True)

    def _words(self, width: int) -> list[Row]:
        rows = [Row(title(self._heading, width)), BLANK]
        for sentence in self._sentences:
            rows += [*paragraph(sentence, width), BLANK]
        if self._expected:
            rows.append(
                Row((Span("Type ", "muted"), Span(self._expected, bold=True), Span(" to confirm.", "muted")))
            )
            rows.append(BLANK)
        return rows

    def _keys(self, width: int) -> list[Row]:
        del width
        mounted = self.is_mounted
        ready = bool(mounted and self.matches) if self._expected else True
        keys = (("enter", self._verb), ("esc", "back")) if ready else (("esc", "back"),)
        return [BLANK, keys_row(*keys)]


class Ask(Dialog[str]):
    """One line of text; a validator says in words why it cannot be taken."""

    def __init__(
        self,
        heading: str,
        sentence: str,
        *,
        value: str = "",
        verb: str = "save",
        objection: Callable[[str], str] = lambda _: "",
    ) -> None:
        super().__init__()
        self._heading, self._sentence, self._value, self._verb = heading, sentence, value, verb
        self._objection = objection
        self._said = ""

    def sheet(self) -> ComposeResult:
        """The question, the input, what is wrong with the answer."""
        yield Words(
            lambda width: [Row(title(self._heading, width)), BLANK, *paragraph(self._sentence, width), BLANK]
        )
        yield Input(self._value, id="typed", select_on_focus=False)
        yield Words(self._foot, id="foot")

    def on_mount(self) -> None:
        """The input has the focus."""
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the answer, or say what is wrong with it."""
        self._said = self._objection(event.value)
        if self._said:
            self.query_one("#foot", Words).redraw()
        else:
            self.dismiss(event.value)

    def _foot(self, width: int) -> list[Row]:
        said = paragraph(self._said, width, "warn") if self._said else [BLANK]
        return [*said, keys_row(("enter", self._verb), ("esc", "back"))]


class Form(Dialog[dict[str, str]]):
    """Several named fields; enter takes all of them."""

    DEFAULT_CSS = """
    Form .field { layout: horizontal; height: 1; }
    Form .field Static { width: 14; padding-left: 2; color: $md-muted; background: $md-surface; }
    Form .field Input { width: 1fr; margin: 0 2 0 0; }
    """

    def __init__(
        self,
        heading: str,
        fields: Sequence[tuple[str, str, str]],
        objection: Callable[[dict[str, str]], str],
    ) -> None:
        super().__init__()
        self._heading, self._fields, self._objection = heading, fields, objection
        self._said = ""

    def sheet(self) -> ComposeResult:
        """A row per field: name, value, hint."""
        yield Words(lambda width: [Row(title(self._heading, width)), BLANK])
        for name, value, hint in self._fields:
            field = Input(value, placeholder=hint, id=f"field-{name}", select_on_focus=False)
            yield Vertical(Static(name, markup=False), field, classes="field")
        yield Words(self._foot, id="foot")

    def on_mount(self) -> None:
        """The first field has the focus."""
        self.query(Input).first().focus()

    def on_input_submitted(self) -> None:
        """Take all fields, or say what is wrong with one."""
        values = {name: self.query_one(f"#field-{name}", Input).value for name, _, _ in self._fields}
        self._said = self._objection(values)
        if self._said:
            self.query_one("#foot", Words).redraw()
        else:
            self.dismiss(values)

    def _foot(self, width: int) -> list[Row]:
        said = paragraph(self._said, width, "warn") if self._said else [BLANK]
        return [*said, keys_row(("tab", "next field"), ("enter", "search"), ("esc", "back"))]


class Reader(Dialog[None]):
    """A text that is longer than its place on the screen."""

    DEFAULT_CSS = """
    Reader VerticalScroll { height: auto; max-height: 24; margin: 0 2; background: $md-surface; }
    Reader VerticalScroll Static { color: $md-text; background: $md-surface; }
    """

    def __init__(self, heading: str, text: str, *, keys: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__()
        self._heading, self._text, self._extra = heading, text, keys

    def sheet(self) -> ComposeResult:
        """Title, text, keys."""
        yield Words(lambda width: [Row(title(self._heading, width)), BLANK])
        yield VerticalScroll(Static("\n".join(plain(line) for line in self._text.splitlines()), markup=False))
        yield Words(lambda _: [BLANK, keys_row(("↑ ↓", "scroll"), *self._extra, ("esc", "back"))])

    def on_mount(self) -> None:
        """Arrow keys scroll."""
        self.query_one(VerticalScroll).focus()


def two_columns(pairs: Sequence[tuple[str, str]], width: int, key_width: int = 14) -> list[Row]:
    """Key and word, in two columns, read downwards."""
    half, column = (len(pairs) + 1) // 2, width // 2
    rows: list[Row] = []
    for index in range(half):
        line: Line = ()
        for key, word in pairs[index::half][:2]:
            cell: Line = (Span(key.ljust(key_width), "accent"), Span(word, "muted"))
            line = (*line, *cell, space(column - width_of(cell)))
        rows.append(Row(line))
    return rows
