"""mem0's self-hosted dialect: addresses, sentences and shapes of its own server, with its bugs mended."""

from typing import Any

import pytest

from tests.api.serving import Api

UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def _add(api: Api, *texts: str, **fields: Any) -> list[str]:
    messages = [{"role": "user", "content": text} for text in texts]
    answer = await api.call("POST", "/memories", {"messages": messages, "infer": False, **fields})
    assert 200 == answer.status, answer.body
    return [item["id"] for item in answer.body["results"]]


async def test_add_stores_one_memory_per_message_and_passes_over_the_system(api: Api) -> None:
    messages = [
        {"role": "system", "content": "You are kind."},
        {"role": "user", "content": "I like tea", "name": "alice"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Noted"}, {"type": "image_url", "image_url": {}}],
        },
    ]
    answer = await api.call("POST", "/memories", {"messages": messages, "user_id": "alice", "infer": False})

    first, second = answer.body["results"]
    assert {"memory": "I like tea", "event": "ADD", "actor_id": "alice", "role": "user"} == {
        name: first[name] for name in ("memory", "event", "actor_id", "role")
    }
    assert ("Noted", None, "assistant") == (second["memory"], second["actor_id"], second["role"])


async def test_add_with_inference_stores_the_messages_and_says_so(api: Api) -> None:
    body = {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "alice"}
    answer = await api.call("POST", "/memories", body)

    assert [{"id", "memory", "event"}] == [set(item) for item in answer.body["results"]]
    assert "No LLM is configured" in answer.body["message"]


async def test_only_system_messages_store_nothing(api: Api) -> None:
    body = {"messages": [{"role": "system", "content": "x"}], "user_id": "alice", "infer": False}
    assert [] == (await api.call("POST", "/memories", body)).body["results"]


async def test_one_memory_shows_only_what_it_has(api: Api) -> None:
    (memory_id,) = await _add(
        api,
        "tea",
        user_id="alice",
        metadata={"topic": "drinks", "user_id": "mallory"},
        expiration_date="2099-01-31",
    )
    found = (await api.call("GET", f"/memories/{memory_id}")).body

    assert {
        "id", "memory", "hash", "metadata", "score", "created_at", "updated_at", "user_id", "role", "expiration_date",
    } == set(found)  # fmt: skip
    assert ({"topic": "drinks"}, None, "alice") == (found["metadata"], found["score"], found["user_id"])
    assert found["created_at"].endswith("+00:00")
    assert len("2026-11-20T09:30:00.123456+00:00") == len(found["created_at"])


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_no_uuid_is_400_and_an_absent_memory_404(api: Api, method: str) -> None:
    body = {"text": "x"} if method == "PUT" else None
    bad, absent = [await api.call(method, f"/memories/{one}", body) for one in ("nonsense", UNKNOWN)]

    assert (400, "bad_identifier") == (bad.status, bad.code)
    assert (404, "memory_not_found") == (absent.status, absent.code)
    assert UNKNOWN in absent.detail


async def test_history_of_the_unknown_is_404(api: Api) -> None:
    assert 404 == (await api.call("GET", f"/memories/{UNKNOWN}/history")).status


async def test_history_rows_have_mem0s_columns(api: Api) -> None:
    (memory_id,) = await _add(api, "tea", user_id="alice")
    await api.call("PUT", f"/memories/{memory_id}", {"text": "green tea"})
    await api.call("DELETE", f"/memories/{memory_id}")

    rows = (await api.call("GET", f"/memories/{memory_id}/history")).body
    assert ["ADD", "UPDATE", "DELETE"] == [row["event"] for row in rows]
    assert [False, False, True] == [row["is_deleted"] for row in rows]
    assert {
        "id", "memory_id", "old_memory", "new_memory", "event", "created_at", "updated_at", "is_deleted", "actor_id", "role",
    } == set(rows[0])  # fmt: skip


async def test_update_merges_metadata_and_clears_an_expiry_with_null(api: Api) -> None:
    (memory_id,) = await _add(api, "tea", user_id="alice", metadata={"a": 1}, expiration_date="2099-01-31")
    answer = await api.call("PUT", f"/memories/{memory_id}", {"metadata": {"b": 2}, "expiration_date": None})

    assert {"message": "Memory updated successfully!"} == answer.body
    found = (await api.call("GET", f"/memories/{memory_id}")).body
    assert {"a": 1, "b": 2} == found["metadata"]
    assert "expiration_date" not in found


async def test_an_update_of_nothing_is_refused(api: Api) -> None:
    (memory_id,) = await _add(api, "tea", user_id="alice")
    answer = await api.call("PUT", f"/memories/{memory_id}", {"unknown": 1})
    assert (400, "At least one of text, metadata, or expiration_date must be provided.") == (
        answer.status,
        answer.detail,
    )


