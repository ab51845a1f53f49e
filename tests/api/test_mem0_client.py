"""mem0's own Python clients, unchanged, against the platform dialect: every method of the contract."""

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.serving import Api


@pytest.fixture
async def mem0() -> Any:
    """mem0's package; importing it takes 1.7 s, which the loop must not wait for."""
    return await asyncio.to_thread(importlib.import_module, "mem0")


class Blocking:
    """The blocking client behind the asynchronous one's face, so that one test serves both."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return Blocking(found) if name == "project" else found
        return _threaded(found)


def _threaded(method: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*arguments: Any, **named: Any) -> Any:
        return await asyncio.to_thread(method, *arguments, **named)

    return call


@pytest.fixture(params=["MemoryClient", "AsyncMemoryClient"])
async def client(request: pytest.FixtureRequest, api: Api, mem0: Any) -> Any:
    if request.param == "MemoryClient":
        blocking = await asyncio.to_thread(mem0.MemoryClient, api_key=api.admin, host=api.url)
        yield Blocking(blocking)
        await asyncio.to_thread(blocking.client.close)
        return
    # Its constructor pings with a blocking client.
    made = await asyncio.to_thread(mem0.AsyncMemoryClient, api_key=api.admin, host=api.url)
    yield made
    await made.async_client.aclose()


async def _stored(client: Any, *texts: str, **fields: Any) -> list[str]:
    messages = [{"role": "user", "content": text} for text in texts]
    answer = await client.add(messages, infer=False, **fields)
    return [str(item["id"]) for item in answer["results"]]


async def test_the_client_learns_its_project_when_it_is_made(client: Any) -> None:
    assert ("memdeck", "test") == (client.org_id, client.project_id)


async def test_a_wrong_key_is_told_to_the_client_when_it_is_made(api: Api, mem0: Any) -> None:
    with httpx.Client() as connection, pytest.raises(ValueError, match=r"Error: Invalid API key\."):
        await asyncio.to_thread(mem0.MemoryClient, api_key="m0sk_wrong", host=api.url, client=connection)


async def test_add_without_inference_tells_what_was_stored(client: Any) -> None:
    answer = await client.add("I like tea", user_id="alice", infer=False, metadata={"source": "chat"})

    (item,) = answer["results"]
    assert ("SUCCEEDED", "ADD", "I like tea") == (answer["status"], item["event"], item["memory"])
    assert {"memory": "I like tea"} == item["data"]


async def test_add_with_inference_is_pending_and_its_event_has_succeeded(client: Any, api: Api) -> None:
    answer = await client.add([{"role": "user", "content": "I like tea"}], user_id="alice")

    assert "PENDING" == answer["status"]
    assert "No LLM is configured" in answer["message"]
    event = await api.call("GET", f"/v1/event/{answer['event_id']}/")
    assert ("SUCCEEDED", 1) == (event.body["status"], len(event.body["results"]))


async def test_identifiers_may_stand_inside_filters(client: Any) -> None:
    (memory_id,) = await _stored(client, "I like tea", filters={"user_id": "alice", "agent_id": "butler"})

    found = await client.get(memory_id)
    assert ("alice", "butler") == (found["user_id"], found["agent_id"])


async def test_get_of_what_is_no_id_is_a_validation_error(client: Any) -> None:
    from mem0.exceptions import MemoryNotFoundError, ValidationError

    with pytest.raises(ValidationError, match="must be a UUID"):
        await client.get("not-a-uuid")
    with pytest.raises(MemoryNotFoundError):
        await client.get("00000000-0000-4000-8000-000000000000")


async def test_get_all_pages_newest_first(client: Any) -> None:
    ids = [(await _stored(client, f"fact {n}", user_id="alice"))[0] for n in range(3)]

    page = await client.get_all(filters={"user_id": "alice"}, page=1, page_size=2)
    assert (3, ids[:0:-1]) == (page["count"], [one["id"] for one in page["results"]])
    assert page["next"].endswith("/v3/memories/?page=2&page_size=2")
    assert page["previous"] is None


async def test_get_all_of_somebody_unknown_is_empty(client: Any) -> None:
    assert {"count": 0, "next": None, "previous": None, "results": []} == await client.get_all(
        filters={"user_id": "nobody"}
    )


async def test_get_all_understands_nested_filters_and_dates(client: Any) -> None:
    await _stored(client, "old", user_id="alice", timestamp=1_500_000_000)
    await _stored(client, "new", user_id="bob")

    found = await client.get_all(filters={"OR": [{"user_id": "alice"}, {"AND": [{"user_id": "bob"}]}]})
    assert {"old", "new"} == {one["memory"] for one in found["results"]}
    early = await client.get_all(
        filters={"user_id": {"in": ["alice", "bob"]}}, start_date="2017-01-01", end_date="2018-01-01"
    )
    assert ["old"] == [one["memory"] for one in early["results"]]


async def test_search_scores_and_obeys_top_k(client: Any) -> None:
    await _stored(client, "tea is good", "tea with milk", "coffee", user_id="alice")

    found = await client.search("tea milk", filters={"user_id": "alice"}, top_k=1, rerank=True)
    (hit,) = found["results"]
    assert "tea with milk" == hit["memory"]
    assert 0 < hit["score"] <= 1


async def test_search_of_somebody_unknown_is_empty(client: Any) -> None:
    assert [] == (await client.search("tea", filters={"user_id": "nobody"}))["results"]


async def test_search_without_filters_is_a_validation_error(client: Any) -> None:
    from mem0.exceptions import ValidationError

    with pytest.raises(ValidationError, match="at least one of: user_id"):
        await client.search("tea")


async def test_update_answers_with_the_memory_as_it_is_now(client: Any) -> None:
    (memory_id,) = await _stored(
        client, "tea", user_id="alice", metadata={"kept": 1}, expiration_date="2030-01-31"
    )

    changed = await client.update(memory_id, text="green tea", metadata={"new": 2}, expiration_date=None)
    assert "green tea" == changed["memory"]
    assert {"kept": 1, "new": 2} == changed["metadata"]
    assert changed["expiration_date"] is None


async def test_delete_forgets_one_memory(client: Any) -> None:
    kept, gone = await _stored(client, "tea", "coffee", user_id="alice")

    answer = await client.delete(gone, delete_linked=True)
    assert "Memory deleted successfully!" == answer["message"]
    assert [kept] == [one["id"] for one in (await client.get_all(filters={"user_id": "alice"}))["results"]]


async def test_delete_all_forgets_a_scope_and_only_it(client: Any) -> None:
    await _stored(client, "tea", user_id="alice")
    await _stored(client, "coffee", user_id="bob")

    answer = await client.delete_all(user_id="alice")
    assert "event_id" in answer
    left = await client.get_all(filters={"OR": [{"user_id": "alice"}, {"user_id": "bob"}]})
    assert ["coffee"] == [one["memory"] for one in left["results"]]


async def test_delete_all_with_filters_deletes_what_the_filters_say(client: Any) -> None:
    """The client puts Python's repr of the filters into the query."""
    await _stored(client, "tea", user_id="alice", metadata={"topic": "drinks"})
    await _stored(client, "bread", user_id="alice", metadata={"topic": "food"})

    await client.delete_all(filters={"AND": [{"user_id": "alice"}, {"metadata": {"topic": "food"}}]})
    left = await client.get_all(filters={"user_id": "alice"})
    assert ["tea"] == [one["memory"] for one in left["results"]]


