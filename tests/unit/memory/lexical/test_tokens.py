"""Text to terms, the same for memories and queries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdeck_daemon.memory.lexical.languages import FRENCH, GERMAN, SPANISH, Language, language_of
from memdeck_daemon.memory.lexical.tokens import LONGEST, WORD, query_terms, stop_words, term_keys, terms


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


@pytest.mark.parametrize(
    ("asked", "said", "shared"),
    [
        ("Welche Bücher mag das Kind?", "Die Kinder lesen das Buch gern", "kind"),
        ("Où travaillent ses amies ?", "Elle a une amie qui travaille à Lyon", "ami"),
        ("¿Qué canciones cantaban los niños?", "Mi hija cantaba una canción", "cancion"),
        ("Klavier?", "Anna spielt seit März Klavier", "klavier"),
        ("When does Anna play the Klavier?", "Anna spielt nur noch Klavier", "klavier"),
    ],
)
def test_languages_meet(asked: str, said: str, shared: str) -> None:
    """Forms of a word under their own language's stem; a query in no language, or another one, under English's."""
    assert shared in set(query_terms(asked)) & set(terms(said))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Mein Hund heißt Bruno und frisst alles", GERMAN), ("J'habite chez mes parents depuis mars", FRENCH),
        ("Mi hermana vive en Sevilla desde entonces", SPANISH), ("The children saw Die Hard with us", None),
        ("We flew to Los Angeles and then to El Paso", None), ("AI, um, sin and comment", None), ("Solange", None), ("", None),
    ],
)  # fmt: skip
def test_a_language_is_told_by_its_function_words(text: str, language: Language | None) -> None:
    """English is what remains, also where names and loan words look foreign."""
    assert language is language_of(WORD.findall(text.lower()))


def test_stop_words_are_those_of_the_language() -> None:
    """Of the others nothing is dropped: "die" and "war" are words in English."""
    assert {"die", "war"} <= stop_words("Wer war die Frau?")
    assert not {"die", "war"} & stop_words("Who will die in the war?")


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
