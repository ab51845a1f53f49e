"""Searching: what was answered before is found, what is not the caller's never is, and scores say how they came about."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from memdeck_common.errors import AdminRequired, BadRequest, Forbidden, NoScope
from memdeck_daemon.memory.lexical.index import Changes, Entry
from memdeck_daemon.memory.lexical.reader import Watermark
from memdeck_daemon.memory.lexical.tokens import terms
from memdeck_daemon.memory.model import Identifier, NewMessage
from tests.integration.memory.driver import MakeMemories, Memories, caller

UNPINNED = caller("unpinned")


def scopes(user: str) -> list[dict[str, Any]]:
    """Ways to ask for the same memories: by one owner, and by names that are nobody's alone."""
    return [
        {"user_id": user}, {"agent_id": f"{user}-a"}, {"app_id": f"{user}-p"}, {"run_id": f"{user}-r"},
        {"OR": [{"user_id": user}, {"user_id": f"{user}-nobody"}]}, {"user_id": user, "agent_id": f"{user}-a"},
    ]  # fmt: skip


def names(user: str) -> dict[str, Any]:
    return {"user": user, "agent": f"{user}-a", "app": f"{user}-p", "run": f"{user}-r"}


@pytest.mark.parametrize("following", [True, False])
async def test_writes_are_found_at_once(make_memories: MakeMemories, following: bool) -> None:
    """Added, changed, deleted, brought back: in every kind of scope, whether the index has followed or not."""
    tasks = ("writer", "lexical projection") if following else ("writer",)
    memories = await make_memories(background=tasks)
    for question in scopes("u"):
        assert [] == await memories.texts("zebra", question)
    (memory_id,) = await memories.add("a zebra crossed", **names("u"))
    for question in scopes("u"):
        assert ["a zebra crossed"] == await memories.texts("zebra", question, threshold=1.0), question
    await memories.change(memory_id, text="a walrus sang")
    for question in scopes("u"):
        assert [] == await memories.texts("zebra", question, threshold=1.0), question
        assert ["a walrus sang"] == await memories.texts("walrus", question, threshold=1.0), question
    await memories.service.delete(memory_id, UNPINNED)
    for question in scopes("u"):
        assert [] == await memories.texts("walrus", question), question
    await memories.service.undo(memory_id, UNPINNED)
    for question in scopes("u"):
        assert ["a walrus sang"] == await memories.texts("walrus", question, threshold=1.0), question


async def test_writes_of_another_daemon_are_found_at_once(make_memories: MakeMemories) -> None:
    """Although this one keeps the owner's memories in its own memory."""
    one = await make_memories(name="one")
    other = await make_memories(name="other")
    await one.add("a zebra crossed", user="u")
    assert ["a zebra crossed"] == await one.texts("zebra", {"user_id": "u"})
    (theirs,) = await other.add("a zebra slept", user="u")
    assert {"a zebra crossed", "a zebra slept"} == set(await one.texts("zebra", {"user_id": "u"}))
    await one.add("a zebra ate", user="u")
    await other.change(theirs, text="a walrus slept")
    assert {"a zebra crossed", "a zebra ate", "a walrus slept"} == set(
        await one.texts("zebra", {"user_id": "u"})
    )
    await other.delete_scope({"user_id": "u"})
    assert [] == await one.texts("zebra", {"user_id": "u"})


async def test_searches_among_writers_see_what_was_answered(make_memories: MakeMemories) -> None:
    """Two daemons write and search one user at the same time; every search holds all that was answered before it began."""
    wings = [await make_memories(name=name) for name in ("one", "other")]
    answered: set[str] = set()

    async def write(number: int) -> None:
        for n in range(15):
            text = f"zebra {number} {n}"
            await wings[number % 2].add(text, user="u", run=f"r{number % 3}")
            answered.add(text)

    async def read(number: int) -> None:
        for _ in range(15):
            before = set(answered)
            found = set(await wings[number % 2].texts("zebra", {"user_id": "u"}, top_k=1000))
            assert before <= found, before - found

    await asyncio.gather(*(write(n) for n in range(6)), *(read(n) for n in range(6)))
    assert 90 == len(answered)


async def test_a_search_among_steady_writers_ends(make_memories: MakeMemories) -> None:
    """It waits for the writes that are on their way, not for all those that follow."""
    memories = await make_memories()
    await memories.add("a zebra", user="u")
    stop = asyncio.Event()

    async def write(number: int) -> int:
        count = 0
        while not stop.is_set():
            await memories.add(f"text {number} {count}", user="u")
            count += 1
        return count

    writers = [asyncio.create_task(write(n)) for n in range(40)]
    try:
        for _ in range(20):
            found = await asyncio.wait_for(memories.texts("zebra", {"user_id": "u"}, threshold=1.0), 5)
            assert ["a zebra"] == found
    finally:
        stop.set()
        await asyncio.gather(*writers)


