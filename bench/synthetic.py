"""Memories by the million, made from a seed: vectors, texts and questions that look like those of a long life.

Owns the distribution. Vectors: clusters of Pareto sizes in a latent space of few dimensions, spread around their centres,
mapped into the space's dimensions, with noise in all of them, of unit length. Texts: words of a Zipf vocabulary, some of
them the cluster's own, so that words and vectors speak of the same things. A question takes words from one memory, and its
vector is a new draw from that memory's cluster. The same seed gives the same bytes.
"""

import uuid
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Halves = NDArray[np.float16]

CLUSTERS: Final = 4_000
LATENT: Final = 128
SHAPE: Final = 1.8
"""Of the Pareto distribution of cluster sizes: the largest of 4,000 holds a percent or two of all."""
COMMON: Final = 0.27
"""How much all memories have in common: it makes the median cosine of strangers."""
SPREAD: Final = 0.66
NOISE: Final = 0.35
VOCABULARY: Final = 40_000
STOP_WORDS: Final = 60.0
"""The most frequent words of a language say nothing, and no index holds them: the distribution begins behind them."""
OWN_WORDS: Final = 12
"""Words that a cluster prefers."""
SHARE_OWN: Final = 0.3
BEGINNING: Final = 1_735_689_600_000
"""Milliseconds: the first memory is of 1 January 2025."""
BETWEEN: Final = 30_000
"""Milliseconds between two memories."""
ACTORS: Final = ("Alice", "Bruno", "Carla")
_SYLLABLES: Final = [
    a + b
    for a in ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "st")
    for b in "aeiou"
]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some memories, row by row."""

    ids: list[uuid.UUID]
    texts: list[str]
    vectors: Halves
    clusters: NDArray[np.int64]


class Synthetic:
    """One life; any part of it can be made without the parts before it."""

    def __init__(self, seed: int, dimensions: int = 1536) -> None:
        self.seed, self.dimensions = seed, dimensions
        rng = np.random.default_rng([seed, 0])
        self._basis = rng.standard_normal((LATENT, dimensions), dtype=np.float32) / np.sqrt(LATENT)
        centres = rng.standard_normal((CLUSTERS, LATENT), dtype=np.float32)
        centres += COMMON * rng.standard_normal(LATENT).astype(np.float32)
        self._centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)
        sizes = rng.pareto(SHAPE, CLUSTERS) + 1
        self._weights = sizes / sizes.sum()
        ranks = np.arange(VOCABULARY) + STOP_WORDS
        self._zipf = np.cumsum(ranks**-1.07 / np.sum(ranks**-1.07))
        self._words = [_word(number) for number in range(VOCABULARY)]
        self._own = rng.integers(200, VOCABULARY, (CLUSTERS, OWN_WORDS))

    def _vectors(self, rng: np.random.Generator, clusters: NDArray[np.int64]) -> Halves:
        latent = rng.standard_normal((len(clusters), LATENT), dtype=np.float32)
        latent *= np.float32(SPREAD / np.sqrt(LATENT))
        latent += self._centres[clusters]
        found = latent @ self._basis
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        found += np.float32(NOISE / np.sqrt(self.dimensions)) * rng.standard_normal(
            found.shape, dtype=np.float32
        )
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        halves: Halves = found.astype(np.float16)
        return halves

    def _text(self, rng: np.random.Generator, cluster: int) -> str:
        count = int(rng.integers(6, 22))
        common = np.searchsorted(self._zipf, rng.random(count))
        own = self._own[cluster][rng.integers(0, OWN_WORDS, count)]
        chosen = np.where(rng.random(count) < SHARE_OWN, own, common)
        return " ".join([self._words[number] for number in chosen])

    def batch(self, first: int, count: int) -> Batch:
        """The memories `first` to `first + count - 1`; the same numbers in the same batches are the same memories."""
        rng = np.random.default_rng([self.seed, 1, first])
        clusters = rng.choice(CLUSTERS, count, p=self._weights)
        vectors = self._vectors(rng, clusters)
        texts = [self._text(rng, int(cluster)) for cluster in clusters]
        tails = rng.integers(0, 2**62, count)
        ids = [_id(first + place, int(tail)) for place, tail in enumerate(tails)]
        return Batch(ids, texts, vectors, clusters)

    def questions(self, batch: Batch, count: int, kind: int) -> tuple[list[str], Halves]:
        """Questions about memories of a batch, and their vectors; another `kind` gives other ones."""
        rng = np.random.default_rng([self.seed, 2, kind])
        places = rng.integers(0, len(batch.texts), count)
        vectors = self._vectors(rng, batch.clusters[places])
        texts = []
        for number, place in enumerate(places):
            words = batch.texts[place].split()
            some = rng.choice(words, min(4, len(words)), replace=False)
            other = self._words[int(np.searchsorted(self._zipf, rng.random()))]
            # The number makes every question another one.
            texts.append(f"{' '.join(some)} {other} q{kind}x{number}?")
        return texts, vectors


def created_ms(number: int) -> int:
    """When a memory was made."""
    return BEGINNING + BETWEEN * number


def _id(number: int, tail: int) -> uuid.UUID:
    """A version 7 id of that moment."""
    return uuid.UUID(int=(created_ms(number) << 80) | (0x7 << 76) | (0x2 << 62) | tail)


def _word(number: int) -> str:
    """A word of two to four syllables, another one for each number."""
    base, parts = len(_SYLLABLES), []
    number += base
    while number:
        number, place = divmod(number, base)
        parts.append(_SYLLABLES[place])
    return "".join(parts)
