"""The platform dialect where mem0's clients do not go: command line, TypeScript, integrations, older addresses."""

from typing import Any

import pytest

from tests.api.serving import Api

UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def test_validation_is_400_with_a_sentence(api: Api) -> None:
    answer = await api.call(
        "POST", "/v3/memories/search/", {"query": "x", "filters": {"user_id": "a"}, "top_k": "many"}
    )
    assert (400, "bad_field") == (answer.status, answer.code)
    assert "top_k: Expected" in answer.detail


@pytest.mark.parametrize(
    "messages",
    [
        "I like tea",
        {"role": "user", "content": "I like tea"},
        ["I like tea"],
        [{"content": {"type": "text", "text": "I like tea"}}],
    ],
)
async def test_messages_may_be_text_an_object_or_a_list(api: Api, messages: Any) -> None:
    answer = await api.call(
        "POST", "/v3/memories/add/", {"messages": messages, "user_id": "a", "infer": False}
    )
    assert ["I like tea"] == [item["memory"] for item in answer.body["results"]]


@pytest.mark.parametrize("messages", [[], "", "  ", [{"role": "system", "content": "x"}], [{"role": "user"}]])
async def test_nothing_to_store_is_refused(api: Api, messages: Any) -> None:
    answer = await api.call("POST", "/v3/memories/add/", {"messages": messages, "user_id": "a"})
    assert 400 == answer.status


async def test_what_was_passed_over_is_told(api: Api) -> None:
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": "tea"}]
    answer = await api.call(
        "POST", "/v3/memories/add/", {"messages": messages, "user_id": "a", "infer": False}
    )

    assert {("x", "NONE"), ("tea", "ADD")} == {
        (item["memory"], item["event"]) for item in answer.body["results"]
    }
    assert "1 without text or from the system was passed over." in answer.body["message"]


async def test_the_same_text_again_is_stored_and_named_a_duplicate(api: Api) -> None:
    first = await api.add("tea", user_id="alice")
    body = {"messages": "tea", "user_id": "alice", "infer": False}
    (item,) = (await api.call("POST", "/v3/memories/add/", body)).body["results"]

    assert first == item["duplicate_of"]
    assert first != item["id"]


async def test_an_idempotency_key_stores_once(api: Api) -> None:
    body = {"messages": "tea", "user_id": "alice", "infer": False}
    key = {"Idempotency-Key": "abc"}
    first, again = [await api.call("POST", "/v3/memories/add/", body, headers=key) for _ in range(2)]
    other = await api.call("POST", "/v3/memories/add/", body | {"messages": "coffee"}, headers=key)

    assert first.body["event_id"] == again.body["event_id"]
    assert (409, "conflict") == (other.status, other.code)
    assert (
        400
        == (await api.call("POST", "/v3/memories/add/", body, headers={"Idempotency-Key": "x" * 300})).status
    )


@pytest.mark.parametrize(
    ("timestamp", "stored"),
    [
        (1_700_000_000, "2023-11-14T22:13:20.000000+00:00"),
        (1_700_000_000.5, "2023-11-14T22:13:20.500000+00:00"),
        ("2023-11-14T23:13:20+01:00", "2023-11-14T22:13:20.000000+00:00"),
        ("2023-11-14", "2023-11-14T00:00:00.000000+00:00"),
    ],
)
async def test_the_time_of_a_message_becomes_created_at(api: Api, timestamp: Any, stored: str) -> None:
    memory_id = await api.add("tea", user_id="alice", timestamp=timestamp)
    assert stored == (await api.call("GET", f"/v1/memories/{memory_id}/")).body["created_at"]


@pytest.mark.parametrize("timestamp", [10**400, -(10**20), "yesterday", 1e300, ""])
async def test_a_time_that_is_none_is_refused(api: Api, timestamp: Any) -> None:
    body = {"messages": "tea", "user_id": "a", "timestamp": timestamp}
    assert 400 == (await api.call("POST", "/v3/memories/add/", body)).status


@pytest.mark.parametrize(
    "filters",
    [
        {"OR": [{"user_id": "a"}, {"user_id": "b"}]},
        {"user_id": {"in": ["a", "b"]}},
        {"AND": ["x"]},
        {"user_id": "*"},
    ],
)
async def test_an_add_names_one_scope(api: Api, filters: Any) -> None:
    body = {"messages": "tea", "filters": filters}
    assert 400 == (await api.call("POST", "/v3/memories/add/", body)).status


async def test_identifiers_that_contradict_each_other_are_refused(api: Api) -> None:
    body = {"messages": "tea", "user_id": "a", "filters": {"AND": [{"user_id": "b"}]}}
    assert 400 == (await api.call("POST", "/v3/memories/add/", body)).status


