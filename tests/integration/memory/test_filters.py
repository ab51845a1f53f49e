"""Filters as SQL: random ones against an oracle in Python, and the hard cases one by one."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from memdeck_common.errors import BadFilter, Forbidden, NoScope
from memdeck_daemon.memory.model import Memory, NewMessage
from tests.integration.memory import oracle
from tests.integration.memory.driver import Memories, caller

KEYS = ("a", "b", "a.b", "c'd", "ü")
VALUES: tuple[Any, ...] = (
    0, 1, 2, -1, 1.0, 0.5, 1e-7, 10**20, True, False, None, "1", "1.0", "true", "x", "X", "", "ö%", "a_b",
    "2024-05-01", "2024-06-01T12:00:00Z", [], ["x", "X", 1, None, True], ["y"], {}, {"k": 1}, {"k": [1, 2]},
)  # fmt: skip
SCALARS = tuple(value for value in VALUES if not isinstance(value, dict | list) and value is not None)
WORDS = ("Apple", "apple", "pie_100%", "ÄPFEL", "", "a\\b", "x'y", "日本")
CATEGORIES = ("art", "Art", "NULL", 'quo"te', "com,ma", "{}", " ")
DAYS = tuple(date(2024, 5, 30) + timedelta(days=n) for n in range(4))
TIMES = tuple(datetime(2024, 5, 30, tzinfo=UTC) + timedelta(hours=12 * n) for n in range(7))


def a_text(rng: random.Random, values: tuple[str, ...]) -> Any:
    kind = rng.choice(["eq", "plain", "ne", "in", "list", "nin", "contains", "icontains", "exists", "*"])
    some = [rng.choice(values) for _ in range(rng.randint(1, 3))]
    plain: dict[str, Any] = {"plain": some[0], "list": some, "*": "*"}
    if kind in plain:
        return plain[kind]
    if kind == "exists":
        return {"exists": rng.random() < 0.5}
    return {kind: some if kind in {"in", "nin"} else some[0]}


def a_time(rng: random.Random) -> Any:
    days, instants = [day.isoformat() for day in DAYS], [time.isoformat() for time in TIMES]
    kind = rng.choice(["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "plain", "between"])
    value = rng.choice(days + instants)
    if kind == "plain":
        return value
    if kind == "between":
        return {"gte": value, "lt": rng.choice(days)}
    return {kind: [value, rng.choice(days)] if kind in {"in", "nin"} else value}


def a_json(rng: random.Random) -> Any:
    kind = rng.choice(
        ["eq", "plain", "ne", "in", "nin", "gt", "gte", "lt", "lte", "contains", "icontains", "exists"]
    )
    if kind == "plain":
        return rng.choice([value for value in VALUES if not isinstance(value, dict | list)])
    if kind in {"in", "nin"}:
        return {kind: [rng.choice(VALUES) for _ in range(rng.randint(0, 3))]}
    if kind in {"gt", "gte", "lt", "lte"}:
        return {kind: rng.choice([value for value in SCALARS if not isinstance(value, bool)])}
    if kind in {"contains", "icontains"}:
        return {kind: rng.choice(SCALARS)}
    return {kind: rng.random() < 0.5} if kind == "exists" else {kind: rng.choice(VALUES)}


LEAVES: tuple[Callable[[random.Random], dict[str, Any]], ...] = (
    lambda rng: {"agent_id": a_text(rng, ("a1", "a2", "a%"))},
    lambda rng: {"run_id": a_text(rng, ("r1", "r2"))},
    lambda rng: {"actor_id": a_text(rng, ("Alice", "bob"))},
    lambda rng: {"role": a_text(rng, ("user", "assistant"))},
    lambda rng: {"memory": a_text(rng, WORDS)},
    lambda rng: {"categories": a_text(rng, CATEGORIES)},
    lambda rng: {"created_at": a_time(rng)},
    lambda rng: {"expiration_date": a_time(rng)},
    lambda rng: {rng.choice(KEYS): a_json(rng)},
    lambda rng: {rng.choice(KEYS): a_json(rng)},
    lambda rng: {"metadata": {rng.choice([*KEYS, "role"]): a_json(rng)}},
)


def a_filter(rng: random.Random, depth: int = 3) -> dict[str, Any]:
    kind = rng.choice(["leaf", "leaf", "leaf", "two", "AND", "OR", "NOT"]) if depth else "leaf"
    if kind == "leaf":
        return rng.choice(LEAVES)(rng)
    if kind == "two":
        return rng.choice(LEAVES)(rng) | rng.choice(LEAVES)(rng)
    return {kind: [a_filter(rng, depth - 1) for _ in range(rng.randint(1, 3))]}


def optional(rng: random.Random, values: tuple[Any, ...]) -> Any:
    return rng.choice([None, *values])


async def some_memories(memories: Memories, rng: random.Random, user: str, count: int) -> list[Memory]:
    for _ in range(count):
        names = {"agent": optional(rng, ("a1", "a2", "a%")), "run": optional(rng, ("r1", "r2"))}
        message = NewMessage(
            rng.choice([word for word in WORDS if word]), rng.choice(["user", "assistant"]),
            optional(rng, ("Alice", "bob")),
        )  # fmt: skip
        await memories.add(
            message,
            user=user,
            metadata={rng.choice([*KEYS, "role"]): rng.choice(VALUES) for _ in range(rng.randint(0, 5))},
            categories=tuple(dict.fromkeys(rng.choice(CATEGORIES) for _ in range(rng.randint(0, 3)))),
            created_at=rng.choice(TIMES),
            expiration_date=optional(rng, DAYS),
            **{kind: value for kind, value in names.items() if value},
        )
    return await memories.page({"user_id": user})


@pytest.mark.parametrize("seed", range(4))
async def test_random_filters_mean_what_the_oracle_says(memories: Memories, user: str, seed: int) -> None:
    """Every operator on every kind of field, nested, NOT of what is unknown included."""
    rng = random.Random(seed)  # noqa: S311 - reproducible
    everything = await some_memories(memories, rng, user, 40)
    for _ in range(200):
        raw = {"user_id": user, "AND": [a_filter(rng)]}
        expected = {memory.id for memory in everything if oracle.matches(raw, memory)}
        found = {memory.id for memory in await memories.page(raw)}
        assert expected == found, raw


@pytest.mark.parametrize("seed", range(2))
async def test_random_deletions_take_what_the_oracle_says(memories: Memories, user: str, seed: int) -> None:
    """All of it and only it; undone, everything is back."""
    rng = random.Random(100 + seed)  # noqa: S311 - reproducible
    everything = await some_memories(memories, rng, user, 30)
    for _ in range(25):
        raw = {"user_id": user, "AND": [a_filter(rng)]}
        receipt = await memories.delete_scope(raw)
        kept = [memory for memory in everything if not oracle.matches(raw, memory)]
        assert kept == await memories.page({"user_id": user}), raw
        assert len(everything) - len(kept) == receipt.count
        await memories.service.undo_event(receipt.id, caller("any"))
    assert everything == await memories.page({"user_id": user})


async def test_numbers_of_any_size_can_be_compared(memories: Memories, user: str) -> None:
    """One huge number in somebody's metadata must not fail everybody's comparison."""
    await memories.add("huge", user=user, metadata={"n": 10**400})
    await memories.add("small", user=user, metadata={"n": 1e-300})
    await memories.add("none", user=user, metadata={"n": "text"})
    assert ["huge"] == [
        memory.text for memory in await memories.page({"user_id": user, "n": {"gt": 10**399}})
    ]
    assert ["small"] == [memory.text for memory in await memories.page({"user_id": user, "n": {"lt": 1}})]
    assert ["huge"] == [memory.text for memory in await memories.page({"user_id": user, "n": 10**400})]


async def test_ids_are_found_in_either_case(memories: Memories, user: str) -> None:
    """UUIDs are written in both."""
    one, other = await memories.add("one", "other", user=user)
    for raw in ({"id": str(one).upper()}, {"memory_ids": [str(one)]}, {"id": {"nin": [str(other)]}}):
        assert ["one"] == [memory.text for memory in await memories.page({"user_id": user, **raw})]
    assert [] == await memories.page({"user_id": user, "id": "not-a-uuid"})


async def test_the_last_day_there_is_can_be_named(memories: Memories, user: str) -> None:
    """9999-12-31 is how many people write "never"."""
    await memories.add("for ever", user=user, expiration_date=date(9999, 12, 31))
    for operator in ("eq", "gte", "lte"):
        raw = {"user_id": user, "expiration_date": {operator: "9999-12-31"}}
        assert ["for ever"] == [memory.text for memory in await memories.page(raw)], operator


async def test_a_long_list_of_everything_is_answered(memories: Memories, user: str) -> None:
    """A filter as large as the grammar takes runs into no limit of the driver."""
    await memories.add("one", user=user, metadata={"k": 5})
    raw: dict[str, Any] = {
        "user_id": user,
        "OR": [{"k": list(range(1000))} for _ in range(10)] + [{"x": n} for n in range(100)],
    }
    assert ["one"] == [memory.text for memory in await memories.page(raw)]
    many = {"user_id": {"in": [user, *(f"{user}-{n}" for n in range(999))]}, "k": 5}
    assert ["one"] == [memory.text for memory in await memories.page(many)]
    days = {"user_id": user, "created_at": {"nin": ["2020-01-01"] * 250}}
    assert ["one"] == [memory.text for memory in await memories.page(days)]


HOSTILE = ("%", "_", ".*", "\\", "[a-z]", "(", "^", "$", "ü", "日本", "🎨", "'; DROP TABLE x; --")


async def test_pins_do_not_leak_to_names_that_look_alike(memories: Memories, user: str) -> None:
    """Characters that mean something to LIKE or to regular expressions stand for themselves."""
    pinned = caller("pinned", users=(f"{user}_7_*",))
    for suffix in ("7_a", "70_x", "7", "7x7_a", "X7_a"):
        await memories.add(suffix, user=f"{user}_{suffix}")
    _, found, _ = await memories.service.entities(pinned, kind=None, page=1, size=1000)
    assert [f"{user}_7_a"] == [entity.identifier.value for entity in found]
    for suffix in ("70_x", "7", "7x7_a", "X7_a"):
        for raw in (
            {"user_id": f"{user}_{suffix}"},
            {"OR": [{"user_id": f"{user}_7_a"}, {"user_id": f"{user}_{suffix}"}]},
        ):
            for ask in (
                memories.page(raw, pinned),
                memories.texts("x", raw, pinned),
                memories.delete_scope(raw, pinned),
            ):
                with pytest.raises(Forbidden):
                    await ask
    assert ["7_a"] == [memory.text for memory in await memories.page({"user_id": f"{user}_7_a"}, pinned)]


@pytest.mark.parametrize("glyph", HOSTILE)
async def test_hostile_characters_in_pins_stand_for_themselves(
    memories: Memories, user: str, glyph: str
) -> None:
    """In the pattern and in the names, in listings as well as in searches."""
    mark = glyph.replace(" ", "")
    inside, outside = f"{user}{mark}1", f"{user}Q1"
    await memories.add("inside", user=inside)
    await memories.add("outside", user=outside)
    pinned = caller("pinned", users=(f"{user}{mark}*",))
    _, found, _ = await memories.service.entities(pinned, kind="user", page=1, size=1000)
    assert [inside] == [entity.identifier.value for entity in found]
    assert ["inside"] == await memories.texts("inside", {"user_id": inside}, pinned)
    with pytest.raises(Forbidden):
        await memories.page({"user_id": outside}, pinned)


async def test_no_clever_filter_reaches_beyond_a_pin(memories: Memories, user: str) -> None:
    """Whatever is refused or answered, another user's memory is never among it."""
    mine, other = f"{user}_7_a", f"{user}_8_b"
    await memories.add("mine", user=mine, agent="shared", run="shared")
    await memories.add("secret", user=other, agent="shared", run="shared")
    pinned = caller("pinned", users=(f"{user}_7_*",))
    clever: list[dict[str, Any]] = [
        {"agent_id": "shared"}, {"run_id": "shared"}, {"user_id": "*"}, {"user_id": {"in": [mine, "*"]}},
        {"user_id": {"in": [mine, other]}}, {"OR": [{"user_id": mine}, {"agent_id": "shared"}]},
        {"OR": [{"user_id": mine}, {"memory": {"contains": "s"}}]}, {"NOT": [{"user_id": mine}]},
        {"user_id": {"ne": mine}}, {"user_id": {"contains": user}}, {"user_id": {"exists": True}},
        {"metadata": {"user_id": mine}}, {"NOT": [{"NOT": [{"user_id": other}]}]},
        {"AND": [{"OR": [{"user_id": mine}, {"run_id": "shared"}]}, {"agent_id": "shared"}]},
        {"OR": [{"user_id": mine, "x": 1}, {"NOT": [{"x": 1}], "run_id": "shared"}]},
        {"user_id": {"in": []}}, {"OR": [{"user_id": mine}, {"user_id": {"in": []}}]},
        {"AND": [{"user_id": mine}, {"user_id": other}]},
    ]  # fmt: skip
    for raw in clever:
        for question in (memories.page, lambda raw, by: memories.texts("secret", raw, by)):
            try:
                found = await question(raw, pinned)
            except (BadFilter, NoScope, Forbidden):
                continue
            assert "secret" not in [one if isinstance(one, str) else one.text for one in found], raw
    assert ["mine"] == [
        m.text for m in await memories.page({"OR": [{"user_id": mine}, {"user_id": mine, "x": 1}]}, pinned)
    ]
