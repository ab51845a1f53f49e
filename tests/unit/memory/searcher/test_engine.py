"""What a search in a big owner needs when something is written while it waits."""

from types import SimpleNamespace
from typing import Any

import msgspec

from memdeck_daemon.memory import filter_codec, filters
from memdeck_daemon.memory.searcher.engine import Engine
from memdeck_daemon.memory.searcher.wire import Asking

FILTER = filters.parse({"AND": [{"user_id": "alice"}, {"metadata": {"kind": "plant"}}]})
ASKING = Asking(
    kind="user", value="alice", space=2, query="tea", terms=["tea"], top_k=5, threshold=0.0, today=None, explain=False,
    generation=None, local=b"", primary=b"\0\0", factor=1.0, offset=0.0,
    filter=msgspec.json.encode(filter_codec.plain(FILTER)),
)  # fmt: skip


class Arms:
    """Something is written while the database filters, and waits for its vector in the primary space."""

    def __init__(self, index: Any) -> None:
        self.index = index

    async def gather(self, *_: Any, plain: bool) -> None:
        """Nothing that could be scored without the query in the local space."""
        assert not plain
        self.index.waiting["new"] = 7


async def test_a_memory_that_begins_to_wait_meanwhile_needs_the_local_space() -> None:
    """The daemon supposed that none does; it is asked again instead of being refused."""
    index = SimpleNamespace(generation=1, waiting={})

    async def fresh(*_: Any) -> bool:
        return True

    vectors: Any = SimpleNamespace(of=lambda *_: index, fresh=fresh)
    arms: Any = Arms(index)
    assert "local" == (await Engine(vectors, arms).answer(ASKING)).state
