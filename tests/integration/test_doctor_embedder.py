"""What `memdeck doctor` finds out about an embedder, of a real one that misbehaves."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from memdeck_common.settings import load
from memdeck_console.cli.checks.embedder import embedder
from memdeck_console.cli.checks.site import Finding
from tests.fakes.embedding_server import EmbeddingServer, serving
from tests.unit.console.cli.test_checks import HOME, QUIET


async def finding(server: EmbeddingServer, **environ: str) -> Finding:
    given = {"MEMDECK_EMBEDDING_URL": server.url, "MEMDECK_EMBEDDING_MODEL": "m", **environ}
    site = replace(QUIET, settings=load({"MEMDECK_HOME": str(HOME.root)}, given))
    (found,) = await asyncio.to_thread(lambda: list(embedder(site)))
    return found


@pytest.mark.parametrize(
    ("options", "environ", "state", "words"),
    [
        ({}, {}, "pass", "m answers with 64 dimensions"),
        ({"dialect": "ollama"}, {}, "pass", "m answers with 64 dimensions"),
        ({"key": "sk-right"}, {"MEMDECK_EMBEDDING_API_KEY": "sk-wrong"}, "fail", "refuses the key (401)"),
        ({}, {"MEMDECK_EMBEDDING_DIMS": "1536"}, "fail", "64 dimensions, not 1536"),
        ({"trouble": "busy"}, {}, "warn", "rate limited"),
        ({"trouble": "error"}, {}, "fail", "answers 503"),
        ({"trouble": "empty"}, {}, "fail", "holds no vector"),
        ({"trouble": "garbage"}, {}, "fail", "holds no vector"),
    ],
)
async def test_what_is_wrong_is_named(
    options: dict[str, Any], environ: dict[str, str], state: str, words: str
) -> None:
    """With what to do about it, and without the key."""
    async with serving(EmbeddingServer(**options)) as server:
        found = await finding(server, **environ)
    assert (state, True) == (found.state, words in found.summary)
    assert bool(found.advice) is (state != "pass")
    assert "sk-wrong" not in f"{found.summary}{found.advice}"


async def test_nobody_there_is_named() -> None:
    """The address is closed."""
    async with serving() as server:
        url = server.url
    assert "cannot be reached" in (await finding(EmbeddingServer(url=url))).summary


def test_without_an_embedder_nothing_is_said() -> None:
    """The local one needs no check."""
    assert [] == list(embedder(QUIET))
