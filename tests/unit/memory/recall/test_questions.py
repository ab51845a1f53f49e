"""What a question says besides its words."""

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdeck_daemon.memory.recall.questions import (
    NamedDate,
    asks_when,
    content_of,
    has_time_word,
    is_question,
    named_actors,
    named_date,
)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What happened on 7 May 2023?", NamedDate(5, 7, 2023)), ("in May", NamedDate(5)), ("on May 7", NamedDate(5, 7)),
        ("the 3rd of June", NamedDate(6, 3)), ("May I come?", None), ("a march on Rome", None), ("im März 2024", NamedDate(3, None, 2024)),
        ("le 14 juillet", NamedDate(7, 14)), ("el 5 de mayo", NamedDate(5, 5)), ("nothing", None), ("december 2022", NamedDate(12, None, 2022)),
    ],
)  # fmt: skip
def test_named_dates(question: str, expected: NamedDate | None) -> None:
    """A month, with its day and year; a word that is also a month needs company."""
    assert expected == named_date(question)


@pytest.mark.parametrize(
    ("named", "at", "fits"),
    [
        (NamedDate(5, 7), date(2023, 5, 7), True), (NamedDate(5, 7), date(2023, 5, 14), True), (NamedDate(5, 7), date(2023, 5, 15), False),
        (NamedDate(5, 7), date(2023, 5, 6), False), (NamedDate(5), date(2023, 6, 7), True), (NamedDate(5), date(2023, 6, 8), False),
        (NamedDate(2, 30), date(2023, 3, 1), False), (NamedDate(2, 29, 2023), date(2023, 3, 1), False), (NamedDate(12, 0), date(2023, 12, 1), False),
        (NamedDate(12, None, 2022), date(2023, 1, 3), True), (NamedDate(12, None, 2022), date(2022, 1, 3), False),
        (NamedDate(12, 31, 2022), date(2023, 1, 2), True), (NamedDate(12, 31), date(2023, 1, 2), True),
        (NamedDate(1, None, 2022), date(2022, 1, 31), True),
    ],
)  # fmt: skip
def test_what_may_be_meant_by_a_date(named: NamedDate, at: date, fits: bool) -> None:
    """Told on the day or up to a week later, also across a month and a year."""
    assert fits is named.matches(at)


def test_people_are_found_as_whole_words() -> None:
    """In any case, whatever characters a name has."""
    assert ["Ann", "B.B. (King)"] == named_actors(
        "did ANN meet b.b. (king)?", ["Ann", "B.B. (King)", "An", "Bob"]
    )


def test_names_and_empty_words_are_left_out_of_the_meaning() -> None:
    """Unless nothing would be left."""
    assert "paint sunrise" == content_of(
        "When did Alice paint the sunrise?", frozenset({"when", "did", "the"}), ["Alice"]
    )
    assert "Alice?" == content_of("Alice?", frozenset(), ["alice"])


def test_small_signs() -> None:
    """Questions, times."""
    assert [True, True, False] == [is_question(text) for text in ("why? ", "何？", "so.")]
    assert [True, False, True] == [asks_when(text) for text in ("When was it", "What is it", "¿Cuándo fue?")]
    assert [True, False, True] == [has_time_word(text) for text in ("two weeks ago", "May I", "gestern")]


@given(st.text(max_size=300))
def test_any_text_can_be_asked(text: str) -> None:
    """Nothing in it is a mistake."""
    named = named_date(text)
    if named is not None:
        named.matches(date(2024, 2, 29))
    assert content_of(text, frozenset(), []) or not text
    named_actors(text, ["", "a", "\\", "("])


@pytest.mark.parametrize(
    "piece", ["for ", "1", "w ", "last ", "2024 ", "may ", "'", "the following week ", "ago", "_"]
)
def test_long_texts_are_read_in_time(piece: str) -> None:
    """64 KiB made to be nearly right."""
    text = piece * (65_536 // len(piece))
    began = time.process_time()
    has_time_word(text)
    asks_when(text)
    named_date(text[:2_000])
    content_of(text[:2_000], frozenset({"the"}), ["a"])
    assert time.process_time() - began < 1