async def test_delete_all_of_somebody_unknown_does_not_fail(client: Any) -> None:
    assert "message" in await client.delete_all(user_id="nobody")


async def test_history_tells_every_change(client: Any) -> None:
    (memory_id,) = await _stored(client, "tea", user_id="alice")
    await client.update(memory_id, text="green tea")

    first, second = await client.history(memory_id)
    assert ("ADD", None, "tea") == (first["event"], first["old_memory"], first["new_memory"])
    assert ("UPDATE", "tea", "green tea") == (second["event"], second["old_memory"], second["new_memory"])
    assert {"created_at", "updated_at", "input", "user_id", "metadata"} <= set(first)


async def test_users_lists_every_kind_of_entity(client: Any) -> None:
    await _stored(client, "tea", user_id="alice", agent_id="butler", app_id="home", run_id="r1")

    found = await client.users()
    assert [("agent", "butler"), ("app", "home"), ("run", "r1"), ("user", "alice")] == sorted(
        (one["type"], one["name"]) for one in found["results"]
    )
    assert (4, 1) == (found["count"], found["total_users"])


async def test_delete_users_takes_one_entity(client: Any) -> None:
    await _stored(client, "tea", user_id="a/b c?".replace(" ", "_"))
    await _stored(client, "coffee", user_id="bob")

    await client.delete_users(user_id="a/b_c?")
    assert ["bob"] == [one["name"] for one in (await client.users())["results"]]