async def test_lists_and_searches_narrow_by_categories_metadata_and_fields(api: Api) -> None:
    await api.add("tea", user_id="alice", categories=["drinks"], metadata={"hot": True})
    await api.add("bread", user_id="alice", categories=["food"])
    scope = {"filters": {"user_id": "alice"}}

    drinks = await api.call("POST", "/v3/memories/", scope | {"categories": ["drinks"], "fields": ["memory"]})
    assert [{"id", "memory"}] == [set(row) for row in drinks.body["results"]]
    hot = await api.call("POST", "/v3/memories/", scope | {"metadata": {"hot": True}})
    assert ["tea"] == [row["memory"] for row in hot.body["results"]]
    found = await api.call(
        "POST", "/v3/memories/search/", scope | {"query": "bread tea", "categories": ["food"]}
    )
    assert ["bread"] == [row["memory"] for row in found.body["results"]]


async def test_limit_is_another_name_for_top_k(api: Api) -> None:
    for text in ("tea one", "tea two"):
        await api.add(text, user_id="alice")
    body = {"query": "tea", "filters": {"user_id": "alice"}, "limit": 1}
    assert 1 == len((await api.call("POST", "/v3/memories/search/", body)).body["results"])


async def test_an_explained_search_tells_parts_stages_and_total(api: Api) -> None:
    await api.add("tea", user_id="alice")
    body = {"query": "tea", "filters": {"user_id": "alice"}, "explain": True}
    answer = (await api.call("POST", "/v3/memories/search/", body)).body

    details = answer["results"][0]["score_details"]
    assert answer["results"][0]["score"] == pytest.approx(sum(part["part"] for part in details["parts"]))
    assert 1 == answer["total"]
    assert {"name", "begin_ms", "milliseconds", "parallel"} == set(answer["stages"][0])


async def test_pages_end(api: Api) -> None:
    for number in range(3):
        await api.add(f"fact {number}", user_id="alice")
    last = await api.call("POST", "/v3/memories/?page=2&page_size=2", {"filters": {"user_id": "alice"}})

    assert (3, 1, None) == (last.body["count"], len(last.body["results"]), last.body["next"])
    assert last.body["previous"] == f"{api.url}/v3/memories/?page=1&page_size=2"
    for bad in ("page=0", "page_size=201", "page=x", "page=1&page=2"):
        assert (
            400 == (await api.call("POST", f"/v3/memories/?{bad}", {"filters": {"user_id": "alice"}})).status
        )


@pytest.mark.parametrize(
    "query",
    [
        "",
        "filters={}",
        "filters={'user_id':",
        "filters=__import__('os')",
        "filters=[1]",
        "filters={'user_id': {'near': 1}}",
        "filters={'topic': 'food'}",
        "user_id=alice&metadata={'a': 1}",
        "user_id=alice&user_id=bob",
        "user_id=",
        "filters=" + "{'AND': [" * 400,
    ],
)
async def test_a_deletion_that_cannot_be_read_deletes_nothing(api: Api, query: str) -> None:
    await api.add("tea", user_id="alice")
    answer = await api.call("DELETE", f"/v1/memories/?{query}")

    assert 400 == answer.status, answer.body
    assert 1 == (await api.call("POST", "/v3/memories/", {"filters": {"user_id": "alice"}})).body["count"]


async def test_a_star_for_every_kind_is_everything_and_administrators_only(api: Api) -> None:
    """So mem0's command line asks for it: `delete --all`."""
    await api.add("tea", user_id="alice")
    await api.add("coffee", run_id="r1")
    path = "/v1/memories/?user_id=*&agent_id=*&app_id=*&run_id=*&source=CLI"
    plain = await api.key(role="agent")

    assert 403 == (await api.call("DELETE", path, key=plain)).status
    assert 2 == (await api.call("DELETE", path)).body["count"]


async def test_events_tell_what_became_of_writes(api: Api) -> None:
    before = (await api.call("GET", "/v1/events/")).body["count"]
    memory_id = await api.add("tea", user_id="alice")
    await api.call("DELETE", f"/v1/memories/{memory_id}/")

    page = (await api.call("GET", "/v1/events/?page_size=1")).body
    (newest,) = page["results"]
    assert (before + 2, "DELETE", "SUCCEEDED") == (page["count"], newest["event_type"], newest["status"])
    assert 404 == (await api.call("GET", f"/v1/event/{UNKNOWN}/")).status
    assert 400 == (await api.call("GET", "/v1/event/nonsense/")).status


async def test_a_batch_is_all_or_nothing(api: Api) -> None:
    memory_id = await api.add("tea", user_id="alice")
    items = [{"memory_id": memory_id, "text": "x"}, {"memory_id": UNKNOWN, "text": "x"}]

    assert 404 == (await api.call("PUT", "/v1/batch/", {"memories": items})).status
    assert "tea" == (await api.call("GET", f"/v1/memories/{memory_id}/")).body["memory"]
    for bad in (
        [],
        [{"memory_id": memory_id}],
        [{"memory_id": "x", "text": "y"}],
        [{"text": "y"}],
        items * 501,
    ):
        assert 400 == (await api.call("PUT", "/v1/batch/", {"memories": bad})).status


async def test_an_immutable_memory_is_not_changed(api: Api) -> None:
    memory_id = await api.add("tea", user_id="alice", immutable=True)
    assert 409 == (await api.call("PUT", f"/v1/memories/{memory_id}/", {"text": "coffee"})).status


