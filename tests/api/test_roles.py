"""Who may enter, what each role may do, what pins hold back."""

from typing import Any

import pytest

from tests.api.serving import Api

SCOPE = {"filters": {"user_id": "workspace_7_user_9"}}
ADD: dict[str, Any] = {"messages": "tea", "user_id": "workspace_7_user_9", "infer": False}
PUBLIC = ["/health", "/health/live", "/health/ready", "/openapi.json", "/docs", "/auth/setup-status"]
READS: list[tuple[str, str, Any]] = [
    ("GET", "/v1/ping/", None),
    ("GET", "/memories?user_id=workspace_7_user_9", None),
    ("POST", "/search", {"query": "tea", **SCOPE}),
    ("POST", "/v3/memories/search/", {"query": "tea", **SCOPE}),
    ("POST", "/v3/memories/", SCOPE),
    ("GET", "/v1/entities/", None),
    ("GET", "/entities", None),
    ("GET", "/v1/events/", None),
    ("GET", "/configure", None),
    ("POST", "/v1/exports/", {"schema": {}, **SCOPE}),
    ("POST", "/v1/agents/builder/query_memory", {"query": "tea"}),
]
WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/memories", {"messages": [{"role": "user", "content": "x"}], "user_id": "a", "infer": False}),
    ("POST", "/v3/memories/add/", ADD),
    ("POST", "/v1/memories/", ADD),
    ("DELETE", "/v1/memories/?user_id=nobody", None),
    ("DELETE", "/v2/entities/user/nobody/", None),
    ("POST", "/v1/agents/builder/store_memory", {"content": "x"}),
]
ADMIN: list[tuple[str, str, Any]] = [
    ("GET", "/memories", None),
    ("DELETE", "/memories?user_id=nobody", None),
    ("DELETE", "/entities/user/nobody", None),
    ("POST", "/reset", None),
    ("GET", "/requests", None),
    ("GET", "/api-keys", None),
    ("GET", "/ops/keys", None),
    ("POST", "/ops/keys", {"label": "x"}),
    ("PATCH", "/api/v1/orgs/organizations/memdeck/projects/test/", {"multilingual": True}),
    ("DELETE", "/v1/memories/?user_id=*", None),
    ("POST", "/v3/memories/search/", {"query": "tea", "filters": {"user_id": "*"}}),
]
BARE = str.maketrans("", "", "{}")
MAY = {
    "admin": (True, True, True),
    "operator": (True, False, False),
    "agent": (True, True, False),
    "standard": (True, True, False),
    "read": (True, False, False),
}


@pytest.mark.parametrize("role", MAY)
async def test_each_role_may_do_what_its_row_says(api: Api, role: str) -> None:
    key = await api.key(role=role)
    for allowed, calls in zip(MAY[role], (READS, WRITES, ADMIN), strict=True):
        for method, path, body in calls:
            answer = await api.call(method, path, body, key=key)
            assert allowed is (answer.status < 300), (method, path, answer.status, answer.body)
            assert allowed or (403, True) == (answer.status, answer.code in {"forbidden", "admin_required"})


@pytest.mark.parametrize(
    ("role", "status"), [("admin", 200), ("operator", 200), ("agent", 403), ("read", 403)]
)
async def test_the_feed_is_for_operators_and_administrators(api: Api, role: str, status: int) -> None:
    key = await api.key(role=role)
    async with api.session.get(api.url + "/ops/feed", headers={"X-API-Key": key}) as answer:
        assert status == answer.status


@pytest.mark.parametrize("path", PUBLIC)
async def test_some_addresses_need_no_key(api: Api, path: str) -> None:
    assert 200 == (await api.call("GET", path, key="")).status


async def test_every_other_address_needs_one(api: Api) -> None:
    document = (await api.call("GET", "/openapi.json")).body
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation["security"]:
                answer = await api.call(
                    method.upper(), path.replace("{kind}", "user").translate(BARE), key=""
                )
                assert 401 == answer.status, (method, path)