async def test_reset_takes_everything(client: Any) -> None:
    await _stored(client, "tea", user_id="alice", agent_id="butler")
    await _stored(client, "coffee", run_id="r1")

    await client.reset()
    assert 0 == (await client.users())["count"]


async def test_batches_change_and_delete(client: Any) -> None:
    one, two = await _stored(client, "tea", "coffee", user_id="alice")

    changed = await client.batch_update(
        [{"memory_id": one, "text": "green tea"}, {"memory_id": two, "metadata": {"k": 1}}]
    )
    assert "Successfully updated 2 memories" == changed["message"]
    assert "green tea" == (await client.get(one))["memory"]
    await client.batch_delete([{"memory_id": one}, {"memory_id": two}])
    assert 0 == (await client.get_all(filters={"user_id": "alice"}))["count"]


async def test_exports_hold_whole_memories(client: Any) -> None:
    (memory_id,) = await _stored(client, "tea", user_id="alice")

    made = await client.create_memory_export(schema="{}", filters={"user_id": "alice"})
    for wanted in ({"memory_export_id": made["id"]}, {"filters": {"user_id": "alice"}}, {"user_id": "alice"}):
        found = await client.get_memory_export(**wanted)
        assert [memory_id] == [one["id"] for one in found["memories"]]


async def test_feedback_is_kept(client: Any) -> None:
    (memory_id,) = await _stored(client, "tea", user_id="alice")

    kept = await client.feedback(memory_id, feedback="positive", feedback_reason="true")
    assert (memory_id, "POSITIVE", "true") == (kept["memory_id"], kept["feedback"], kept["feedback_reason"])
    assert (await client.feedback(memory_id))["feedback"] is None


async def test_the_project_can_be_read_and_changed(client: Any) -> None:
    await client.project.update(
        custom_instructions="Remember preferences.", custom_categories=[{"food": "what is eaten"}]
    )

    assert {"custom_instructions": "Remember preferences."} == await client.project.get(
        fields=["custom_instructions"]
    )
    await client.update_project(custom_instructions="Be brief.")
    assert (
        "Be brief."
        == (await client.get_project(fields=["custom_instructions", "custom_categories"]))[
            "custom_instructions"
        ]
    )


async def test_profiles_are_not_enabled(client: Any) -> None:
    assert "not_enabled" == (await client.get_profile("alice"))["status"]
    assert "not_enabled" == (await client.generate_profile("alice"))["status"]
    assert "not_enabled" == (await client.sample_profiles(limit=2))["status"]
    assert "not_enabled" == (await client.get_profile_job("some-job"))["job"]["status"]
    assert (await client.get_profile_settings())["enabled"] is False
    assert (await client.update_profile_settings(enabled=True))["enabled"] is False


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get_summary", {"filters": {"user_id": "alice"}}),
        ("get_webhooks", {"project_id": "test"}),
        (
            "create_webhook",
            {"url": "http://x", "name": "n", "project_id": "test", "event_types": ["memory_add"]},
        ),
        ("update_webhook", {"webhook_id": 1, "name": "n"}),
        ("delete_webhook", {"webhook_id": 1}),
        ("project.create", {"name": "n"}),
        ("project.delete", {}),
        ("project.get_members", {}),
        ("project.add_member", {"email": "a@b.example", "role": "READER"}),
        ("project.update_member", {"email": "a@b.example", "role": "OWNER"}),
        ("project.remove_member", {"email": "a@b.example"}),
    ],
)
async def test_what_only_the_hosted_platform_has_is_refused_in_words(
    client: Any, method: str, arguments: dict[str, Any]
) -> None:
    from mem0.exceptions import MemoryError as Refused

    target = client
    for name in method.split("."):
        target = getattr(target, name)
    with pytest.raises(Refused, match=r"memdeck|One daemon is one project") as refused:
        await target(**arguments)
    assert 501 == refused.value.debug_info["status_code"]
