"""A model in the daemon's own process, from a folder: the hub that usually has the weights is not reached from tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from memdeck_common.client import Address, Client
from memdeck_daemon.memory.embedding.endpoint import Endpoint
from memdeck_daemon.memory.embedding.failures import EmbedderFailed, WrongDimensions
from memdeck_daemon.memory.embedding.library import LibraryEmbedder
from tests.support import onnx_model
from tests.support.daemon import DaemonFactory, RunningDaemon
from tests.support.waiting import eventually


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return onnx_model.write(tmp_path / "model")


@asynccontextmanager
async def embedding(
    folder: Path, model: str = onnx_model.MODEL, dimensions: int | None = onnx_model.DIMENSIONS
) -> AsyncIterator[LibraryEmbedder]:
    embedder = LibraryEmbedder(Endpoint(f"fastembed://{folder}", model, None, 30, 1), dimensions)
    embedder.open()
    try:
        yield embedder
    finally:
        await embedder.close()


async def test_a_text_has_one_unit_vector(folder: Path) -> None:
    """As a query or as a memory, alone or among others."""
    async with embedding(folder) as embedder:
        many = await embedder.embed(["alice likes green tea", "bruno plays chess"])
        alone = await embedder.embed(["bruno plays chess"], query=True)
    assert (2, onnx_model.DIMENSIONS) == many.shape
    np.testing.assert_allclose(1, np.linalg.norm(many, axis=1), rtol=1e-5)
    np.testing.assert_allclose(many[1], alone[0], rtol=1e-5)


async def test_what_cannot_be_used_is_a_clear_error(folder: Path, tmp_path: Path) -> None:
    """An unknown model, other dimensions, an embedder that was closed."""
    async with embedding(tmp_path / "empty", model="nobody/knows") as embedder:
        with pytest.raises(EmbedderFailed, match="nobody/knows cannot be loaded"):
            await embedder.embed(["tea"])
    async with embedding(folder, dimensions=7) as embedder:
        with pytest.raises(WrongDimensions, match="384 dimensions"):
            await embedder.embed(["tea"])
    async with embedding(folder) as embedder:
        await embedder.embed(["tea"])
    with pytest.raises(EmbedderFailed):
        await embedder.embed(["tea"])


async def test_a_daemon_searches_with_it(folder: Path, make_daemon: DaemonFactory) -> None:
    """Its space is the primary one; memories get their vectors from the queue."""
    daemon: RunningDaemon = await asyncio.to_thread(
        make_daemon,
        environment={
            "MEMDECK_EMBEDDING_URL": f"fastembed://{folder}",
            "MEMDECK_EMBEDDING_MODEL": onnx_model.MODEL,
            "MEMDECK_EMBEDDING_QUERY_BUDGET": "5",
        },
    )
    async with Client(Address(daemon.url, await asyncio.to_thread(lambda: daemon.key))) as client:
        for text in ("Alice likes green tea", "Bruno plays chess"):
            await client.add([{"role": "user", "content": text}], user_id="ada")

        async def embedded() -> bool:
            spaces = (await client.spaces()).spaces
            found = [(one.provider, one.dimensions, one.embedded) for one in spaces if one.role == "primary"]
            return [("fastembed", onnx_model.DIMENSIONS, 2)] == found

        await eventually(embedded)
        found = await client.search("Bruno plays what game", {"user_id": "ada"})
    assert "Bruno plays chess" == found.results[0].memory
    assert [] == found.degraded
