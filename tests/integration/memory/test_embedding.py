"""The local embedding space: the same text, the same vector."""

import asyncio

import numpy as np
import pytest

from memdeck_daemon.memory.embedding.local import DIMENSIONS, INLINE_CHARACTERS, LocalEmbedder
from tests.integration.memory.driver import ADMIN, Memories

Half = np.ndarray[tuple[int, ...], np.dtype[np.float16]]
TEXTS = [
    "Alice paints",
    "",
    "🎨🎨",
    "日本語",
    "a" * 5000,
    "<s></s><unk><pad>",
    "\u200b\u202e",
    "İ ß ſ",
    "x",
    "x y " * 3000,
]


def test_vectors_have_length_one_or_none(embedder: LocalEmbedder) -> None:
    """A text without tokens is near to nothing."""
    vectors = embedder.embed_now(TEXTS)
    assert (len(TEXTS), DIMENSIONS) == vectors.shape
    lengths = np.linalg.norm(vectors, axis=1)
    assert all(length == pytest.approx(1, abs=1e-3) or length == 0 for length in lengths)
    assert 0 == lengths[1]
    assert np.isfinite(vectors).all()


async def test_a_text_has_one_vector(embedder: LocalEmbedder) -> None:
    """Alone, among others, in a thread, and many at the same time: an undo relies on it."""
    together = embedder.embed_now(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(vector, embedder.embed_now([text])[0])
    many = TEXTS * (1 + INLINE_CHARACTERS // sum(map(len, TEXTS)))
    batches = await asyncio.gather(*(embedder.embed(many) for _ in range(4)))
    for batch in batches:
        np.testing.assert_array_equal(batch[: len(TEXTS)], together)


def test_every_token_has_a_row(embedder: LocalEmbedder) -> None:
    """Or somebody's text would end in an error."""
    vocabulary = embedder.tokenizer.get_vocab(with_added_tokens=True)
    assert max(vocabulary.values()) < len(embedder.table)


def test_meaning_is_near(embedder: LocalEmbedder) -> None:
    """Nearer than something else."""
    cat, feline, tax = embedder.embed_now(
        ["my cat drinks milk", "a kitten and its dairy", "quarterly tax report"]
    )
    assert cat @ feline > cat @ tax + 0.1


async def test_what_is_stored_is_what_is_embedded(
    memories: Memories, user: str, embedder: LocalEmbedder
) -> None:
    """Whether it was added, changed, or brought back."""
    (memory_id,) = await memories.add("Alice paints", user=user)

    async def stored() -> Half:
        found: Half = await memories.value("SELECT embedding FROM memory.vectors_1 WHERE id = $1", memory_id)
        return found

    def expected(text: str) -> Half:
        vector: Half = embedder.embed_now([text])[0].astype(np.float16)
        return vector

    np.testing.assert_array_equal(expected("Alice paints"), await stored())
    await memories.change(memory_id, text="Bob sings")
    np.testing.assert_array_equal(expected("Bob sings"), await stored())
    event = (await memories.delete_scope({"user_id": user})).id
    await memories.service.undo_event(event, ADMIN)
    np.testing.assert_array_equal(expected("Bob sings"), await stored())
    await memories.service.undo(memory_id, ADMIN)
    await memories.service.undo(memory_id, ADMIN)
    np.testing.assert_array_equal(expected("Bob sings"), await stored())