async def test_feedback_is_one_of_three_words(api: Api) -> None:
    memory_id = await api.add("tea", user_id="alice")
    answer = await api.call("POST", "/v1/feedback/", {"memory_id": memory_id, "feedback": "GREAT"})
    assert (400, "bad_request") == (answer.status, answer.code)


async def test_another_project_is_not_here(api: Api) -> None:
    assert 404 == (await api.call("GET", "/api/v1/orgs/organizations/memdeck/projects/other/")).status
    assert 400 == (await api.call("PATCH", "/api/v1/orgs/organizations/memdeck/projects/test/", {})).status


async def test_stats_count(api: Api) -> None:
    await api.add("tea", user_id="alice", agent_id="butler")
    plain = await api.key(role="read")

    stats = (await api.call("GET", "/v1/stats/")).body
    assert (1, 1, 1) == (stats["total_memories"], stats["total_users"], stats["total_agents"])
    assert (await api.call("GET", "/v1/stats/", key=plain)).body["total_memories"] is None


class TestOlderAddresses:
    async def test_adds_answer_with_a_list_or_wrapped(self, api: Api) -> None:
        body = {"messages": "tea", "user_id": "alice", "infer": False}
        plain = await api.call("POST", "/v1/memories/", body)
        wrapped = await api.call("POST", "/v1/memories/", body | {"output_format": "v1.1"})
        assert ["tea"] == [item["data"]["memory"] for item in plain.body]
        assert ["tea"] == [item["memory"] for item in wrapped.body["results"]]

    @pytest.mark.parametrize("version", ["v1", "v2"])
    async def test_searches_answer_with_a_list_or_wrapped(self, api: Api, version: str) -> None:
        await api.add("tea", user_id="alice")
        body = {"query": "tea", "user_id": "alice"}
        plain = await api.call("POST", f"/{version}/memories/search/", body)
        wrapped = await api.call("POST", f"/{version}/memories/search/", body | {"output_format": "v1.1"})
        assert ["tea"] == [item["memory"] for item in plain.body]
        assert plain.body == wrapped.body["results"]

    async def test_lists_are_lists_until_a_page_is_asked_for(self, api: Api) -> None:
        await api.add("tea", user_id="alice")
        for method, path, body in (
            ("GET", "/v1/memories/?user_id=alice", None),
            ("POST", "/v2/memories/", {"filters": {"user_id": "alice"}}),
            ("GET", "/v1/memories/user/alice/", None),
        ):
            plain = await api.call(method, path, body)
            paged = await api.call(method, path + ("&" if "?" in path else "?") + "page=1", body)
            assert ["tea"] == [item["memory"] for item in plain.body]
            assert (1, plain.body) == (paged.body["count"], paged.body["results"])

    async def test_an_entity_is_deleted_under_its_old_address(self, api: Api) -> None:
        await api.add("tea", user_id="alice")
        assert 1 == (await api.call("DELETE", "/v1/entities/user/alice/")).body["count"]
        assert 400 == (await api.call("DELETE", "/v1/entities/planet/mars/")).status


class TestNativeRoutes:
    async def test_what_an_agent_stores_it_finds(self, api: Api) -> None:
        body = {"content": "The key rotates on Mondays", "user_id": "ops", "run_id": "r1"}
        stored = await api.call("POST", "/v1/agents/builder/store_memory", body)
        await api.call(
            "POST", "/v1/agents/other/store_memory", {"messages": [{"content": "Mondays are long"}]}
        )

        assert "SUCCEEDED" == stored.body["status"]
        found = await api.call("POST", "/v1/agents/builder/query_memory", {"query": "Mondays", "limit": 5})
        (hit,) = found.body["results"]
        assert ("builder", "ops", "r1") == (hit["agent_id"], hit["user_id"], hit["run_id"])

    async def test_either_content_or_messages(self, api: Api) -> None:
        for body in ({}, {"content": "a", "messages": "b"}):
            assert 400 == (await api.call("POST", "/v1/agents/builder/store_memory", body)).status

    async def test_an_agent_cannot_filter_itself_away(self, api: Api) -> None:
        await api.add("Mondays are long", agent_id="other")
        body = {"query": "Mondays", "filters": {"agent_id": "other"}}
        assert [] == (await api.call("POST", "/v1/agents/builder/query_memory", body)).body["results"]

    async def test_a_change_and_a_deletion_are_undone(self, api: Api) -> None:
        memory_id = await api.add("tea", user_id="alice")
        await api.call("PUT", f"/v1/memories/{memory_id}/", {"text": "coffee"})
        undone = await api.call("POST", f"/v1/memories/{memory_id}/undo")
        assert "tea" == undone.body["memory"]["memory"]

        gone = (await api.call("DELETE", "/v1/memories/?user_id=alice")).body["event_id"]
        assert 404 == (await api.call("GET", f"/v1/memories/{memory_id}/")).status
        assert 1 == (await api.call("POST", f"/v1/events/{gone}/undo")).body["count"]
        assert 200 == (await api.call("GET", f"/v1/memories/{memory_id}/")).status
        again = await api.call("POST", f"/v1/events/{gone}/undo")
        assert (410, "undo_expired") == (again.status, again.code)
