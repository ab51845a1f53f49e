"""The state of the Memory screen: what was asked, what came back, what is selected, and its history.

Owns the steps between them, so that a late answer never replaces a newer one. Refuses to talk to the daemon.
"""

from dataclasses import dataclass, field
from enum import Enum

from msgspec import UNSET, structs

from memdeck_common.wire.memory import Explanation, HistoryEntry, Memory, SearchAnswer, Stage
from memdeck_console.core.question import Question


class Phase(Enum):
    """Where a search stands."""

    IDLE = "idle"
    LOADING = "loading"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class Inquiry:
    """One search and what a person does with its results."""

    question: Question = field(default_factory=Question)
    phase: Phase = Phase.IDLE
    answer: SearchAnswer | None = None
    milliseconds: float | None = None
    """From the question to the answer, as the console measured it."""
    error: str = ""
    asked_at: float | None = None
    """Epoch seconds."""
    selected: int = 0
    history: tuple[HistoryEntry, ...] | None = None
    """Of the selected memory, newest first; None while it is not known."""
    history_error: str = ""

    def ask(self, question: Question, at: float) -> None:
        """A new search begins; what was found before goes."""
        self.question, self.phase, self.asked_at = question, Phase.LOADING, at
        self.answer, self.error, self.milliseconds = None, "", None
        self.choose(0)

    def found(self, answer: SearchAnswer, milliseconds: float) -> None:
        """The answer came."""
        self.answer, self.phase, self.milliseconds = answer, Phase.DONE, milliseconds
        self.choose(0)

    def failed(self, error: str) -> None:
        """The search failed."""
        self.phase, self.error = Phase.FAILED, error

    def choose(self, index: int) -> bool:
        """Select a result; True when it is another one, whose history is not known yet."""
        before = self.memory.id if self.memory else None
        self.selected = min(max(0, len(self.results) - 1), max(0, index))
        chosen = self.memory.id if self.memory else None
        if chosen != before:
            self.history, self.history_error = None, ""
        return chosen != before

    def replace(self, changed: Memory | None) -> None:
        """The selected memory was changed, or is gone (None); its score stays what it was when it was found."""
        if self.answer is None or self.memory is None:
            return
        results = list(self.answer.results)
        if changed is None:
            del results[self.selected]
        else:
            old = results[self.selected]
            results[self.selected] = _with_score(changed, old)
        self.answer = SearchAnswer(
            results=results, degraded=self.answer.degraded, total=self.answer.total, stages=self.answer.stages
        )
        self.selected = min(self.selected, max(0, len(results) - 1))
        self.history, self.history_error = None, ""

    @property
    def results(self) -> list[Memory]:
        """The hits, best first."""
        return self.answer.results if self.answer else []

    @property
    def memory(self) -> Memory | None:
        """The selected one."""
        return self.results[self.selected] if self.selected < len(self.results) else None

    @property
    def total(self) -> int | None:
        """How many memories were searched, when the daemon said so."""
        return None if self.answer is None or self.answer.total is UNSET else int(self.answer.total)

    @property
    def stages(self) -> list[Stage]:
        """Where the time went, when the daemon said so."""
        return [] if self.answer is None or self.answer.stages is UNSET else self.answer.stages

    @property
    def took_ms(self) -> float | None:
        """The daemon's own time when it told its stages, else the console's."""
        return max((stage.begin_ms + stage.milliseconds for stage in self.stages), default=self.milliseconds)


def explanation_of(memory: Memory) -> Explanation | None:
    """Why it was found, when it was asked for."""
    return None if memory.score_details is UNSET else memory.score_details


def score_of(memory: Memory) -> float | None:
    """Its score, when it has one."""
    return None if memory.score is UNSET else float(memory.score)


def _with_score(changed: Memory, old: Memory) -> Memory:
    return structs.replace(changed, score=old.score, score_details=old.score_details)