async def test_lists_are_newest_first_and_obey_top_k(api: Api) -> None:
    ids = [(await _add(api, f"fact {n}", user_id="alice"))[0] for n in range(3)]

    answer = await api.call("GET", "/memories?user_id=alice&top_k=2")
    assert ids[:0:-1] == [row["id"] for row in answer.body["results"]]
    assert "score" not in answer.body["results"][0]
    assert [] == (await api.call("GET", "/memories?user_id=alice&top_k=0")).body["results"]


async def test_expired_memories_are_hidden_unless_asked_for(api: Api) -> None:
    await _add(api, "old news", user_id="alice", expiration_date="2020-01-01")

    assert [] == (await api.call("GET", "/memories?user_id=alice")).body["results"]
    assert 1 == len((await api.call("GET", "/memories?user_id=alice&show_expired=true")).body["results"])


async def test_everything_is_listed_for_administrators_only(api: Api) -> None:
    await _add(api, "tea", user_id="alice", expiration_date="2020-01-01")
    plain = await api.key(role="agent")

    (row,) = (await api.call("GET", "/memories")).body["results"]
    assert ("alice", None, {"role": "user"}) == (row["user_id"], row["agent_id"], row["metadata"])
    refused = await api.call("GET", "/memories", key=plain)
    assert (403, "Admin role required.") == (refused.status, refused.detail)


async def test_identifiers_are_required(api: Api) -> None:
    add = await api.call("POST", "/memories", {"messages": [{"role": "user", "content": "x"}]})
    delete = await api.call("DELETE", "/memories")

    assert (400, "At least one identifier (user_id, agent_id, run_id) is required.") == (
        add.status,
        add.detail,
    )
    assert (400, "At least one identifier is required.") == (delete.status, delete.detail)


async def test_an_unknown_field_never_widens_a_deletion(api: Api) -> None:
    await _add(api, "tea", user_id="alice")
    answer = await api.call("DELETE", "/memories?user_id=alice&topic=food")

    assert 422 == answer.status
    assert 1 == len((await api.call("GET", "/memories?user_id=alice")).body["results"])


async def test_deleting_a_scope_takes_what_carries_all_identifiers(api: Api) -> None:
    await _add(api, "one", user_id="alice")
    await _add(api, "two", user_id="alice", run_id="r1")

    answer = await api.call("DELETE", "/memories?user_id=alice&run_id=r1")
    assert "All relevant memories deleted" == answer.body["message"]
    left = await api.call("GET", "/memories?user_id=alice")
    assert ["one"] == [row["memory"] for row in left.body["results"]]


async def test_search_explains_itself_when_asked(api: Api) -> None:
    await _add(api, "tea is good", user_id="alice")
    body = {"query": "tea", "filters": {"user_id": "alice"}}

    (plain,) = (await api.call("POST", "/search", body)).body["results"]
    (explained,) = (await api.call("POST", "/search", body | {"explain": "yes"})).body["results"]
    assert "score_details" not in plain
    assert {
        "semantic_score", "bm25_score", "entity_boost", "raw_score", "max_possible_score", "final_score", "threshold",
    } <= set(explained["score_details"])  # fmt: skip


async def test_identifiers_beside_the_filters_override_them(api: Api) -> None:
    await _add(api, "tea", user_id="alice")
    body = {"query": "tea", "filters": {"user_id": "bob"}, "user_id": "alice"}
    assert 1 == len((await api.call("POST", "/search", body)).body["results"])


async def test_identifiers_may_be_nested_in_filters(api: Api) -> None:
    await _add(api, "tea", user_id="alice")
    body = {"query": "tea", "filters": {"OR": [{"user_id": "alice"}, {"user_id": "bob"}]}}
    assert 1 == len((await api.call("POST", "/search", body)).body["results"])


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (
            {"query": "  ", "filters": {"user_id": "a"}},
            400,
            "Invalid query: cannot be empty or whitespace-only.",
        ),
        (
            {"query": "x", "filters": {"topic": "a"}},
            400,
            "filters must contain at least one of: user_id, agent_id, run_id. Example: filters={'user_id': 'u1'}",
        ),
        ({"query": "x", "filters": {"user_id": {"near": "a"}}}, 400, "unknown operator"),
        ({"query": "x", "user_id": "a", "filters": {"age": {"gt": None}}}, 400, "filters.age.gt"),
    ],
)
async def test_searches_that_cannot_be_understood_are_refused_in_words(
    api: Api, body: dict[str, Any], status: int, sentence: str
) -> None:
    answer = await api.call("POST", "/search", body)
    assert status == answer.status
    assert sentence in answer.detail


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({"messages": "a bare string", "user_id": "a"}, ["body", "messages"]),
        ({"user_id": "a"}, ["body", "messages"]),
        ({"messages": [{"content": "x"}], "user_id": "a"}, ["body", "messages", 0, "role"]),
        ({"messages": [{"role": "user", "content": 5}], "user_id": "a"}, ["body", "messages", 0, "content"]),
        ({"messages": [], "user_id": {"a": 1}}, ["body", "user_id"]),
        ({"messages": [], "user_id": "a", "infer": "perhaps"}, ["body", "infer"]),
    ],
)
async def test_fields_of_the_wrong_type_are_422_with_a_list(
    api: Api, body: dict[str, Any], location: list[Any]
) -> None:
    answer = await api.call("POST", "/memories", body)

    (problem,) = answer.detail
    assert (422, "bad_field", location) == (answer.status, answer.code, problem["loc"])
    assert {"type", "loc", "msg", "input"} == set(problem)


