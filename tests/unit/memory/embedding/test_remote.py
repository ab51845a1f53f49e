"""The client of remote embedders, over a transport in memory: what is asked, what is believed, what is refused."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest

from memdeck_daemon.memory.embedding.endpoint import LONGEST, Endpoint
from memdeck_daemon.memory.embedding.failures import (
    BadAnswer,
    BadVector,
    EmbedderBusy,
    EmbedderFailed,
    KeyRefused,
    TextRefused,
    WrongDimensions,
)
from memdeck_daemon.memory.embedding.remote import RemoteEmbedder

Answer = tuple[int, Any]
KEY = "sk-very-secret"
UNIT = [0.6, 0.8, 0.0]


@dataclass(slots=True)
class Asked:
    """A request."""

    url: str
    body: dict[str, Any]


@dataclass
class Scripted(RemoteEmbedder):
    """The real client with another transport."""

    answer: Callable[[str, dict[str, Any]], Answer]
    url: str = "http://127.0.0.1:1/v1"
    model: str = "m"
    dimensions: int | None = 3
    asked: list[Asked] = field(default_factory=list)
    wait: float = 0.0

    def __post_init__(self) -> None:
        super().__init__(Endpoint(self.url, self.model, KEY, 1.0, 2), self.dimensions)

    async def _post(self, dialect: Any, texts: list[str], seconds: float) -> tuple[int, bytes, float]:
        assert seconds > 0
        url, body = self._request(dialect, texts)
        self.asked.append(Asked(url, body))
        status, content = self.answer(url, body)
        raw = content if isinstance(content, bytes) else msgspec.json.encode(content)
        return status, raw, self.wait


def data(*vectors: Any) -> dict[str, Any]:
    return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]}


def packed(*numbers: float) -> str:
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


async def test_base64_is_asked_for_and_read() -> None:
    """Vectors come back as unit vectors, in the order of the texts."""
    embedder = Scripted(lambda *_: (200, {"data": data(packed(3, 4, 0), packed(0, 0, 2))["data"][::-1]}))
    found = await embedder.embed(["one", "two"])
    assert np.allclose([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]], found)
    assert [("http://127.0.0.1:1/v1/embeddings", "base64")] == [
        (one.url, one.body["encoding_format"]) for one in embedder.asked
    ]


async def test_numbers_are_read_where_base64_is_passed_over() -> None:
    """A server need not know `encoding_format`."""
    assert (1, 3) == (await Scripted(lambda *_: (200, data(UNIT))).embed(["one"])).shape


async def test_base64_is_given_up_where_it_is_refused() -> None:
    """Once, and remembered."""
    embedder = Scripted(lambda _, body: (400, {}) if "encoding_format" in body else (200, data(UNIT)))
    await embedder.embed(["one"])
    await embedder.embed(["two"])
    assert [True, False, False] == ["encoding_format" in one.body for one in embedder.asked]


async def test_a_refused_text_does_not_give_base64_up() -> None:
    """Only a success without it says that it was the reason."""
    embedder = Scripted(lambda *_: (400, {"error": {"message": "too long"}}))
    with pytest.raises(TextRefused, match="too long"):
        await embedder.embed(["one"])
    with pytest.raises(TextRefused):
        await embedder.embed(["two"])
    assert [True, False, True, False] == ["encoding_format" in one.body for one in embedder.asked]


async def test_ollama_is_asked_where_the_address_has_no_version() -> None:
    """And its form of answer is read."""
    embedder = Scripted(lambda *_: (200, {"embeddings": [UNIT]}), url="http://127.0.0.1:1")
    await embedder.embed(["one"])
    assert ["http://127.0.0.1:1/api/embed"] == [one.url for one in embedder.asked]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.0.0.1:1/v1"])
async def test_the_other_dialect_is_tried_after_404(url: str) -> None:
    """And kept."""

    def answer(asked: str, _body: dict[str, Any]) -> Answer:
        if asked.endswith("/api/embed") is url.endswith("/v1"):
            return 200, ({"embeddings": [UNIT]} if asked.endswith("/api/embed") else data(UNIT))
        return 404, {}

    embedder = Scripted(answer, url=url)
    await embedder.embed(["one"])
    await embedder.embed(["two"])
    assert 3 == len(embedder.asked)


async def test_404_of_both_dialects_names_address_and_model() -> None:
    """A model that is not there looks the same as an address that is not."""
    with pytest.raises(EmbedderFailed, match=r"_URL and MEMDECK_EMBEDDING_MODEL"):
        await Scripted(lambda *_: (404, {})).embed(["one"])


async def test_shorter_vectors_are_asked_of_models_that_make_them() -> None:
    """Others would refuse the field."""
    short = Scripted(lambda *_: (200, data(UNIT)), model="text-embedding-3-small")
    other = Scripted(lambda *_: (200, data(UNIT)), model="text-embedding-ada-002")
    await short.embed(["one"])
    await other.embed(["one"])
    assert (3, None) == (short.asked[0].body.get("dimensions"), other.asked[0].body.get("dimensions"))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (data(UNIT), BadAnswer),
        ({"data": []}, BadAnswer),
        (b"<html>", BadAnswer),
        ({"data": [{"embedding": "&&&"}, {"embedding": UNIT}]}, BadAnswer),
        ({"data": [{"embedding": None}, {"embedding": UNIT}]}, BadAnswer),
        ({}, BadAnswer),
        (data([0.6, 0.8], [0.6, 0.8]), WrongDimensions),
        (data(UNIT, [*UNIT, 0.0]), WrongDimensions),
        (data(UNIT, packed(float("nan"), 0, 1)), BadVector),
        (data(UNIT, packed(float("inf"), 0, 1)), BadVector),
        (data(UNIT, [0.0, 0.0, 0.0]), BadVector),
        (data(UNIT, [1e39, 0.0, 0.0]), BadVector),
    ],
)
async def test_answers_that_would_poison_an_index_are_refused(content: Any, error: type[Exception]) -> None:
    """Counts, dimensions and numbers are looked at before anything is stored."""
    with pytest.raises(error):
        await Scripted(lambda *_: (200, content)).embed(["one", "two"])


async def test_wrong_dimensions_say_what_to_set() -> None:
    """In one sentence."""
    with pytest.raises(
        WrongDimensions, match=r"answers with 2 dimensions for m, not 3: set MEMDECK_EMBEDDING_DIMS=2"
    ):
        await Scripted(lambda *_: (200, data([0.6, 0.8]))).embed(["one"])


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, KeyRefused), (403, KeyRefused), (429, EmbedderBusy), (500, EmbedderFailed), (302, EmbedderFailed),
     (413, TextRefused), (422, TextRefused)],
)  # fmt: skip
async def test_refusals_are_told_apart_and_hold_no_key(status: int, error: type[Exception]) -> None:
    """A service that repeats the key in its answer does not bring it into ours."""
    embedder = Scripted(lambda *_: (status, {"error": {"message": f"bad key {KEY}"}}), wait=7.0)
    with pytest.raises(error) as refusal:
        await embedder.embed(["one"])
    assert KEY not in f"{refusal.value}{refusal.value!r}{embedder.endpoint!r}"
    assert 7.0 == getattr(refusal.value, "wait", 7.0)


async def test_long_texts_are_cut() -> None:
    """A memory of 64 KiB is embedded by its beginning instead of being refused."""
    embedder = Scripted(lambda *_: (200, data(UNIT)))
    await embedder.embed(["x" * (LONGEST + 5)])
    assert [LONGEST] == [len(text) for text in embedder.asked[0].body["input"]]


async def test_nothing_is_asked_for_nothing() -> None:
    """An empty batch costs no request."""
    embedder = Scripted(lambda *_: (500, {}))
    assert (0, 3) == (await embedder.embed([])).shape
    assert [] == embedder.asked


async def test_queries_do_not_wait_behind_memories() -> None:
    """Requests of memories are bounded; those of searches come beside them."""
    embedder = Scripted(lambda *_: (200, data(UNIT)))
    async with embedder._memories, embedder._memories:
        assert embedder._memories.locked()
        assert (1, 3) == (await asyncio.wait_for(embedder.embed(["one"], query=True), 1.0)).shape