async def test_refusals_without_and_with_a_wrong_key_use_mem0s_sentences(api: Api) -> None:
    none, wrong = [await api.call("GET", "/v1/ping/", key=key) for key in ("", "m0sk_wrong")]

    assert (401, "Authentication required. Provide a Bearer token or X-API-Key header.") == (
        none.status,
        none.detail,
    )
    assert (401, "Invalid API key.", "unauthenticated") == (wrong.status, wrong.detail, wrong.code)
    assert "Bearer" == wrong.headers["WWW-Authenticate"]


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "token", "BEARER"])
async def test_keys_are_taken_from_the_authorization_header_too(api: Api, scheme: str) -> None:
    answer = await api.call("GET", "/v1/ping/", key="", headers={"Authorization": f"{scheme} {api.admin}"})
    assert 200 == answer.status


async def test_other_schemes_are_no_key(api: Api) -> None:
    answer = await api.call("GET", "/v1/ping/", key="", headers={"Authorization": f"Basic {api.admin}"})
    assert 401 == answer.status


# --- pins -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def pinned(api: Api) -> str:
    return await api.key(role="agent", users=["workspace_7_*"])


async def test_a_pinned_key_works_within_its_pin(api: Api, pinned: str) -> None:
    memory_id = await api.add("tea", key=pinned, user_id="workspace_7_user_9")

    assert 200 == (await api.call("GET", f"/v1/memories/{memory_id}/", key=pinned)).status
    found = await api.call("POST", "/search", {"query": "tea", **SCOPE}, key=pinned)
    assert [memory_id] == [hit["id"] for hit in found.body["results"]]


@pytest.mark.parametrize(
    "filters",
    [
        {"user_id": "workspace_8_user_9"},
        {"user_id": "workspace_7"},
        {"OR": [{"user_id": "workspace_7_user_9"}, {"user_id": "bob"}]},
        {"OR": [{"user_id": "workspace_7_user_9"}, {"agent_id": "butler"}]},
        {"user_id": {"in": ["workspace_7_user_9", "bob"]}},
        {"agent_id": "butler"},
        {"NOT": [{"user_id": "workspace_7_user_9"}], "agent_id": "butler"},
        {"AND": [{"user_id": {"ne": "workspace_7_user_9"}}, {"agent_id": "butler"}]},
        {"user_id": "*"},
    ],
)
async def test_outside_its_pin_a_key_is_forbidden_by_scope(
    api: Api, pinned: str, filters: dict[str, Any]
) -> None:
    await api.add("tea", user_id="bob", agent_id="butler")
    calls = [
        ("POST", "/search", {"query": "tea", "filters": filters}),
        ("POST", "/v3/memories/", {"filters": filters}),
        ("POST", "/v1/memories/search/", {"query": "tea", "filters": filters}),
        ("POST", "/v1/exports/", {"schema": {}, "filters": filters}),
        ("POST", "/v1/exports/get/", {"filters": filters}),
        ("DELETE", f"/v1/memories/?filters={filters}", None),
    ]
    for method, path, body in calls:
        answer = await api.call(method, path, body, key=pinned)
        assert 403 == answer.status, (path, answer.body)
    assert 1 == (await api.call("POST", "/v3/memories/", {"filters": {"user_id": "bob"}})).body["count"]


