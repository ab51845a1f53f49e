"""What the search process does with what its daemon tells it."""

from types import SimpleNamespace
from typing import Any

from memdeck_daemon.memory.model import Identifier
from memdeck_daemon.memory.projections.vectors import VectorIndexes
from memdeck_daemon.memory.searcher.process import Process
from memdeck_daemon.memory.searcher.wire import PrimarySpace, Spaces
from tests.fakes.clock import ManualClock

OWNER = Identifier("user", "alice")


async def test_an_index_in_a_space_that_was_not_searched_is_tried_as_soon_as_it_is() -> None:
    """A daemon that started without its database knows its spaces later than the process asks for them."""
    nothing: Any = None
    vectors = VectorIndexes(nothing, lambda: None, nothing, "vectors", 1, ManualClock())
    assert vectors.of(OWNER, 2) is None
    await vectors._tried((str(OWNER), 2), OWNER)
    assert vectors.of(OWNER, 2) is None
    assert (await vectors.look()).settled
    process, engine = Process(), SimpleNamespace(vectors=vectors)
    process._engine = engine  # type: ignore[assignment]
    process._received(Spaces(PrimarySpace(2, 8)))
    assert vectors.of(OWNER, 2) is None
    assert not (await vectors.look()).settled
