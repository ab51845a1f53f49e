"""What a pinned key sees of everything that is kept besides memories, and what nobody sees in the log."""

import asyncio
import logging
import uuid
from typing import Any

import pytest

from memdeck_common.errors import BadFilter, EventNotFound, Forbidden, MemdeckError, MemoryNotFound, NoScope
from tests.integration.memory.driver import ADMIN, MakeMemories, Memories, caller


async def test_receipts_are_the_keys_own(memories: Memories, user: str) -> None:
    """A pinned key sees what it did itself; others see all of them."""
    mine = caller(f"mine-{user}", users=(user,))
    own = await memories.receipt("one", user=user, by=mine)
    foreign = await memories.receipt("two", user=user)
    count, page = await memories.service.receipts(mine, page=1, size=10)
    assert (1, [own.id]) == (count, [receipt.id for receipt in page])
    assert "one" == (await memories.service.receipt(own.id, mine)).outcomes[0].text
    with pytest.raises(EventNotFound):
        await memories.service.receipt(foreign.id, mine)
    for anybody in (ADMIN, caller("free")):
        assert foreign.id == (await memories.service.receipt(foreign.id, anybody)).id
        assert 2 <= (await memories.service.receipts(anybody, page=1, size=10))[0]
    with pytest.raises(EventNotFound):
        await memories.service.receipt(uuid.uuid4(), ADMIN)


async def test_receipts_tell_texts_that_still_exist(memories: Memories, user: str) -> None:
    """As they are now, and none of what was deleted."""
    told = await memories.receipt("kept", "gone", user=user)
    kept, gone = (outcome.id for outcome in told.outcomes)
    assert kept is not None
    assert gone is not None
    await memories.change(kept, text="changed")
    await memories.service.delete(gone, ADMIN)
    later = await memories.service.receipt(told.id, ADMIN)
    assert [(kept, "changed"), (gone, "")] == [(outcome.id, outcome.text) for outcome in later.outcomes]


async def test_receipts_come_in_pages(make_memories: MakeMemories) -> None:
    """Newest first, without gaps between pages."""
    memories = await make_memories(background=("writer",))
    made = [(await memories.receipt(str(n), user="u")).id for n in range(7)]
    pages = [await memories.service.receipts(ADMIN, page=n, size=3) for n in (1, 2, 3, 4)]
    assert {7} == {count for count, _ in pages}
    assert made[::-1] == [receipt.id for _, page in pages for receipt in page]


async def test_histories_follow_the_memory(memories: Memories, user: str) -> None:
    """Within reach they show who changed what, also of what is gone; beyond it they do not exist."""
    (memory_id,) = await memories.add("one", user=user, by=caller("writer"))
    await memories.change(memory_id, text="two", by=caller("editor"))
    await memories.service.delete(memory_id, caller("cleaner"))
    within = caller("within", users=(f"{user[:-2]}*",))
    entries = await memories.service.history(memory_id, within)
    assert [(None, "one", "writer"), ("one", "two", "editor"), ("two", None, "cleaner")] == [
        (entry.old_text, entry.new_text, entry.changed_by) for entry in entries
    ]
    for beyond in (caller("beyond", users=("nobody",)), caller("agent", agents=("a*",))):
        with pytest.raises(MemoryNotFound):
            await memories.service.history(memory_id, beyond)


async def test_entities_show_names_within_the_pins(memories: Memories, user: str) -> None:
    """Of the kinds that are pinned; a name whose memories are all gone is not shown."""
    agent = f"{user}-agent"
    await memories.add("one", user=user, agent=agent, run=f"{user}-run")
    await memories.add("two", user=f"{user}-2", agent=f"{agent}-2")
    await memories.add("three", user=f"{user}-gone")
    await memories.delete_scope({"user_id": f"{user}-gone"})

    async def shown(**pins: tuple[str, ...]) -> list[str]:
        by = caller("pinned", **pins)
        total, found, by_kind = await memories.service.entities(by, kind=None, page=1, size=100)
        assert total == len(found) == sum(by_kind.values())
        return [str(entity.identifier) for entity in found]

    assert [f"user:{user}", f"user:{user}-2"] == await shown(users=(f"{user}*",))
    assert [f"agent:{agent}"] == await shown(agents=(agent,))
    assert [f"agent:{agent}", f"user:{user}"] == await shown(users=(user,), agents=(agent,))
    assert [] == await shown(users=("nobody",))