async def test_the_threshold_is_the_cosines(memories: Memories, user: str) -> None:
    """Keyword hits pass whatever their cosine, others only above it; both show their cosine."""
    await memories.add("My cat likes warm milk", "zyx quarterly report", user=user)
    found = (await memories.search("feline zyx", {"user_id": user})).hits
    cosines = {hit.memory.text: (hit.cosine, hit.keyword) for hit in found}
    near, keyword = cosines["My cat likes warm milk"], cosines["zyx quarterly report"]
    assert (False, True) == (near[1], keyword[1])
    between: dict[str, Any] = {"threshold": near[0] + 0.001}
    assert ["zyx quarterly report"] == await memories.texts("feline zyx", {"user_id": user}, **between)
    below: dict[str, Any] = {"threshold": max(near[0] - 0.001, 0.0)}
    assert 2 == len(await memories.texts("feline zyx", {"user_id": user}, **below))
    for question in ({"user_id": user}, {"user_id": {"in": [user, f"{user}-2"]}}):
        assert ["zyx quarterly report"] == await memories.texts("zyx", question, threshold=1.0)


async def test_expired_memories_are_hidden_until_asked_for(memories: Memories, user: str) -> None:
    """A memory is valid through its last day."""
    today = datetime.now(UTC).date()
    for text, day in (("zebra past", today - timedelta(1)), ("zebra today", today), ("zebra ever", None)):
        await memories.add(text, expiration_date=day, **names(user))
    for question in scopes(user):
        assert {"zebra today", "zebra ever"} == set(await memories.texts("zebra", question)), question
        assert 3 == len(await memories.texts("zebra", question, show_expired=True)), question
    shown = await memories.page({"user_id": user}, show_expired=False)
    assert ["zebra ever", "zebra today"] == [memory.text for memory in shown]


async def test_an_expiry_that_is_changed_counts_at_once(memories: Memories, user: str) -> None:
    """In the list of one owner's memories that is kept between searches as well."""
    (memory_id,) = await memories.add("a zebra", user=user)
    assert ["a zebra"] == await memories.texts("zebra", {"user_id": user})
    await memories.change(memory_id, expiration_date=date(2000, 1, 1))
    assert [] == await memories.texts("zebra", {"user_id": user})


TURNS = (
    NewMessage("When did you paint the sunrise?", "user", "Bob"), NewMessage("Why?", "user", "Bob"),
    NewMessage("I painted the sunrise last year, on a long quiet morning by the lake. " * 4, "user", "Alice"),
    NewMessage("?", "user", None), NewMessage("!!!", "user", "Bob"), NewMessage("sunrise " * 300, "user", "Alice"),
    NewMessage("日本語のテキスト", "user", "Alice"), NewMessage("🎨🎨", "user", None), NewMessage("x", "user", None),
)  # fmt: skip
QUERIES = (
    "When did Alice paint the sunrise in May 2026?", "sunrise", "the of and", "?", "日本語", "🎨", "x", "nothing of it",
    "sunrise " * 500, "' OR 1=1 --", 'a:b^2 +(c* "d', "\u202e\u200b", "İSTANBUL ß ſ", "on February 30",
)  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
async def test_scores_are_the_sum_of_their_parts(memories: Memories, user: str, query: str) -> None:
    """Between 0 and 1, best first, for any question; in the order of the score, with or without an explanation."""
    await memories.add(*TURNS, **names(user))
    for question in scopes(user):
        found = await memories.search(query, question, top_k=100)
        scores = [hit.score for hit in found.hits]
        assert sorted(scores, reverse=True) == scores
        for hit in found.hits:
            assert 0 <= hit.score <= 1.001
            assert hit.score == pytest.approx(sum(part.part for part in hit.parts), abs=1e-5), hit
        short = await memories.search(query, question, top_k=100, explain=False)
        assert [hit.memory.id for hit in found.hits] == [hit.memory.id for hit in short.hits]
        assert {()} >= {hit.parts for hit in short.hits}
        assert len(TURNS) == len(found.hits)


async def test_the_stages_of_a_search_lie_within_it(memories: Memories, user: str) -> None:
    """They begin in order and none before the search."""
    await memories.add("a zebra", **names(user))
    for question in scopes(user):
        stages = (await memories.search("zebra", question)).stages
        begins = [stage.begin_ms for stage in stages]
        assert {"embed query", "score", "hydrate"} <= {stage.name for stage in stages}
        assert all(begin >= 0 for begin in begins)
        assert all(stage.milliseconds >= 0 for stage in stages)


async def test_how_many_hits_are_wanted_is_kept(memories: Memories, user: str) -> None:
    """None, one, a thousand of a few and of more than that."""
    await memories.add(*[f"zebra number {n}" for n in range(1100)], **names(user))
    for question in scopes(user):
        for top_k, expected in ((0, 0), (1, 1), (10, 10), (1000, 1000)):
            assert expected == len(await memories.texts("zebra", question, top_k=top_k)), question


