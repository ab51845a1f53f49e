"""Text to terms.

Owns what counts as a word, and stemming by the language that `languages` guesses. Works on any script: words are runs of letters and
digits; runs of Chinese, Japanese and Korean characters, which have no spaces, become pairs of characters. Queries and
memories pass through the same function, or they would not meet.
"""

import re
import unicodedata
import zlib
from functools import lru_cache
from typing import Final

import Stemmer

from memdeck_daemon.memory.lexical.languages import ENGLISH_STOP, Language, language_of

WORD: Final = re.compile(r"([^\W_]+)(?:['’][^\W_]+)?")
"""A word without what follows its apostrophe."""
UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
LONGEST: Final = 48
"""Characters of a term; what is longer is noise (keys, encoded data), cut so that it still finds itself."""
_english = Stemmer.Stemmer("english")


@lru_cache(maxsize=20_000)
def _known_stem(word: str) -> str:
    stem: str = _english.stemWord(word)
    return stem


def _stem(word: str) -> str:
    # Cut before it is remembered: a thousand words of 64 KiB would stay for good.
    return _known_stem(word if len(word) <= LONGEST else word[:LONGEST])


@lru_cache(maxsize=20_000)
def _known_stems(word: str, language: Language) -> tuple[str, ...]:
    return tuple(dict.fromkeys((language.stemmer.stemWord(word), _stem(word))))


def terms(text: str) -> list[str]:
    """The terms of a text, in order, repeated as often as they occur.

    A word of another language than English counts under its own stem and, where that differs, under the one that English
    gives it: a query too short to tell its language must find it as well.
    """
    plain = text.isascii()
    words = WORD.findall(text.lower() if plain else unicodedata.normalize("NFKC", text).lower())
    language = language_of(words)
    if language is None and plain:
        return [_stem(word) for word in words if word not in ENGLISH_STOP]
    stop = ENGLISH_STOP if language is None else language.stop
    found: list[str] = []
    for word in words:
        if UNSPACED.search(word):
            found.extend(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        elif word not in stop:
            found.extend((_stem(word),) if language is None else _known_stems(word[:LONGEST], language))
    return found


def stop_words(text: str) -> frozenset[str]:
    """The words that carry nothing in the language of a text."""
    language = language_of(WORD.findall(text.lower()))
    return ENGLISH_STOP if language is None else language.stop


@lru_cache(maxsize=20_000)
def key_of(term: str) -> int:
    """32 bits that stand for a term where only equality counts."""
    return zlib.crc32(term.encode(errors="replace"))


def term_keys(text: str) -> list[int]:
    """The terms of a text as numbers, in order."""
    return [key_of(term) for term in terms(text)]


def query_terms(text: str) -> list[str]:
    """The distinct terms of a query; a query of nothing but stop words is taken word by word."""
    found = list(dict.fromkeys(terms(text)))
    return found or list(dict.fromkeys(_stem(word) for word in WORD.findall(text.lower())))
