"""A bar with count, rate and remaining time. Apart, because it imports rich."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text


class Rate(ProgressColumn):
    """`1,240/s`."""

    def render(self, task: Task) -> Text:
        """The rate, or a dash until it is known."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "–")


class Bar:
    """One bar on a terminal."""

    def __init__(self, console: Console, title: str, total: int | None) -> None:
        lead = [SpinnerColumn()] if total is None else [BarColumn(), TimeRemainingColumn(compact=True)]
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            *lead,
            MofNCompleteColumn(),
            Rate(),
            TextColumn("{task.fields[words]}", markup=False),
            console=console,
        )
        self._task = self._bars.add_task(title, total=total, words="")

    def __enter__(self) -> Self:
        """Draw it."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave its last state on the screen."""
        self._bars.stop()

    def advance(self, amount: int = 1) -> None:
        """That much more is done."""
        self._bars.advance(self._task, amount)

    def note(self, text: str) -> None:
        """A few words beside the bar."""
        self._bars.update(self._task, words=text)
