"""The state of the Memory screen: searching, selecting, changing."""

from msgspec import structs

from memdeck_console.core.inquiry import Inquiry, Phase, score_of
from memdeck_console.core.question import Question
from memdeck_console.widgets.particulars import change_of, changed_at
from tests.fakes import memories


def asked() -> Inquiry:
    inquiry = Inquiry()
    inquiry.ask(Question("who"), 1.0)
    inquiry.found(memories.answer(), 20.0)
    return inquiry


def test_a_new_search_forgets_what_was_found() -> None:
    inquiry = asked()
    inquiry.choose(3)
    inquiry.ask(Question("what"), 2.0)
    assert (Phase.LOADING, [], 0, None) == (inquiry.phase, inquiry.results, inquiry.selected, inquiry.memory)


def test_the_time_is_the_daemons_own_when_it_told_its_stages() -> None:
    assert 12.1 == round(asked().took_ms or 0, 1)


def test_the_selection_stays_within_the_results() -> None:
    inquiry = asked()
    assert inquiry.choose(99)
    assert 7 == inquiry.selected
    assert inquiry.choose(-5)
    assert 0 == inquiry.selected
    assert not inquiry.choose(0)


def test_another_selection_has_another_history() -> None:
    inquiry = asked()
    inquiry.history = tuple(memories.HISTORY)
    inquiry.choose(1)
    assert inquiry.history is None


def test_a_changed_memory_keeps_the_score_with_which_it_was_found() -> None:
    inquiry = asked()
    inquiry.replace(memories.memory(0, memory="changed"))
    assert inquiry.memory is not None
    assert ("changed", 0.91) == (inquiry.memory.memory, score_of(inquiry.memory))


def test_a_forgotten_memory_leaves_the_results() -> None:
    inquiry = asked()
    inquiry.choose(7)
    inquiry.replace(None)
    assert (7, 6) == (len(inquiry.results), inquiry.selected)


def test_the_history_says_what_became_what() -> None:
    """Only the words in which the texts differ."""
    assert ["first stored", "“infra” became “the infra team”", "“infra” became “data platform”"] == [
        change_of(entry, first=number == 0) for number, entry in enumerate(memories.HISTORY)
    ]


def test_a_change_has_the_time_at_which_it_happened() -> None:
    """`created_at` of an entry is that of the memory, the same in all; what comes after a deletion was brought back."""
    first = memories.HISTORY[0]
    back = structs.replace(first, created_at="2026-11-01T08:00:00Z", updated_at="2026-11-19T12:04:31Z")
    assert ("19 Nov 12:04Z", "brought back") == (changed_at(back), change_of(back, first=False))
