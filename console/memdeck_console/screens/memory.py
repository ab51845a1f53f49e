"""Memory: ask, see why, see what changed, and change it under guards.

Owns the searches (one at a time, the last one wins) and the actions on the selected memory. What changes something is
hidden where the role or the read-only profile forbids it; forgetting asks for the id, typed.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input

from memdeck_common.errors import MemdeckError
from memdeck_common.wire.memory import Done, Memory
from memdeck_console.core import formatting
from memdeck_console.core.inquiry import Inquiry, Phase
from memdeck_console.core.line import plain
from memdeck_console.core.ports import Memories
from memdeck_console.core.question import Question, question_of
from memdeck_console.core.store import View
from memdeck_console.screens.deck import DeckScreen
from memdeck_console.screens.dialogs import Ask, Confirm, Form, Reader
from memdeck_console.widgets.panel import Sheet
from memdeck_console.widgets.particulars import Actions, Details, History, change_of, changed_at
from memdeck_console.widgets.results import Results
from memdeck_console.widgets.searchline import FilterLine, SearchLine
from memdeck_console.widgets.why import Stages, Why

WRITERS = ("admin", "agent", "standard")
"""Roles that may change memories."""
ON_MEMORY = ("open", "copy", "export", "undo", "edit", "expire", "forget")
CHANGING = ("undo", "edit", "expire", "forget")


class MemoryScreen(DeckScreen):
    """Search and what follows from it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask", "search"),
        Binding("f", "filters", "filters"),
        Binding("enter", "open", "open"),
        Binding("u", "undo", "undo"),
        Binding("E", "edit", "edit", key_display="E"),
        Binding("x", "expire", "expire"),
        Binding("F", "forget", "forget", key_display="F"),
        Binding("y", "copy", "copy"),
        Binding("Y", "copy_command", "copy the command", key_display="Y"),
        Binding("e", "export", "export"),
        Binding("r", "again", "search again"),
        Binding("escape", "leave", "back to results", show=False),
    ]
    FOOTER: ClassVar[tuple[str, ...]] = (
        "search", "filters", "open", "copy", "export", "reconnect", "screen", "palette", "help", "quit",
    )  # fmt: skip
    SPARE: ClassVar[tuple[str, ...]] = ("screen", "export", "copy", "palette", "open")
    DEFAULT_CSS = """
    MemoryScreen SearchLine { margin-top: 1; }
    MemoryScreen #columns { height: 1fr; margin-top: 1; }
    MemoryScreen #left { width: 1fr; margin-right: 2; height: 100%; }
    MemoryScreen #right { width: 48; height: 100%; overflow: hidden; }
    MemoryScreen #left > Sheet, MemoryScreen #right > Sheet { margin-bottom: 1; }
    MemoryScreen Details { height: 1fr; }

    MemoryScreen.-w160 #right { width: 64; }
    MemoryScreen.-h0 SearchLine, MemoryScreen.-h16 SearchLine, MemoryScreen.-h0 #columns,
    MemoryScreen.-h16 #columns { margin-top: 0; }
    MemoryScreen.-h0 Actions, MemoryScreen.-h16 Actions, MemoryScreen.-h0 Details,
    MemoryScreen.-h16 Details { display: none; }
    MemoryScreen.-w0 #columns, MemoryScreen.-w60 #columns, MemoryScreen.-w80 #columns { layout: vertical; }
    MemoryScreen.-w0 #left, MemoryScreen.-w60 #left, MemoryScreen.-w80 #left { margin-right: 0; height: 1fr; }
    MemoryScreen.-w0 #left > Sheet, MemoryScreen.-w60 #left > Sheet, MemoryScreen.-w80 #left > Sheet { margin-bottom: 0; }
    MemoryScreen.-w0 #right, MemoryScreen.-w60 #right, MemoryScreen.-w80 #right { width: 1fr; height: auto; max-height: 60%; margin-top: 1; }
    MemoryScreen.-w0 #right > Sheet, MemoryScreen.-w60 #right > Sheet, MemoryScreen.-w80 #right > Sheet { margin-bottom: 0; }
    MemoryScreen.-w0 Stages, MemoryScreen.-w60 Stages, MemoryScreen.-w80 Stages, MemoryScreen.-w0 Actions,
    MemoryScreen.-w60 Actions, MemoryScreen.-w80 Actions, MemoryScreen.-w0 Details,
    MemoryScreen.-w60 Details, MemoryScreen.-w80 Details, MemoryScreen.-w0 History,
    MemoryScreen.-w60 History, MemoryScreen.-w80 History { display: none; }
    MemoryScreen.-w0 #right, MemoryScreen.-h0 #right, MemoryScreen.-w0 FilterLine,
    MemoryScreen.-h0 FilterLine, MemoryScreen.-w0 Tabs, MemoryScreen.-h0 Tabs { display: none; }
    """

    def __init__(self, name: str | None = None, question: Question | None = None) -> None:
        super().__init__(name)
        self.inquiry = Inquiry(question=question or Question())
        self._forgotten: Memory | None = None
        """What was forgotten last; undo brings it back first."""

    def body(self) -> Iterable[Widget]:
        """Search line, results at the left, their reasons at the right."""
        inquiry = self.inquiry
        yield SearchLine(inquiry)
        yield FilterLine(inquiry)
        yield Horizontal(
            Vertical(Results(inquiry, id="results"), History(inquiry), Actions(inquiry), id="left"),
            Vertical(Why(inquiry, id="why"), Stages(inquiry), Details(inquiry), id="right"),
            id="columns",
        )

    def on_mount(self) -> None:
        """Keys work at once; `/` begins to type."""
        self.query_one(Results).focus()

    def show(self, view: View, *, frozen: bool) -> None:
        """The daemon's role decides what is offered."""
        for actions in self.query(Actions):  # gone already where the app is about to end
            actions.allowed = self.may_write
        super().show(view, frozen=frozen)

    @property
    def may_write(self) -> bool:
        """Whether memories may be changed from here."""
        caller = self.app_view().caller
        return not getattr(self.app, "read_only", False) and (caller is None or caller.role in WRITERS)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now."""
        del parameters
        if action in CHANGING:
            there = self.inquiry.memory is not None or (action == "undo" and self._forgotten is not None)
            return self.may_write and there and self.app_view().live
        if action in ON_MEMORY:
            return self.inquiry.memory is not None
        if action in {"again", "copy_command"}:
            return bool(self.inquiry.question.text)
        return True

    # --- asking -----------------------------------------------------------------------------------------------------

    def action_ask(self) -> None:
        """Type a question."""
        self.query_one("#question", Input).focus()

    def action_leave(self) -> None:
        """Back to the results."""
        self.query_one(Results).focus()

    @on(Input.Submitted, "#question")
    def _submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        self.query_one(Results).focus()
        if text:
            self.search(replace(self.inquiry.question, text=text))

    def action_again(self) -> None:
        """Ask the same again."""
        self.search(self.inquiry.question)

    def search(self, question: Question) -> None:
        """Ask; an earlier search that has not come back is given up."""
        self.inquiry.ask(question, self.app_view().now)
        self._changed()
        self._search(question)

    @work(exclusive=True, group="search", exit_on_error=False)
    async def _search(self, question: Question) -> None:
        clock = self.app.clock  # type: ignore[attr-defined]  # the app is ours; see app.py
        begin = clock.monotonic()
        try:
            answer = await self._memories.search(
                question.text, question.filters(clock.now()), **question.fields()
            )
        except MemdeckError as error:
            self.inquiry.failed(str(error))
        else:
            self.inquiry.found(answer, (clock.monotonic() - begin) * 1000)
            self._read_history()
        self._changed()

    @on(Results.Chosen)
    def _chosen(self) -> None:
        self._changed()
        self._read_history()

    @work(exclusive=True, group="history", exit_on_error=False)
    async def _read_history(self) -> None:
        memory = self.inquiry.memory
        if memory is None:
            return
        try:
            entries = await self._memories.history(memory.id)
        except MemdeckError as error:
            self.inquiry.history_error = str(error)
        else:
            self.inquiry.history = tuple(reversed(entries))
        self._changed()

    def action_filters(self) -> None:
        """Edit the filters."""
        question = self.inquiry.question
        fields = (
            ("user", question.user, "any"),
            ("agent", question.agent, "any"),
            ("run", question.run, "any"),
            ("since", question.since, "ever; 12h, 90d, 2w"),
            ("limit", str(question.limit), "10"),
            ("threshold", "" if question.threshold is None else f"{question.threshold:.2f}", "default; a cosine, 0 to 1"),
            ("explain", "on" if question.explain else "off", "on or off"),
        )  # fmt: skip
        self.app.push_screen(Form("Filters", fields, self._objection), self._filtered)

    def _objection(self, values: dict[str, str]) -> str:
        try:
            question_of(self.inquiry.question.text, values)
        except ValueError as error:
            return f"{error}."
        return ""

    def _filtered(self, values: dict[str, str] | None) -> None:
        if values is None:
            return
        self.inquiry.question = question_of(self.inquiry.question.text, values)
        if self.inquiry.question.text:
            self.action_again()
        self._changed()

    # --- the selected memory ----------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Read it whole."""
        if memory := self.inquiry.memory:
            self.app.push_screen(
                Reader(f"#{self.inquiry.selected + 1}  {formatting.short_id(memory.id)}", memory.memory)
            )

    def action_copy(self) -> None:
        """Copy its text."""
        if memory := self.inquiry.memory:
            self.app.copy_to_clipboard(memory.memory)
            self.app.notify(f"Copied the text of #{self.inquiry.selected + 1}.")

    def action_copy_command(self) -> None:
        """Copy the command that asks the same."""
        self.app.copy_to_clipboard(
            self.inquiry.question.twin(datetime.fromtimestamp(self.app_view().now, UTC))
        )
        self.app.notify("Copied the command.")

    def exported(self) -> dict[str, Any]:
        """The results, for a file."""
        question = self.inquiry.question
        now = datetime.fromtimestamp(self.app_view().now, UTC)
        return {
            "query": question.text, "filters": question.filters(now), **question.fields(),
            "command": question.twin(now), "answer": self.inquiry.answer,
        }  # fmt: skip

    def action_undo(self) -> None:
        """Revert its last change, after a look at what that is."""
        history = self.inquiry.history
        if self._forgotten is not None:
            words = f"“{self._forgotten.memory[:300]}” was forgotten. Undoing that brings it back."
            self._ask_then(Confirm("Undo the last change", (words,), verb="undo"), self._undo)
        elif history:
            words = change_of(history[0], first=len(history) == 1)
            last = f"The last change, {changed_at(history[0])}: {words}."
            gone = " Undoing it removes the memory." if history[0].event == "ADD" else ""
            self._ask_then(Confirm("Undo the last change", (last + gone,), verb="undo"), self._undo)

    def action_edit(self) -> None:
        """Change its text."""
        if memory := self.inquiry.memory:
            dialog = Ask(
                "Edit", "The old text stays in the history; u brings it back for 24 hours.", value=plain(memory.memory),
                objection=lambda text: "" if text.strip() else "A memory has at least one letter; F forgets it.",
            )  # fmt: skip
            self._ask_then(dialog, lambda text: self._update(memory=str(text).strip()))

    def action_expire(self) -> None:
        """Set the last day on which it is found."""
        if memory := self.inquiry.memory:
            today = formatting.iso_day(self.app_view().now)
            dialog = Ask(
                "Expire", "The last day on which it is found, in UTC. Empty: never.",
                value=memory.expiration_date or today, objection=_day_objection,
            )  # fmt: skip
            self._ask_then(dialog, lambda text: self._update(expiration_date=str(text).strip() or None))

    def action_forget(self) -> None:
        """Delete it, once its id has been typed."""
        if memory := self.inquiry.memory:
            sentences = (
                f"“{memory.memory[:300]}”",
                "Nobody finds it from then on. u brings it back, for 24 hours.",
            )
            expected = formatting.typed_id(memory.id)
            self._ask_then(Confirm("Forget", sentences, expected=expected, verb="forget"), self._forget)

    def _ask_then(self, dialog: Any, do: Any) -> None:
        """Show a dialog; act when it was answered."""

        def answered(answer: object) -> None:
            if answer is not None and answer is not False:
                do(answer)

        self.app.push_screen(dialog, answered)

    def _undo(self, _: object) -> None:
        self._act("undo")

    def _forget(self, _: object) -> None:
        self._act("forget")

    def _update(self, **fields: Any) -> None:
        self._act("update", **fields)

    @work(exclusive=True, group="action", exit_on_error=False)
    async def _act(self, action: str, **fields: Any) -> None:
        memory = self._forgotten if action == "undo" and self._forgotten else self.inquiry.memory
        if memory is None:
            return
        try:
            said, changed = await self._do(action, memory, fields)
        except MemdeckError as error:
            self.app.notify(str(error), severity="error", title="Nothing was changed")
            return
        self.app.notify(said)
        if self._forgotten is memory and action == "undo":
            self._forgotten = None
            self.action_again()
            return
        self._forgotten = memory if action == "forget" else None
        self.inquiry.replace(changed)
        self._changed()
        self._read_history()

    async def _do(self, action: str, memory: Memory, fields: dict[str, Any]) -> tuple[str, Memory | None]:
        short = formatting.short_id(memory.id)
        if action == "update":
            changed = await self._memories.update(memory.id, **fields)
            if isinstance(changed, Done):
                return f"{short}: {changed.message}", memory
            return f"Changed {short}.", changed
        if action == "forget":
            await self._memories.delete(memory.id)
            return f"Forgot {short}. u brings it back, for 24 hours.", None
        await self._memories.undo(memory.id)
        return f"Undid the last change of {short}.", await self._after_undo(memory)

    async def _after_undo(self, memory: Memory) -> Memory | None:
        """What it is now: told by its history, None when undoing removed it."""
        entries = await self._memories.history(memory.id)
        text = entries[-1].new_memory if entries else None
        return None if text is None else msgspec.structs.replace(memory, memory=text)

    @property
    def _memories(self) -> Memories:
        memories: Memories = self.app.link.memories  # type: ignore[attr-defined]  # the app is ours; see app.py
        return memories

    def _changed(self) -> None:
        """The inquiry changed: draw what shows it, and the keys that it allows."""
        for sheet in self.query(Sheet):
            sheet.redraw()
        self.redraw_footer()

    @property
    def idle(self) -> bool:
        """Whether nothing is being waited for."""
        return self.inquiry.phase is not Phase.LOADING


def _day_objection(text: str) -> str:
    try:
        datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return "" if not text.strip() else "Write a day like 2026-12-31."
    return ""
