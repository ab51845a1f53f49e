"""Where an embedder is, what it may be asked, and what counts as its answer.

Owns the reading of the settings, the limits that all embedders share, and the check of every answer: as many vectors as
texts, of the space's dimensions, finite, not zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from memdeck_common.errors import ConfigurationError
from memdeck_common.settings import Embedding as EmbeddingSettings
from memdeck_daemon.memory.embedding.failures import BadAnswer, BadVector, WrongDimensions

Floats = NDArray[np.float32]

OPENAI: Final = "https://api.openai.com/v1"
OPENAI_MODEL: Final = "text-embedding-3-small"
KNOWN: Final = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
    "nomic-embed-text": 768,
    "mxbai-embed-large": 1024,
    "bge-m3": 1024,
}
"""Dimensions, for a first start while the embedder is away."""
LONGEST: Final = 24_000
"""Characters of a text that are sent: about what models take. What a memory says stands at its beginning."""
QUERIES: Final = 16
"""Queries at once."""
LONGEST_QUERY: Final = 5.0
"""Seconds that the embedder gets for a query: nobody waits for it any more, but its answer is kept for the next time."""
SHORTEST: Final = 0.01
"""Seconds; aiohttp takes 0 for no limit at all."""
LIBRARY: Final = "fastembed"
"""The scheme of an address that means a model in this process."""
LIBRARY_MODEL: Final = "BAAI/bge-small-en-v1.5"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is."""

    url: str
    model: str
    key: str | None
    timeout: float
    concurrency: int

    def __repr__(self) -> str:
        """Without the key."""
        return f"Endpoint(url={self.url!r}, model={self.model!r})"


class Embedder(Protocol):
    """Texts to vectors of one model."""

    endpoint: Endpoint

    def open(self) -> None:
        """Get ready; returns at once."""

    async def close(self) -> None:
        """Let go of everything."""

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Floats:
        """Unit vectors, shape (len(texts), dimensions); EmbedderFailed, TextRefused. A `query` does not wait behind memories."""


def configured(settings: EmbeddingSettings) -> Endpoint | None:
    """The remote embedder that the settings name; None: none.

    Raises:
        ConfigurationError: address and model do not go together.
    """
    url, model, key = settings.url, settings.model, settings.api_key
    if url is None:
        if not (key := key or settings.openai_api_key):
            if model:
                raise ConfigurationError(
                    "MEMDECK_EMBEDDING_MODEL needs MEMDECK_EMBEDDING_URL (or OPENAI_API_KEY)."
                )
            return None
        url, model = OPENAI, model or OPENAI_MODEL
    parts = urlsplit(url)
    if parts.scheme == LIBRARY and not parts.hostname:
        return _in_process(url, model, settings)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError("MEMDECK_EMBEDDING_URL must be an address like http://127.0.0.1:8080/v1.")
    if parts.username or parts.password or parts.query:
        raise ConfigurationError(
            "MEMDECK_EMBEDDING_URL must hold no key; MEMDECK_EMBEDDING_API_KEY takes it."
        )
    if provider_of(url) == "openai":
        key = key or settings.openai_api_key
        model = model or OPENAI_MODEL
    if not model:
        raise ConfigurationError("MEMDECK_EMBEDDING_URL needs MEMDECK_EMBEDDING_MODEL.")
    return Endpoint(url.rstrip("/"), model, key, settings.timeout, settings.concurrency)


def _in_process(url: str, model: str | None, settings: EmbeddingSettings) -> Endpoint:
    if find_spec(LIBRARY) is None:
        raise ConfigurationError(
            "MEMDECK_EMBEDDING_URL=fastembed: needs the library: pip install 'memdeck[fastembed]'."
        )
    return Endpoint(url, model or LIBRARY_MODEL, None, settings.timeout, settings.concurrency)


def provider_of(url: str) -> str:
    """Part of a space's name. A server of one's own may move to another address and serve the same space."""
    if urlsplit(url).scheme == LIBRARY:
        return LIBRARY
    host = urlsplit(url).hostname or ""
    return "openai" if host == "openai.com" or host.endswith(".openai.com") else "compatible"


def checked(found: list[Any], count: int, dimensions: int | None, model: str) -> Floats:
    """Unit vectors, or the reason why these are none."""
    if len(found) != count:
        raise BadAnswer(f"The embedder answers with {len(found)} vectors for {count} texts.")
    wanted = dimensions or len(found[0])
    for vector in found:
        if len(vector) != wanted:
            raise WrongDimensions(model, len(vector), wanted)
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused below
        vectors = np.array(found, np.float64).astype(np.float32)
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not (norms > 0).all():
        raise BadVector("The embedder answers with a vector that is zero or not finite.")
    unit: Floats = (vectors / norms).astype(np.float32)
    return unit
