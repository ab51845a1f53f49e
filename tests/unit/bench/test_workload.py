"""What the benchmark stores and asks."""

import msgspec

from bench.workload import CONTEXTS, TEMPLATES, Workload
from memdeck_daemon.memory.lexical.tokens import query_terms, terms


def workload(seed: int = 1, memories: int = 300) -> Workload:
    return Workload(seed=seed, memories=memories, users=7, prefix="bench")


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Two servers, or two versions of one, do the same work."""
    one, other = workload(), workload()
    assert one.adds() == other.adds()
    assert one.more_adds(20) == other.more_adds(20)
    assert one.questions(200) == other.questions(200)
    assert one.repeated(40, distinct=8) == other.repeated(40, distinct=8)


def test_another_seed_gives_other_work() -> None:
    """A seed is not decoration."""
    assert workload(1).adds() != workload(2).adds()
    assert workload(1).questions(50) != workload(2).questions(50)


def test_memories_go_to_all_users_in_turn() -> None:
    """A run that a time limit cuts short has given every user its share."""
    users = [fact.user for fact in workload(memories=21).facts]
    assert [f"bench_user_{number:03}" for number in range(1, 8)] * 3 == users


def test_no_user_is_told_the_same_twice() -> None:
    """A server that recognises duplicates has no less to do than one that does not."""
    facts = workload(memories=2_000).facts
    assert 2_000 == len({(fact.user, fact.text) for fact in facts})


def test_no_question_comes_twice() -> None:
    """Unique searches are unique over all phases of a run, warm-up included, or a cache would answer them."""
    asker = workload(memories=14)
    asked = asker.questions(3_000) + asker.questions(3_000)
    assert 6_000 == len(set(asked))


def test_repeated_searches_are_made_of_few_questions() -> None:
    """Each comes as often as the others."""
    bodies = workload().repeated(60, distinct=6)
    assert 6 == len(set(bodies))
    assert {10} == {bodies.count(body) for body in bodies}


def test_every_question_shares_words_with_a_memory_of_its_user() -> None:
    """So an empty answer is a fault of the server."""
    asker = workload(memories=70)
    said: dict[str, set[str]] = {}
    for fact in asker.facts:
        said.setdefault(fact.user, set()).update(terms(fact.text))
    for body in asker.questions(300):
        question = msgspec.json.decode(body)
        assert said[question["filters"]["user_id"]] & set(query_terms(question["query"]))


def test_questions_can_be_kept_to_the_memories_that_were_stored() -> None:
    """After a cut the rest is not asked for."""
    asker = workload(memories=70)
    users = {msgspec.json.decode(body)["filters"]["user_id"] for body in asker.questions(100, among=3)}
    assert {"bench_user_001", "bench_user_002", "bench_user_003"} == users


def test_bodies_are_those_of_the_self_hosted_dialect() -> None:
    """One message, stored as it is; a search within one user."""
    add = msgspec.json.decode(workload().adds()[0])
    assert {"messages", "user_id", "infer"} == set(add)
    assert False is add["infer"]
    assert ["user"] == [message["role"] for message in add["messages"]]
    search = msgspec.json.decode(workload().questions(1)[0])
    assert {"query", "filters"} == set(search)


def test_every_blank_has_words() -> None:
    """Each template and context can be filled, in every way of asking."""
    asker = workload(memories=700)
    assert set(TEMPLATES) == {fact.template for fact in asker.facts}
    openings = {context.split("{", maxsplit=1)[0] for context in CONTEXTS if context}
    asked = [msgspec.json.decode(body)["query"] for body in asker.questions(1_000)]
    assert all(any(query.startswith(opening) for query in asked) for opening in openings)
    assert not [query for query in asked if "{" in query]