@pytest.mark.parametrize("top_k", ["x", "1.5", "1001", "-1"])
async def test_top_k_out_of_range_is_422(api: Api, top_k: str) -> None:
    assert 422 == (await api.call("GET", f"/memories?user_id=a&top_k={top_k}")).status


@pytest.mark.parametrize(
    "fields",
    [
        {"expiration_date": "31.01.2099"},
        {"expiration_date": "2099-02-30"},
        {"user_id": "white space"},
        {"user_id": "  "},
        {"user_id": "*"},
        {"memory_type": "episodic"},
        {"memory_type": "procedural_memory"},
    ],
)
async def test_values_that_make_no_sense_are_400(api: Api, fields: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "user_id": "a", **fields}
    assert 400 == (await api.call("POST", "/memories", body)).status


async def test_entities_are_listed_and_deleted(api: Api) -> None:
    await _add(api, "tea", user_id="alice", agent_id="butler")

    found = (await api.call("GET", "/entities")).body
    assert [("butler", "agent", 1), ("alice", "user", 1)] == [
        (one["id"], one["type"], one["total_memories"]) for one in found
    ]
    assert "Entity deleted" == (await api.call("DELETE", "/entities/agent/butler")).body["message"]
    assert [] == (await api.call("GET", "/entities")).body
    assert 422 == (await api.call("DELETE", "/entities/planet/mars")).status


async def test_reset_forgets_everything_and_can_be_undone(api: Api) -> None:
    await _add(api, "tea", user_id="alice")
    await _add(api, "coffee", run_id="r1")

    answer = await api.call("POST", "/reset")
    assert "All memories reset" == answer.body["message"]
    assert [] == (await api.call("GET", "/memories")).body["results"]
    await api.call("POST", f"/v1/events/{answer.body['event_id']}/undo")
    assert 2 == len((await api.call("GET", "/memories")).body["results"])


async def test_the_configuration_is_readable_and_cannot_be_changed(api: Api) -> None:
    assert "test" == (await api.call("GET", "/configure")).body["instance"]
    assert {"llm": [], "embedder": ["local"]} == (await api.call("GET", "/configure/providers")).body
    refused = await api.call("POST", "/configure", {"llm": {}})
    assert (501, "not_offered") == (refused.status, refused.code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/auth/register"),
        ("POST", "/auth/login"),
        ("POST", "/auth/refresh"),
        ("GET", "/auth/me"),
        ("PATCH", "/auth/me"),
        ("POST", "/auth/change-password"),
        ("POST", "/auth/onboarding-complete"),
        ("POST", "/generate-instructions"),
    ],
)
async def test_what_is_not_offered_says_so(api: Api, method: str, path: str) -> None:
    answer = await api.call(method, path, {})
    assert (501, "not_offered") == (answer.status, answer.code)
    assert "memdeck" in answer.detail


async def test_no_account_must_be_set_up(api: Api) -> None:
    assert {"needsSetup": False} == (await api.call("GET", "/auth/setup-status", key="")).body


async def test_the_last_requests_are_shown_newest_first(api: Api) -> None:
    await api.call("GET", "/memories?user_id=alice")
    await api.call("GET", "/memories/nonsense")
    await api.call("GET", "/health")

    newest, before = (await api.call("GET", "/requests?limit=2")).body
    assert ("/memories/nonsense", 400, "admin_api_key") == (
        newest["path"],
        newest["status_code"],
        newest["auth_type"],
    )
    assert ("/memories", "GET") == (before["path"], before["method"])


async def test_keys_are_made_and_revoked_under_their_old_address(api: Api) -> None:
    made = await api.call("POST", "/api-keys", {"label": "laptop"})
    assert 201 == made.status
    key = made.body["key"]
    assert ("m0sk_", 48, key[:12]) == (key[:5], len(key), made.body["key_prefix"])
    assert 200 == (await api.call("GET", "/v1/ping/", key=key)).status

    (listed,) = (await api.call("GET", "/api-keys")).body
    assert {"id", "label", "key_prefix", "created_at", "last_used_at"} == set(listed)
    assert 200 == (await api.call("DELETE", f"/api-keys/{listed['id']}")).status
    assert 400 == (await api.call("DELETE", f"/api-keys/{listed['id']}")).status
    assert 404 == (await api.call("DELETE", f"/api-keys/{UNKNOWN}")).status
    assert 401 == (await api.call("GET", "/v1/ping/", key=key)).status


@pytest.mark.parametrize("path", ["/memories/", "/search/", "/v1/ping", "/v3/memories", "/api/health"])
async def test_slashes_are_where_each_dialect_has_them(api: Api, path: str) -> None:
    assert 404 == (await api.call("GET", path)).status