async def test_outside_its_pin_a_key_finds_nothing_by_id(api: Api, pinned: str) -> None:
    theirs = await api.add("secret", user_id="bob")
    own = await api.add("tea", key=pinned, user_id="workspace_7_a")
    for method, path, body in (
        ("GET", f"/memories/{theirs}", None),
        ("PUT", f"/memories/{theirs}", {"text": "x"}),
        ("DELETE", f"/memories/{theirs}", None),
        ("GET", f"/memories/{theirs}/history", None),
        ("GET", f"/v1/memories/{theirs}/", None),
        ("PUT", f"/v1/memories/{theirs}/", {"text": "x"}),
        ("DELETE", f"/v1/memories/{theirs}/", None),
        ("GET", f"/v1/memories/{theirs}/history/", None),
        ("POST", f"/v1/memories/{theirs}/undo", None),
        ("POST", "/v1/feedback/", {"memory_id": theirs}),
        (
            "PUT",
            "/v1/batch/",
            {"memories": [{"memory_id": own, "text": "x"}, {"memory_id": theirs, "text": "x"}]},
        ),
        ("DELETE", "/v1/batch/", {"memories": [{"memory_id": own}, {"memory_id": theirs}]}),
    ):
        answer = await api.call(method, path, body, key=pinned)
        assert 404 == answer.status, (method, path, answer.body)
    assert "secret" == (await api.call("GET", f"/v1/memories/{theirs}/")).body["memory"]
    assert "tea" == (await api.call("GET", f"/v1/memories/{own}/")).body["memory"]


async def test_a_pinned_key_stores_and_deletes_within_its_pin_only(api: Api, pinned: str) -> None:
    await api.add("tea", user_id="bob", run_id="r1")
    for method, path, body in (
        ("POST", "/v3/memories/add/", {"messages": "x", "user_id": "bob"}),
        ("POST", "/v3/memories/add/", {"messages": "x", "run_id": "r1"}),
        ("POST", "/memories", {"messages": [{"role": "user", "content": "x"}], "user_id": "bob"}),
        ("DELETE", "/v1/memories/?user_id=bob", None),
        ("DELETE", "/v1/memories/?run_id=r1", None),
        ("DELETE", "/v2/entities/run/r1/", None),
        ("POST", "/v1/agents/butler/store_memory", {"content": "x"}),
        ("POST", "/v1/agents/butler/query_memory", {"query": "x"}),
    ):
        answer = await api.call(method, path, body, key=pinned)
        assert 403 == answer.status, (method, path, answer.body)
    assert 1 == (await api.call("GET", "/v1/stats/")).body["total_memories"]


async def test_a_pinned_key_sees_only_its_own_names_and_events(api: Api, pinned: str) -> None:
    await api.add("tea", user_id="bob")
    event = (await api.call("GET", "/v1/events/")).body["results"][0]["id"]

    assert [] == (await api.call("GET", "/entities", key=pinned)).body
    assert 0 == (await api.call("GET", "/v1/events/", key=pinned)).body["count"]
    assert 404 == (await api.call("GET", f"/v1/event/{event}/", key=pinned)).status
    assert 404 == (await api.call("POST", f"/v1/events/{event}/undo", key=pinned)).status


async def test_a_pinned_administrator_does_not_administer_keys(api: Api) -> None:
    """It could make itself one without pins."""
    key = await api.key(role="admin", users=["workspace_7_*"])
    victim = (await api.call("POST", "/ops/keys", {"label": "victim"})).body["id"]
    for method, path, body in (
        ("GET", "/ops/keys", None),
        ("POST", "/ops/keys", {"label": "free", "role": "admin"}),
        ("DELETE", f"/ops/keys/{victim}", None),
        ("GET", "/api-keys", None),
        ("POST", "/api-keys", {"label": "free"}),
        ("DELETE", f"/api-keys/{victim}", None),
    ):
        answer = await api.call(method, path, body, key=key)
        assert (403, "forbidden") == (answer.status, answer.code), (method, path)
    assert 200 == (await api.call("DELETE", "/memories?user_id=workspace_7_a", key=key)).status


async def test_with_both_pins_both_must_match(api: Api) -> None:
    key = await api.key(role="agent", users=["alice"], agents=["butler_*"])
    await api.add("tea", key=key, user_id="alice", agent_id="butler_1")

    assert 403 == (await api.call("POST", "/v3/memories/", {"filters": {"user_id": "alice"}}, key=key)).status
    both = {"filters": {"user_id": "alice", "agent_id": "butler_1"}}
    assert 1 == (await api.call("POST", "/v3/memories/", both, key=key)).body["count"]
