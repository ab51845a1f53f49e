"""Packing a context."""

from datetime import UTC, datetime

import hypothesis.strategies as st
from hypothesis import given

from memdeck_daemon.memory.model import Identifiers
from memdeck_daemon.memory.sessions.budget import assembled, packed, said_line, trace_line
from memdeck_daemon.memory.sessions.model import Piece, Said, Source, Trace
from tests.fakes.session_service import piece_of

TITLES: dict[Source, int] = {"window": 2, "memories": 1, "traces": 2}
AT = datetime(2026, 11, 20, tzinfo=UTC)


def pieces(source: str, *tokens: int) -> list[Piece]:
    return [piece_of(f"{source} {number}", cost, source) for number, cost in enumerate(tokens)]


def test_the_window_leaves_half_to_the_others() -> None:
    """Newest entries first, until their share is used up; what is left over then goes to the rest of the window."""
    window, memories = pieces("window", *[10] * 10), pieces("memories", 10, 10)
    packing, left = packed(100, TITLES, window, memories, [])
    assert 7 == len(packing.taken["window"])
    assert 2 == len(packing.taken["memories"])
    assert {"window": 3} == left
    assert 93 == packing.tokens


def test_the_window_takes_all_when_it_is_alone() -> None:
    """A share is for those who have something to say."""
    packing, left = packed(100, TITLES, pieces("window", *[10] * 9), [], [])
    assert (92, {}) == (packing.tokens, left)


def test_the_window_is_told_in_the_order_in_which_it_was_said() -> None:
    """Also those entries that came late into the budget."""
    window = pieces("window", 10, 40, 10)
    packing, _ = packed(100, TITLES, window, pieces("memories", 10), [])
    assert ["window 2", "window 1", "window 0"] == [piece.text for piece in packing.taken["window"]]


def test_an_entry_that_is_too_large_is_passed_over() -> None:
    """Whole or not at all; smaller ones behind it still find room."""
    packing, left = packed(30, TITLES, pieces("window", 100, 5), [], pieces("traces", 100))
    assert ["window 1"] == [piece.text for piece in packing.taken["window"]]
    assert {"window": 1, "traces": 1} == left


@given(
    st.integers(1, 200),
    st.lists(st.integers(0, 80), max_size=9),
    st.lists(st.integers(0, 80), max_size=9),
    st.lists(st.integers(0, 80), max_size=9),
)
def test_a_budget_is_never_exceeded(
    budget: int, window: list[int], memories: list[int], traces: list[int]
) -> None:
    """And every entry is either taken or counted as left out."""
    packing, left = packed(
        budget, TITLES, pieces("window", *window), pieces("memories", *memories), pieces("traces", *traces)
    )
    taken = sum(len(some) for some in packing.taken.values())
    assert packing.tokens <= budget
    assert packing.tokens == sum(TITLES[s] + sum(p.tokens for p in some) for s, some in packing.taken.items())
    assert len(window) + len(memories) + len(traces) == taken + sum(left.values())


def test_the_text_has_a_heading_per_source() -> None:
    """Only for those that have something to say."""
    text = assembled({"traces": pieces("traces", 1), "window": pieces("window", 1)})
    assert "Recent conversation:\nwindow 0\nEarlier decisions:\ntraces 0" == text
    assert "" == assembled({})


def test_lines_say_who_and_when() -> None:
    """A name goes before a role; a trace tells what it knows."""
    said = piece_of("x", 1)
    assert "Ada: hi" == said_line(Said(said.id, "hi", "user", "Ada", AT))
    assert "user: hi" == said_line(Said(said.id, "hi", "user", None, AT))
    assert "hi" == said_line(Said(said.id, "hi", None, None, AT))
    trace = Trace(
        said.id, Identifiers(agent="a"), "replay", None, "Go\nnow", None, "Fine", None, (), {}, AT, AT
    )
    assert "[2026-11-20] decided: Go now; outcome: Fine" == trace_line(trace)
