"""Everything that the command line says: tables and progress for people, JSON for programs.

Owns the three streams. On a terminal tables are drawn by rich, which honours NO_COLOR; elsewhere they are plain columns,
whole, so that `grep` and `awk` see what is there. Refuses control characters: texts of memories come from agents, and an
escape sequence in one must not reach the terminal.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

from memdeck_common.errors import MemdeckError

if TYPE_CHECKING:
    from rich.console import Console

Tone = Literal["", "ok", "warn", "crit", "muted", "strong"]
STYLES: dict[Tone, str] = {
    "": "",
    "ok": "green",
    "warn": "yellow",
    "crit": "bold red",
    "muted": "dim",
    "strong": "bold",
}
GLYPHS = {"ok": ("●", "+"), "warn": ("▲", "!"), "crit": ("■", "X"), "stale": ("◌", "?"), "na": ("–", "-")}
GLYPHS |= {"pass": ("✓", "v"), "fail": ("✗", "x")}
"""State to glyph and its ASCII form, as everywhere in the product."""
PLAIN_GAP = "  "
LEAST_CUT = 12
"""Columns below which a cut text says nothing any more."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of a table with its meaning."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. One that is `cut` gives way when the terminal is narrow; ids and numbers never do."""

    title: str
    right: bool = False
    cut: bool = False


class Progress(Protocol):
    """How far something is."""

    def advance(self, amount: int = 1) -> None:
        """That much more is done."""

    def note(self, text: str) -> None:
        """A few words beside the bar."""


class NoProgress:
    """For programs, pipes and logs: nothing is drawn."""

    def advance(self, amount: int = 1) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


def clean(text: str) -> str:
    """The text on one line, without characters that move the cursor, change colours or turn the direction."""
    return _CONTROL.sub(" ", text).strip()


def fitted(columns: Sequence[Column], longest: Sequence[int], width: int) -> list[int]:
    """Widths for a terminal; 0 for a column that has no room.

    Columns that may be cut give way: the first of them gets what the others leave, which is at most a quarter each.
    When even that does not fit, columns drop from the right.
    """
    widths = list(longest)
    cut = [i for i, column in enumerate(columns) if column.cut]

    def over() -> int:
        return sum(w + len(PLAIN_GAP) for w in widths if w) - len(PLAIN_GAP) - width

    if over() > 0:
        for i in cut[1:]:
            widths[i] = min(widths[i], max(LEAST_CUT, width // 4))
    for i in (*cut[:1], *reversed(cut[1:])):
        widths[i] = max(min(widths[i], LEAST_CUT), widths[i] - max(0, over()))
    for i in range(len(columns) - 1, 0, -1):
        if over() > 0:
            widths[i] = 0
    if cut and widths[cut[0]]:
        widths[cut[0]] = min(longest[cut[0]], widths[cut[0]] - over())
    return widths


class Terminal:
    """The streams of one run of the program."""

    def __init__(
        self, stdin: TextIO, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str], *, as_json: bool
    ) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.as_json = as_json
        self._environ = environ

    @property
    def full_screen(self) -> bool:
        """Whether a person sits at both ends, so that the console can be opened."""
        return self.stdin.isatty() and self.stdout.isatty()

    @property
    def can_ask(self) -> bool:
        """Whether a question would be seen and could be answered."""
        return self.stdin.isatty() and self.stderr.isatty()

    @property
    def unicode(self) -> bool:
        """Whether the output can show the product's glyphs."""
        return "utf" in (self.stdout.encoding or "").lower()

    def glyph(self, state: str) -> str:
        """The sign of a state; it always stands beside the word."""
        fancy, simple = GLYPHS[state]
        return fancy if self.unicode else simple

    # --- answers ----------------------------------------------------------------------------------------------------

    def json(self, value: Any) -> None:
        """The answer for a program, on stdout."""
        import msgspec  # late: not needed for --help

        self.say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())

    def say(self, text: str) -> None:
        """A line of the answer, on stdout."""
        print(text, file=self.stdout)

    def note(self, text: str) -> None:
        """A remark for people, on stderr; programs that asked for JSON are spared."""
        if not self.as_json:
            print(text, file=self.stderr, flush=True)

    def failure(self, code: str, detail: str) -> None:
        """What went wrong: a sentence on stderr, and the error as JSON on stdout when JSON was asked for."""
        print(f"memdeck: {clean(detail)}", file=self.stderr, flush=True)
        if self.as_json:
            self.json({"error": {"code": code, "detail": detail}})

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]]) -> None:
        """A table, on stdout."""
        cells = [[_cell(value) for value in row] for row in rows]
        if self.stdout.isatty():
            self._drawn(columns, cells)
        else:
            self._plain(columns, cells)

    def facts(self, values: Mapping[str, Cell | str]) -> None:
        """Values with their names, one per line, on stdout."""
        width = max(map(len, values))
        console = self.rich(self.stdout)
        for name, value in values.items():
            cell = _cell(value)
            console.print(f"{name:<{width}}", style=STYLES["muted"], end=PLAIN_GAP)
            console.print(cell.text, style=STYLES[cell.tone], soft_wrap=True)

    def _plain(self, columns: Sequence[Column], rows: list[list[Cell]]) -> None:
        lines = [[column.title for column in columns], *([cell.text for cell in row] for row in rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        for line in lines:
            parts = [
                text.rjust(width) if column.right else text.ljust(width)
                for text, width, column in zip(line, widths, columns, strict=True)
            ]
            self.say(PLAIN_GAP.join(parts).rstrip())

    def _drawn(self, columns: Sequence[Column], rows: list[list[Cell]]) -> None:
        from rich.text import Text  # late: start-up

        console = self.rich(self.stdout)
        lines = [[Cell(column.title, "strong") for column in columns], *rows]
        longest = [max(len(line[i].text) for line in lines) for i in range(len(columns))]
        widths = fitted(columns, longest, console.width)
        for line in lines:
            shown = Text()
            for cell, column, width in zip(line, columns, widths, strict=True):
                if not width:
                    continue
                text = Text(cell.text, style=STYLES[cell.tone])
                text.truncate(width, overflow="ellipsis", pad=not column.right)
                text.pad_left(max(0, width - text.cell_len))
                shown.append_text(text).append(PLAIN_GAP)
            shown.rstrip()
            console.print(shown, soft_wrap=True)

    def rich(self, stream: TextIO) -> "Console":
        """A rich console on one of the streams."""
        from rich.console import Console  # late: start-up

        plain = not stream.isatty()
        return Console(
            file=stream,
            force_terminal=not plain,
            no_color=plain or bool(self._environ.get("NO_COLOR")),
            highlight=False,
            markup=False,
            emoji=False,
        )

    # --- people -----------------------------------------------------------------------------------------------------

    def ask(self, question: str) -> str:
        """The line that the person types; empty at the end of the input."""
        print(question, end=" ", file=self.stderr, flush=True)
        return self.stdin.readline().strip()

    @contextmanager
    def progress(self, title: str, total: int | None) -> Iterator[Progress]:
        """A bar with rate and remaining time on stderr, where a person would see it."""
        if self.as_json or not self.stderr.isatty():
            yield NoProgress()
            return
        from memdeck_console.cli.bar import Bar  # late: rich

        with Bar(self.rich(self.stderr), title, total) as bar:
            yield bar

    def silence(self) -> None:
        """Stop writing: the reader of our output went away."""
        import os  # late: only then

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _cell(value: Cell | str) -> Cell:
    return Cell(clean(value)) if isinstance(value, str) else Cell(clean(value.text), value.tone)


class NotConfirmed(MemdeckError):
    """A change that takes something away was not confirmed; nothing was done."""

    code, exit_code = "not_confirmed", 4


def confirm(terminal: Terminal, instance: str, given: str | None, consequence: str) -> None:
    """Go on only when the name of the instance was given with `--confirm`, or is typed now.

    Raises:
        NotConfirmed: it was not, or nobody is there to type it.
    """
    if given is None and not terminal.can_ask:
        raise NotConfirmed(f"{consequence}; nothing was done. Add --confirm {instance} to go on.")
    if given is None:
        given = terminal.ask(f"{consequence}.\nType the name of the instance, {instance}, to go on:")
    if given != instance:
        raise NotConfirmed(f"{given!r} is not the name of this instance, {instance!r}; nothing was done.")
