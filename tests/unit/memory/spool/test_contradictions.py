"""What a write that waits in the spool says against a kept answer."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from memdeck_daemon.infra.resilience.modes import Modes
from memdeck_daemon.memory import filter_codec, filters
from memdeck_daemon.memory.generations import Generations
from memdeck_daemon.memory.intents import AnyIntent, Changed, Delete, DeleteScope, Undo, UndoEvent, Update
from memdeck_daemon.memory.model import Caller, Identifier, Reach
from memdeck_daemon.memory.spool.journal import Journal
from memdeck_daemon.memory.spool.parked import Parked
from memdeck_daemon.memory.spool.segments import Place, Segments
from memdeck_daemon.memory.unverified import Unverified
from tests.fakes.clock import ManualClock

ONE, OTHER = uuid.uuid4(), uuid.uuid4()
ANSWER = b'{"results":[{"id":"%s","memory":"Alice drinks tea"}]}' % str(ONE).encode()
CLOCK = ManualClock()
HEAD: dict[str, Any] = {
    "receipt_id": uuid.uuid4(),
    "at": CLOCK.now(),
    "caller": Caller("test", "k", Reach()),
}


def scope(**names: str) -> Any:
    return filter_codec.plain(filters.parse(dict(names)))


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        (Delete(ids=(ONE,), **HEAD), True),
        (Delete(ids=(OTHER,), **HEAD), False),
        (Update(changes=(Changed(id=ONE, text="x"),), **HEAD), True),
        (Update(changes=(Changed(id=OTHER, text="x"),), **HEAD), False),
        (Undo(memory_id=ONE, **HEAD), True),
        (UndoEvent(event_id=ONE, **HEAD), False),
        (DeleteScope(where=scope(user_id="alice"), **HEAD), True),
        (DeleteScope(where=scope(user_id="bob"), **HEAD), False),
        (DeleteScope(where=scope(user_id="*"), **HEAD), True),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, bool) else str(value),
)
def test_what_was_acknowledged_as_gone_does_not_come_back(
    intent: AnyIntent, expected: bool, tmp_path: Path
) -> None:
    """Until the write has been carried out; an add says nothing against what was there before."""
    journal = Journal(Segments(tmp_path), Parked(tmp_path / "parked"), 1 << 20)
    judge = Unverified(Generations(None, CLOCK), journal, Modes(CLOCK))  # type: ignore[arg-type]  # no database here
    names = (Identifier("user", "alice"),)
    assert not judge.contradicted(names, ANSWER)
    journal._note(intent, Place(1, 0, 10))
    assert expected == judge.contradicted(names, ANSWER)
    journal.done(intent)
    assert not judge.contradicted(names, ANSWER)
    assert (0, 0) == (len(journal._changed), len(journal._removed))


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        (Delete(ids=(ONE,), **HEAD), (True, False, True)),
        (Update(changes=(Changed(id=ONE, text="x"),), **HEAD), (True, True, True)),
        (Undo(memory_id=ONE, **HEAD), (True, True, True)),
        (UndoEvent(event_id=ONE, **HEAD), (True, True, True)),
        (DeleteScope(where=scope(user_id="alice"), **HEAD), (True, True, True)),
        (DeleteScope(where=scope(user_id="bob"), **HEAD), (False, False, True)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, tuple) else "",
)
def test_a_read_knows_what_it_lacks(
    intent: AnyIntent, expected: tuple[bool, bool, bool], tmp_path: Path
) -> None:
    """Of Alice's with the memory in it, of hers without it, of everybody's: what is changed may belong where it was not."""
    journal = Journal(Segments(tmp_path), Parked(tmp_path / "parked"), 1 << 20)

    def lacking() -> tuple[bool, bool, bool]:
        return (
            journal.concerns(["user:alice"], [str(ONE)]),
            journal.concerns(["user:alice"], []),
            journal.concerns(None, []),
        )

    assert (False, False, False) == lacking()
    journal._note(intent, Place(1, 0, 10))
    assert expected == lacking()
    journal.done(intent)
    assert (False, False, False) == lacking()
