"""docs/filters.md: every example is asked of the daemon."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from memdeck_common.client import Address, Client
from memdeck_common.errors import MemdeckError
from memdeck_common.wire.keys import NewKey
from tests.e2e.readme.document import ROOT, Document, rows
from tests.support.daemon import RunningDaemon

FILTERS = Document(ROOT / "docs" / "filters.md")
MEMORIES = rows(FILTERS.section("## Examples"))[:4]
FOUND = rows(FILTERS.section("### Found"))
REFUSED = rows(FILTERS.section("### Refused"))
NAMES = ("alice", "bob", "doctor")
SAID = {"B": "2026-03-10T09:30:00Z"}
"""When what was said; the others now."""


def own(text: str, scope: str) -> dict[str, Any]:
    """JSON of the document, with names that no other test has."""
    for name in NAMES:
        text = text.replace(f'"{name}"', f'"{name}_{scope}"')
    parsed: dict[str, Any] = json.loads(text)
    return parsed


@pytest.fixture
async def agent(daemon: RunningDaemon, client: Client) -> AsyncIterator[Client]:
    """Somebody without an administrator's rights."""
    key = await client.create_key(NewKey(label="documents"))
    async with Client(Address(daemon.url, key.key)) as connected:
        yield connected
    await client.revoke_key(key.id)


@pytest.fixture
async def client(daemon: RunningDaemon) -> AsyncIterator[Client]:
    async with Client(Address(daemon.url, daemon.key)) as connected:
        yield connected


async def test_every_filter_finds_what_the_document_says(client: Client, scope: str) -> None:
    """No more and no less."""
    for label, memory, identifiers, metadata in MEMORIES:
        when = {"timestamp": SAID[label]} if label in SAID else {}
        said = [{"role": "user", "content": memory}]
        await client.add(said, metadata=json.loads(metadata), **own(identifiers, scope), **when)
    labels = {memory: label for label, memory, _, _ in MEMORIES}
    found = []
    for text, _ in FOUND:
        page = await client.page(own(text, scope))
        found.append([text, " ".join(sorted(labels[memory.memory] for memory in page.results))])
    assert FOUND == found


@pytest.mark.parametrize(("text", "code"), REFUSED)
async def test_every_bad_filter_is_refused(agent: Client, scope: str, text: str, code: str) -> None:
    """With the code that the document gives; nothing is taken for "no filter"."""
    with pytest.raises(MemdeckError) as refused:
        await agent.page(own(text, scope))
    assert code == refused.value.code


def test_the_document_has_examples() -> None:
    """A table that is no longer found would pass in silence."""
    assert (4, True, True) == (len(MEMORIES), len(FOUND) >= 15, len(REFUSED) >= 6)
