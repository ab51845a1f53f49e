"""Text to terms, the same for memories and queries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdeck_daemon.memory.lexical.tokens import LONGEST, query_terms, term_keys, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Alice painted sunrises", ["alic", "paint", "sunris"]),
        ("painting PAINTS painted", ["paint", "paint", "paint"]),
        ("the of and", []), ("Alice's dog isn’t", ["alic", "dog"]), ("snake_case x-ray 3.5", ["snake", "case", "x", "ray", "3", "5"]),
        ("ﬁne Ａ１", ["fine", "a1"]), ("日本語", ["日本", "本語"]), ("日", ["日"]), ("서울에서", ["서울", "울에", "에서"]),
        ("Ünïcode straße", ["ünïcode", "straße"]), ("🎨 !!! \u200b", []), ("", []), ("workspace_7_user_9", ["workspac", "7", "user", "9"]),
    ],
)  # fmt: skip
def test_terms(text: str, expected: list[str]) -> None:
    """Stemmed, without words that carry nothing, in any script."""
    assert expected == terms(text)


def test_what_is_too_long_still_finds_itself() -> None:
    """Keys and encoded data."""
    key = "k" * 500
    assert terms(key) == query_terms(key)
    assert LONGEST >= len(terms(key)[0])


def test_a_query_of_stop_words_alone_is_taken_word_by_word() -> None:
    """It asks for something."""
    assert ["the", "who"] == query_terms("the who the")
    assert [] == query_terms("?!")


@given(st.text(max_size=200))
def test_a_query_finds_the_text_that_it_repeats(text: str) -> None:
    """Whatever it is made of; terms hold no white space, which would split them in the index."""
    found = terms(text)
    assert set(found) <= set(query_terms(text)) or not found
    assert len(found) == len(term_keys(text))
    assert all(term and not any(character.isspace() for character in term) for term in found)