async def test_entities_come_in_pages_by_kind(make_memories: MakeMemories) -> None:
    """With their numbers of memories."""
    memories = await make_memories(background=("writer",))
    for n in range(5):
        await memories.add("one", "two", user=f"u{n}", run="r")
    total, found, by_kind = await memories.service.entities(ADMIN, kind="user", page=2, size=2)
    assert (5, ["u2", "u3"], {"user": 5}) == (total, [entity.identifier.value for entity in found], by_kind)
    _, everything, by_kind = await memories.service.entities(ADMIN, kind=None, page=1, size=100)
    assert ({"user": 5, "run": 1}, 10) == (by_kind, everything[0].memories)


async def test_feedback_is_for_memories_within_reach(memories: Memories, user: str) -> None:
    """One cannot judge what one cannot see."""
    (memory_id,) = await memories.add("one", user=user)
    await memories.service.feedback(memory_id, "POSITIVE", None, caller("free"))
    await memories.service.feedback(memory_id, None, "back", caller("mine", users=(user,)))
    for by, wanted in ((caller("other", users=("x",)), memory_id), (ADMIN, uuid.uuid4())):
        with pytest.raises(MemoryNotFound):
            await memories.service.feedback(wanted, "NEGATIVE", "bad", by)
    assert 2 == await memories.value("SELECT count(*) FROM memory.feedback WHERE memory_id = $1", memory_id)


async def test_exports_are_checked_when_made_and_when_fetched(memories: Memories, user: str) -> None:
    """They belong to the key that made them, and hold what matches when they are fetched."""
    await memories.add("one", user=user)
    mine = caller(f"mine-{user}", users=(user,))
    export_id = await memories.service.create_export({"user_id": user}, {"type": "object"}, mine)
    await memories.add("two", user=user)
    assert ["two", "one"] == [memory.text for memory in await memories.service.export(export_id, None, mine)]
    assert ["two", "one"] == [m.text for m in await memories.service.export(None, {"user_id": user}, mine)]
    with pytest.raises(EventNotFound):
        await memories.service.export(export_id, None, caller("other"))
    with pytest.raises(Forbidden):
        await memories.service.create_export({"user_id": f"{user}-2"}, {}, mine)
    with pytest.raises(Forbidden):
        await memories.service.export(None, {"user_id": f"{user}-2"}, mine)
    scopeless: list[dict[str, Any]] = [{}, {"x": 1}]
    for where in scopeless:
        with pytest.raises((BadFilter, NoScope)):
            await memories.service.create_export(where, {}, mine)


async def test_project_settings_are_kept(make_memories: MakeMemories) -> None:
    """Each by its name; what is not named stays, and None takes one back."""
    memories = await make_memories(background=())
    assert {} == await memories.service.project()
    await memories.service.change_project(
        {"custom_instructions": "be kind", "custom_categories": [{"a": "b"}]}
    )
    after = await memories.service.change_project({"custom_instructions": None})
    assert {"custom_categories": [{"a": "b"}]} == after == await memories.service.project()


async def test_no_log_holds_what_was_said(
    make_memories: MakeMemories, caplog: pytest.LogCaptureFixture
) -> None:
    """Not when it is added, found, changed, deleted, nor when the database refuses it and quotes the row."""
    memories = await make_memories()
    await memories.rows("ALTER TABLE memory.memories ADD CHECK (text NOT LIKE '%poison%')")
    secret = "xylophonist"
    with caplog.at_level(logging.DEBUG):
        (memory_id,) = await memories.add(secret, user="u", metadata={secret: secret})
        told = await asyncio.gather(
            *(memories.add(f"{secret} {word}", user="u") for word in ("poison", "good", "poison")),
            return_exceptions=True,
        )
        await memories.texts(secret, {"user_id": "u"})
        with pytest.raises(MemdeckError):
            await memories.change(memory_id, text=f"{secret} poison")
        await memories.change(memory_id, text=f"{secret} again")
        await memories.delete_scope({"user_id": "u"})
    assert 2 == sum(isinstance(one, MemdeckError) for one in told)
    assert any("refused a statement" in record.getMessage() for record in caplog.records)
    formatter = logging.Formatter()
    for record in caplog.records:
        assert secret not in formatter.format(record) + str(vars(record)), record.getMessage()
