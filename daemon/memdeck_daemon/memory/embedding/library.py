"""A model in this process: the library fastembed, for machines that have no embedder beside them.

Owns the address `fastembed:` (models are kept under ~/.cache/fastembed) or `fastembed:///FOLDER` (there; or the folder is
a model itself, with its tokenizer.json), the loading in the background, and its two threads: queries do not wait behind
memories. Weights come from a hub at the first use, which may take minutes; until then, and wherever there is no network,
the local space answers. The library is an extra (`memdeck[fastembed]`) and is imported late: it costs 70 MB.
"""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.memory.embedding.endpoint import LONGEST, LONGEST_QUERY, SHORTEST, Endpoint, checked
from memdeck_daemon.memory.embedding.failures import EmbedderFailed

CACHE: Final = "~/.cache/fastembed"
BATCH: Final = 16
"""Texts that the model gets at once: a batch is padded to its longest text."""
THREADS: Final = max(1, (os.cpu_count() or 2) // 2)
"""Of one run of the model: searches need the other processors."""


def dimensions_of(model: str) -> int | None:
    """Of a model that the library knows, without loading it; about a second of imports."""
    from fastembed import TextEmbedding

    known = {str(one["model"]).lower(): int(one["dim"]) for one in TextEmbedding.list_supported_models()}
    return known.get(model.lower())


class LibraryEmbedder:
    """One model of the library; as `RemoteEmbedder`."""

    def __init__(self, endpoint: Endpoint, dimensions: int | None) -> None:
        """`dimensions` of its vectors; None: whatever it has."""
        self.endpoint = endpoint
        self._dimensions = dimensions
        self._memories = ThreadPoolExecutor(1, thread_name_prefix="fastembed-memories")
        self._queries = ThreadPoolExecutor(1, thread_name_prefix="fastembed-queries")
        self._loading: Future[Any] | None = None

    def open(self) -> None:
        """Begin to load the model."""
        self._loading = self._memories.submit(_loaded, self.endpoint)

    async def close(self) -> None:
        """Let go of the model; what a thread computes right now is not waited for."""
        for threads in (self._memories, self._queries):
            threads.shutdown(wait=False, cancel_futures=True)

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """Unit vectors of one space. Shape (len(texts), dimensions).

        Raises:
            EmbedderFailed: the model is not loaded yet, or cannot be.
            TextRefused: a vector is none.
        """
        if not texts:
            return np.zeros((0, self._dimensions or 1), np.float32)
        seconds = self.endpoint.timeout
        if query:
            seconds = max(deadline.left(min(seconds, LONGEST_QUERY)), SHORTEST)
        found = await self._computed([text[:LONGEST] for text in texts], seconds, query=query)
        return checked(found, len(texts), self._dimensions, self.endpoint.model)

    async def _computed(self, texts: list[str], seconds: float, *, query: bool) -> list[Any]:
        if self._loading is None:
            raise EmbedderFailed("The embedder is no longer asked: its space was dropped or moved.")
        threads = self._queries if query else self._memories
        try:
            async with asyncio.timeout(seconds):
                # Shielded: a search that gives up must not stop the loading.
                model = await asyncio.shield(asyncio.wrap_future(self._loading))
                return await asyncio.get_running_loop().run_in_executor(threads, _embedded, model, texts)
        except TimeoutError:
            raise EmbedderFailed(
                f"The model {self.endpoint.model} is still being loaded, or is slow."
            ) from None
        except EmbedderFailed:
            raise
        except Exception as error:  # the library raises what its parts raise
            raise EmbedderFailed(f"The model {self.endpoint.model} fails: {_reason(error)}") from error


def _loaded(endpoint: Endpoint) -> Any:
    from fastembed import TextEmbedding
    from loguru import logger  # the library's own; it would write past the log what is told here anyway

    logger.disable("fastembed")
    folder = Path(unquote(urlsplit(endpoint.url).path) or CACHE).expanduser()
    own = str(folder) if (folder / "tokenizer.json").is_file() else None
    try:
        return TextEmbedding(endpoint.model, cache_dir=str(folder), threads=THREADS, specific_model_path=own)
    except Exception as error:
        raise EmbedderFailed(
            f"The model {endpoint.model} cannot be loaded: {_reason(error)} Its weights are kept in {folder}."
        ) from error


def _embedded(model: Any, texts: list[str]) -> list[Any]:
    return list(model.embed(texts, batch_size=BATCH))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
