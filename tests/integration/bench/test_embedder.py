"""The benchmark's embedder: what its vectors are, and what it understands."""

import base64
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest

from bench.embedder import Hashed, Told, embedder, serving


async def asked(url: str, **body: Any) -> list[Any]:
    """The vectors of an answer, in its order."""
    async with aiohttp.ClientSession() as session, session.post(f"{url}/embeddings", json=body) as answer:
        assert 200 == answer.status, await answer.text()
        found = msgspec.json.decode(await answer.read())
    assert list(range(len(found["data"]))) == [one["index"] for one in found["data"]]
    return [one["embedding"] for one in found["data"]]


def decoded(text: str) -> list[float]:
    return [float(one) for one in np.frombuffer(base64.b64decode(text), "<f4")]


async def test_it_gives_the_vectors_that_it_was_told() -> None:
    """As numbers or base64, for one text or several; other texts get some vector, always the same."""
    vectors = Told(np.array([[0.5, 0.25], [0.125, 1.0]], np.float16))
    vectors.tell(["one", "two"], np.array([[1.0, 2.0], [3.0, 4.0]], np.float16))
    async with serving(vectors) as url:
        assert [[3.0, 4.0], [1.0, 2.0]] == await asked(url, model="m", input=["two", "one"])
        assert [[3.0, 4.0]] == await asked(url, model="m", input="two")
        encoded = await asked(url, model="m", input=["two", "one"], encoding_format="base64")
        assert [[3.0, 4.0], [1.0, 2.0]] == [decoded(one) for one in encoded]
        other = await asked(url, model="m", input="three")
        assert other == await asked(url, model="m", input="three")
    assert other[0] in ([0.5, 0.25], [0.125, 1.0])


async def test_a_process_of_its_own_gives_vectors_that_are_near_each_other() -> None:
    """The same as here, of unit length, told apart by their texts."""
    with embedder(64, delay=0.0) as url:
        first, second = await asked(url, model="m", input=["first", "second"])
    assert first == Hashed(64)("first").tolist()
    assert 1.0 == pytest.approx(float(np.linalg.norm(first)))
    assert 0.2 < float(np.dot(first, second)) < 0.8
