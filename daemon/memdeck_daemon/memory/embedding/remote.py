"""A remote embedder, asked directly: OpenAI's `POST …/embeddings` and Ollama's `POST …/api/embed`.

Owns the two dialects and the requests at once. Refuses to retry and to follow redirects: a key must not
travel on. Vectors are asked for as base64, which costs a quarter of reading 1,536 numbers as text; servers that answer
with numbers nevertheless are understood.
"""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import aiohttp
import msgspec
import numpy as np

from memdeck_common import __version__
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.memory.embedding.endpoint import (
    LONGEST,
    LONGEST_QUERY,
    QUERIES,
    SHORTEST,
    Endpoint,
    Floats,
    checked,
)
from memdeck_daemon.memory.embedding.failures import (
    BadAnswer,
    EmbedderBusy,
    EmbedderFailed,
    KeyRefused,
    TextRefused,
)

Dialect = Literal["openai", "ollama"]

CONNECT: Final = 3.0
"""Seconds to open a connection."""
SHORTENED: Final = "text-embedding-3"
"""Models that make shorter vectors when they are told how long."""
REFUSED_TEXT: Final = frozenset({400, 413, 422})
SHOWN: Final = 160
"""Characters of a server's reason that are kept."""


class _Item(msgspec.Struct):
    embedding: str | list[float]
    index: int | None = None


class _OpenAIAnswer(msgspec.Struct):
    data: list[_Item]


class _OllamaAnswer(msgspec.Struct):
    embeddings: list[list[float]]


_OPENAI: Final = msgspec.json.Decoder(_OpenAIAnswer)
_OLLAMA: Final = msgspec.json.Decoder(_OllamaAnswer)


class RemoteEmbedder:
    """One model of one endpoint. Use as an async context manager."""

    def __init__(self, endpoint: Endpoint, dimensions: int | None) -> None:
        """`dimensions` of its vectors; None: whatever it answers with, for asking."""
        self.endpoint = endpoint
        self._dimensions = dimensions
        versioned = urlsplit(endpoint.url).path.rstrip("/").endswith("/v1")
        self._dialects: list[Dialect] = ["openai", "ollama"] if versioned else ["ollama", "openai"]
        self._packed = True
        self._session: aiohttp.ClientSession | None = None
        self._memories = asyncio.Semaphore(endpoint.concurrency)

    def open(self) -> None:
        """Make the pool of connections; nothing is sent yet."""
        headers = {"User-Agent": f"memdeck/{__version__}", "Content-Type": "application/json"}
        if self.endpoint.key:
            headers["Authorization"] = f"Bearer {self.endpoint.key}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=self.endpoint.concurrency + QUERIES),
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Floats:
        """Unit vectors of one space. Shape (len(texts), dimensions).

        Those of a `query` do not wait behind memories, and get less time; its guard bounds how many there are.

        Raises:
            EmbedderFailed: the embedder cannot be used right now.
            TextRefused: one of the texts cannot be embedded.
        """
        if not texts:
            return np.zeros((0, self._dimensions or 1), np.float32)
        short = [text[:LONGEST] for text in texts]
        if query:
            seconds = deadline.left(min(self.endpoint.timeout, LONGEST_QUERY))
            found = await self._asked(short, max(seconds, SHORTEST))
        else:
            async with self._memories:
                found = await self._asked(short, self.endpoint.timeout)
        return checked(found, len(texts), self._dimensions, self.endpoint.model)

    async def _asked(self, texts: list[str], seconds: float) -> list[Any]:
        """One vector per text, as they came; each request gets so many seconds."""
        for dialect in list(self._dialects):
            status, content, wait = await self._post(dialect, texts, seconds)
            if status == HTTPStatus.NOT_FOUND and len(self._dialects) > 1:
                continue
            if status == HTTPStatus.BAD_REQUEST and dialect == "openai" and self._packed:
                # A server that does not know `encoding_format` may refuse it instead of passing it over.
                self._packed = False
                status, content, wait = await self._post(dialect, texts, seconds)
                self._packed = status != HTTPStatus.OK
            if status != HTTPStatus.OK:
                raise self._failure(status, content, wait)
            self._dialects = [dialect]
            return _vectors(dialect, content)
        raise EmbedderFailed(
            f"The embedder knows neither the address nor the model {self.endpoint.model} (404): "
            "look at MEMDECK_EMBEDDING_URL and MEMDECK_EMBEDDING_MODEL."
        )

    async def _post(self, dialect: Dialect, texts: list[str], seconds: float) -> tuple[int, bytes, float]:
        """Status, body, and the seconds of Retry-After."""
        if self._session is None or self._session.closed:
            raise EmbedderFailed("The embedder is no longer asked: its space was dropped or moved.")
        url, body = self._request(dialect, texts)
        try:
            async with self._session.post(
                url,
                data=msgspec.json.encode(body),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT),
            ) as answer:
                return answer.status, await answer.read(), _seconds(answer.headers.get("Retry-After"))
        except TimeoutError:
            raise EmbedderFailed("The embedder did not answer in time.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise EmbedderFailed(f"The embedder cannot be reached ({type(error).__name__}).") from None

    def _request(self, dialect: Dialect, texts: list[str]) -> tuple[str, dict[str, Any]]:
        base, model = self.endpoint.url.rstrip("/"), self.endpoint.model
        body: dict[str, Any] = {"model": model, "input": texts}
        if dialect == "ollama":
            return f"{base.removesuffix('/v1')}/api/embed", body
        if self._packed:
            body["encoding_format"] = "base64"
        if self._dimensions and model.startswith(SHORTENED):
            body["dimensions"] = self._dimensions
        return f"{base}/embeddings", body

    def _failure(self, status: int, content: bytes, wait: float) -> EmbedderFailed | TextRefused:
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return KeyRefused(retry_after=wait)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return EmbedderBusy(retry_after=wait)
        reason = self._reason(content)
        if status in REFUSED_TEXT:
            return TextRefused(f"The embedder refuses it ({status}): {reason}")
        return EmbedderFailed(f"The embedder answers {status}: {reason}", wait)

    def _reason(self, content: bytes) -> str:
        try:
            body = msgspec.json.decode(content)
            error = body.get("error", body.get("detail", ""))
            text = str(error.get("message", "") if isinstance(error, dict) else error)
        except (msgspec.DecodeError, AttributeError):
            text = ""
        if self.endpoint.key:
            text = text.replace(self.endpoint.key, "…")
        return " ".join(text.split())[:SHOWN] or "no reason given"


def _seconds(text: str | None) -> float:
    """The seconds of a Retry-After; 0 for a date, which nobody sends here."""
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0


def _vectors(dialect: Dialect, content: bytes) -> list[Any]:
    try:
        if dialect == "ollama":
            return list(_OLLAMA.decode(content).embeddings)
        items = _OPENAI.decode(content).data
        if all(item.index is not None for item in items):
            items = sorted(items, key=lambda item: item.index or 0)
        return [_unpacked(item.embedding) for item in items]
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise BadAnswer(f"The embedder's answer cannot be read ({type(error).__name__}).") from None


def _unpacked(embedding: str | list[float]) -> Any:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    return embedding
