"""Text to terms.

Owns what counts as a word, which words carry nothing, and stemming. Works on any script: words are runs of letters and
digits; runs of Chinese, Japanese and Korean characters, which have no spaces, become pairs of characters. Queries and
memories pass through the same function, or they would not meet.
"""

import re
import unicodedata
import zlib
from functools import lru_cache
from typing import Final

import Stemmer

WORD: Final = re.compile(r"([^\W_]+)(?:['’][^\W_]+)?")
"""A word without what follows its apostrophe."""
UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
LONGEST: Final = 48
"""Characters of a term; what is longer is noise (keys, encoded data), cut so that it still finds itself."""

STOP: Final = frozenset(
    """a about above after again against all also am an and any are aren as at be because been before being below between
    both but by can cannot could couldn did didn do does doesn doing don down during each few for from further had hadn has
    hasn have haven having he her here hers herself him himself his how i if in into is isn it its itself just let me more
    most my myself no nor not of off on once only or other our ours ourselves out over own same shan she should shouldn so
    some such than that the their theirs them themselves then there these they this those through to too under until up very
    was wasn we were weren what when where which while who whom why will with won would wouldn you your yours yourself
    yourselves s t d ll m re ve""".split()
)

_stemmer = Stemmer.Stemmer("english")


@lru_cache(maxsize=20_000)
def _known_stem(word: str) -> str:
    stem: str = _stemmer.stemWord(word)
    return stem


def _stem(word: str) -> str:
    # Cut before it is remembered: a thousand words of 64 KiB would stay for good.
    return _known_stem(word if len(word) <= LONGEST else word[:LONGEST])


def terms(text: str) -> list[str]:
    """The terms of a text, in order, repeated as often as they occur."""
    if text.isascii():
        return [_stem(word) for word in WORD.findall(text.lower()) if word not in STOP]
    found: list[str] = []
    for word in WORD.findall(unicodedata.normalize("NFKC", text).lower()):
        if UNSPACED.search(word):
            found.extend(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        elif word not in STOP:
            found.append(_stem(word))
    return found


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
