"""Answers of searches in the self-hosted dialect."""

import uuid
from datetime import UTC, date, datetime

import msgspec
import pytest

from memdeck_common.wire.oss import OssFound
from memdeck_daemon.api.mem0 import oss_views
from memdeck_daemon.memory.model import Found, Hit, Identifiers, Memory, Part

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PLAIN = Memory(
    id=uuid.UUID(int=1), text='Ada says "häl\\lo"', hash="h", identifiers=Identifiers(user="ada"), metadata={}, created_at=AT, updated_at=AT
)  # fmt: skip
RICH = msgspec.structs.replace(
    PLAIN, id=uuid.UUID(int=2), identifiers=Identifiers(agent="a", app="b", run="c"), actor="Ada", role="user",
    metadata={"score": 7, "nested": {"x": [1]}}, expiration_date=date(2027, 1, 1),
)  # fmt: skip
LONG = msgspec.structs.replace(PLAIN, id=uuid.UUID(int=3), text="x" * 5_000)


def told(*memories: Memory, score: float = 0.25, explain: bool = False) -> OssFound:
    """The answer as a client reads it."""
    hits = tuple(Hit(memory, score, 0.5, True, (Part("bm25", "lexical", 3.0, score),)) for memory in memories)
    answer = oss_views.searched(Found(hits, 9, ("dense",)), explain)
    return msgspec.json.decode(msgspec.json.encode(answer), type=OssFound)


@pytest.mark.parametrize("memory", [PLAIN, RICH, LONG])
@pytest.mark.parametrize("score", [0.0, 1.0, 0.1 + 0.2, 1e-9])
def test_a_hit_is_its_memory_with_a_score(memory: Memory, score: float) -> None:
    """The first time and every time after it, whatever the score is then."""
    expected = msgspec.json.decode(msgspec.json.encode(oss_views.item(memory, score)))
    for _ in range(2):
        (found,) = told(memory, score=score).results
        assert expected == msgspec.json.decode(msgspec.json.encode(found))


def test_a_changed_memory_is_told_as_it_is_now() -> None:
    """Under the same id."""
    changed = msgspec.structs.replace(PLAIN, text="now")
    assert [PLAIN.text, "now", PLAIN.text] == [told(one).results[0].memory for one in (PLAIN, changed, PLAIN)]


def test_an_explained_answer_says_why() -> None:
    """And what it had to do without, as every answer does."""
    answer = told(PLAIN, RICH, explain=True)
    assert ["dense"] == answer.degraded
    details = answer.results[0].score_details
    assert isinstance(details, dict)
    assert (0.25, 0.5) == (details["final_score"], details["semantic_score"])
    assert [] == told().results


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first."""
    monkeypatch.setattr(oss_views, "MOST_KEPT", 2)
    kept: dict[uuid.UUID, tuple[Memory, bytes]] = {}
    monkeypatch.setattr(oss_views, "_encoded", kept)
    for number in range(5):
        told(msgspec.structs.replace(PLAIN, id=uuid.UUID(int=number)), LONG)
    assert [uuid.UUID(int=3), uuid.UUID(int=4)] == list(kept)