async def test_other_peoples_memories_never_appear(memories: Memories, user: str) -> None:
    """Not with the same words, the same run and agent, or as a neighbour."""
    shared: dict[str, Any] = {"agent": f"{user}-a", "run": f"{user}-r"}
    for n in range(20):
        await memories.add(f"zebra {n}", user=f"{user}-{n % 2}", **shared)
    for n in range(2):
        for question in (
            {"user_id": f"{user}-{n}"},
            {"user_id": f"{user}-{n}", "agent_id": shared["agent"]},
            {"run_id": shared["run"], "user_id": f"{user}-{n}"},
        ):
            found = (await memories.search("zebra", question, top_k=100)).hits
            assert {f"{user}-{n}"} == {hit.memory.identifiers.user for hit in found}
            assert 10 == len(found)
    both = {"OR": [{"user_id": f"{user}-0"}, {"user_id": f"{user}-1"}]}
    assert 20 == len(await memories.texts("zebra", both, top_k=100))
    with pytest.raises(Forbidden):
        await memories.texts("zebra", both, caller("pinned", users=(f"{user}-0",)))


async def test_scopes_whose_hashes_meet_do_not_mix(make_memories: MakeMemories) -> None:
    """The index tells scopes apart by a short hash; what it confuses is dropped when memories are read."""
    memories = await make_memories(background=("writer",))
    await memories.add("zebra of mine", user="me", agent="mine")
    (theirs,) = await memories.add("zebra of theirs", user="they", agent="theirs")
    lineage = str(await memories.value("SELECT id FROM memory.lineage"))
    await memories.projection.rebuild(lineage)
    position = memories.index.position
    assert position is not None
    confused = Entry(
        theirs, (Identifier("agent", "mine"), Identifier("user", "me")), tuple(terms("zebra of theirs"))
    )
    await memories.index.apply(Changes([confused]), Watermark(lineage, position.xid, position.id))
    for question in ({"agent_id": "mine"}, {"user_id": {"in": ["me", "nobody"]}}):
        assert ["zebra of mine"] == await memories.texts("zebra", question)


async def test_everything_is_an_administrators_search(memories: Memories, user: str) -> None:
    """`*` finds memories of several users; nobody else may ask so, and no scope at all is refused."""
    word = f"quokka{user[-8:]}"
    await memories.add(f"{word} one", user=user)
    await memories.add(f"{word} two", agent=user)
    for question, expected in (
        ({"user_id": "*"}, {f"{word} one"}), ({"OR": [{"user_id": "*"}, {"agent_id": "*"}]}, {f"{word} one", f"{word} two"})
    ):  # fmt: skip
        assert expected == set(await memories.texts(word, question, threshold=0.99, top_k=5))
        with pytest.raises(AdminRequired):
            await memories.texts(word, question, UNPINNED)
    with pytest.raises(NoScope):
        await memories.texts(word, {"memory": {"contains": word}})


@pytest.mark.parametrize("query", ["", "  \n", "nul \x00", "half \ud800"])
async def test_what_cannot_be_asked_is_refused(memories: Memories, user: str, query: str) -> None:
    """With a BadRequest that names the query."""
    with pytest.raises(BadRequest):
        await memories.texts(query, {"user_id": user})


async def test_a_big_owner_is_searched_like_a_small_one(memories: Memories, user: str) -> None:
    """More memories than are kept at hand: words, meaning, filters and fresh writes."""
    for start in range(0, 10_200, 400):
        await memories.add(
            *[f"note {n} on something" for n in range(start, start + 400)], user=user, metadata={"at": start}
        )
    await memories.add("the zebra crossed the road", user=user, metadata={"at": "last"})
    assert ["the zebra crossed the road"] == await memories.texts("zebra", {"user_id": user}, top_k=1)
    assert ["the zebra crossed the road"] == await memories.texts("zebra", {"user_id": user, "at": "last"})
    found = await memories.search("note 5077", {"user_id": user}, top_k=3)
    assert "note 5077 on something" == found.hits[0].memory.text
    assert found.total >= 10_201


async def test_an_owner_of_long_texts_is_searched_too(memories: Memories, user: str) -> None:
    """Their sum is too much to be kept at hand; what is found is the same."""
    filler = "lorem ipsum dolor sit amet " * 2_400
    for start in range(0, 140, 20):
        await memories.add(*[f"{filler} number{n}" for n in range(start, start + 20)], user=user)
    await memories.add("the zebra crossed the road", user=user)
    assert ["the zebra crossed the road"] == await memories.texts(
        "zebra", {"user_id": user}, top_k=1, threshold=0.99
    )
    assert "number77" in (await memories.texts("number77", {"user_id": user}, top_k=1))[0]
    assert "hot set" in {stage.name for stage in (await memories.search("zebra", {"user_id": user})).stages}
    assert "candidates" in {
        stage.name for stage in (await memories.search("zebra", {"user_id": user})).stages
    }
