"""The remote embedder: whether it answers, takes the key, and has the dimensions that are set."""

import http.client
import json
from collections.abc import Iterator
from http import HTTPStatus
from importlib.util import find_spec
from urllib.parse import SplitResult, urlsplit

from memdeck_common.settings import Embedding
from memdeck_console.cli.checks.site import Finding, Site

PATIENCE = 5.0
OPENAI = "https://api.openai.com/v1"
OPENAI_MODEL = "text-embedding-3-small"
LIBRARY = "fastembed"
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def embedder(site: Site) -> Iterator[Finding]:
    """An embedder that can be used, where one is set."""
    settings = site.settings.embedding if site.settings else None
    if settings is None or not (settings.url or settings.api_key or settings.openai_api_key):
        return
    if site.address and not (site.file and site.address.url == site.file.url):
        return  # a daemon elsewhere has settings of its own
    parts = urlsplit(settings.url or OPENAI)
    if parts.scheme == LIBRARY:
        yield _library()
        return
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield Finding(
            "embedder", "fail", "MEMDECK_EMBEDDING_URL is no address", "set one like http://127.0.0.1:8080/v1"
        )
        return
    try:
        yield _judged(settings, *_asked(settings, parts))
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        advice = "start it, or correct MEMDECK_EMBEDDING_URL; meanwhile the local space answers"
        yield Finding("embedder", "fail", f"{parts.netloc} cannot be reached: {reason}", advice)


def _library() -> Finding:
    if find_spec(LIBRARY) is None:
        return Finding(
            "embedder", "fail", "the library fastembed is missing", "pip install 'memdeck[fastembed]'"
        )
    return Finding("embedder", "pass", "fastembed embeds in the daemon's process")


def _asked(settings: Embedding, parts: SplitResult) -> tuple[int, bytes]:
    """Status and body of the answer to one short text; both dialects are tried."""
    paths = [
        f"{parts.path.rstrip('/')}/embeddings",
        f"{parts.path.rstrip('/').removesuffix('/v1')}/api/embed",
    ]
    status, content = 0, b""
    for path in paths if parts.path.rstrip("/").endswith("/v1") else reversed(paths):
        status, content = _post(settings, parts, path)
        if status != HTTPStatus.NOT_FOUND:
            break
    return status, content


def _post(settings: Embedding, parts: SplitResult, path: str) -> tuple[int, bytes]:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=PATIENCE)
    headers = {"Content-Type": "application/json"}
    if key := settings.api_key or settings.openai_api_key:
        headers["Authorization"] = f"Bearer {key}"
    body: dict[str, object] = {"model": settings.model or OPENAI_MODEL, "input": ["memdeck"]}
    if settings.dims and str(body["model"]).startswith("text-embedding-3"):
        body["dimensions"] = settings.dims
    try:
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _judged(settings: Embedding, status: int, content: bytes) -> Finding:
    model = settings.model or OPENAI_MODEL
    if status in REFUSED:
        name = (
            "OPENAI_API_KEY"
            if settings.api_key is None and settings.openai_api_key
            else "MEMDECK_EMBEDDING_API_KEY"
        )
        return Finding(
            "embedder", "fail", f"it refuses the key ({status})", f"correct {name} and start the daemon again"
        )
    if status == HTTPStatus.NOT_FOUND:
        advice = "look at MEMDECK_EMBEDDING_URL and MEMDECK_EMBEDDING_MODEL"
        return Finding("embedder", "fail", f"it knows neither the address nor the model {model}", advice)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Finding(
            "embedder", "warn", "it is rate limited right now", "the queue waits; look again later"
        )
    if status != HTTPStatus.OK:
        advice = "look at its log; meanwhile the local space answers"
        return Finding("embedder", "fail", f"it answers {status}", advice)
    return _measured(settings, model, _dimensions(content))


def _measured(settings: Embedding, model: str, found: int | None) -> Finding:
    if found is None:
        return Finding("embedder", "fail", "its answer holds no vector", "look at MEMDECK_EMBEDDING_URL")
    if settings.dims and found != settings.dims:
        advice = f"set MEMDECK_EMBEDDING_DIMS={found}, or the model that was meant"
        return Finding("embedder", "fail", f"{model} has {found} dimensions, not {settings.dims}", advice)
    return Finding("embedder", "pass", f"{model} answers with {found} dimensions")


def _dimensions(content: bytes) -> int | None:
    try:
        body = json.loads(content)
        vectors = body["embeddings"] if "embeddings" in body else [item["embedding"] for item in body["data"]]
        return len(vectors[0])
    except (ValueError, LookupError, TypeError):
        return None


CHECKS = (embedder,)
