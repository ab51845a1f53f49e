"""Input that nobody should send: each is refused with a sentence, a code and a request id, and nothing is stored."""

import json
from typing import Any

import pytest

from tests.api.serving import Answer, Api

ADDRESSES: list[tuple[str, str]] = [
    ("POST", "/memories"),
    ("POST", "/search"),
    ("POST", "/v3/memories/add/"),
    ("POST", "/v3/memories/search/"),
    ("POST", "/v3/memories/"),
    ("PUT", "/v1/batch/"),
    ("DELETE", "/v1/batch/"),
    ("POST", "/v1/feedback/"),
    ("POST", "/v1/exports/"),
    ("POST", "/ops/keys"),
    ("POST", "/api-keys"),
    ("POST", "/v1/agents/builder/store_memory"),
    ("PUT", "/v1/memories/00000000-0000-4000-8000-000000000000/"),
]
BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b"   ",
    "not JSON": b"hello",
    "broken off": b'{"messages": "te',
    "trailing comma": b'{"messages": "tea",}',
    "two values": b"{} {}",
    "single quotes": b"{'messages': 'tea'}",
    "not UTF-8": b'{"messages": "\xff\xfe", "user_id": "a"}',
    "lone surrogate": b'{"messages": "\\ud800 tea", "query": "\\udc00", "user_id": "a", "label": "\\ud800"}',
    "raw NUL": b'{"messages": "a\x00b", "user_id": "a"}',
    "NaN": b'{"messages": "tea", "user_id": "a", "metadata": {"x": NaN}}',
    "deep list": b'{"metadata": {"x": ' + b"[" * 100 + b"]" * 100 + b"}}",
    "very deep": b'{"a":' * 100_000,
    "UTF-16": '{"messages": "tea"}'.encode("utf-16"),
}
SHAPES: list[Any] = [None, [], "text", 5, True]


def _is_refused(answer: Answer, status: int = 400) -> bool:
    assert status == answer.status, answer.body
    assert {"detail", "code", "request_id"} <= set(answer.body)
    assert "Traceback" not in str(answer.body)
    return True


@pytest.mark.parametrize("name", BODIES)
async def test_what_is_no_json_is_400_everywhere(api: Api, name: str) -> None:
    for method, path in ADDRESSES:
        answer = await api.call(method, path, raw=BODIES[name])
        assert _is_refused(answer)
        assert "malformed_json" == answer.code, (path, answer.body)
    assert 0 == (await api.call("GET", "/v1/entities/")).body["count"]


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5000, "NaN", "Infinity"])
async def test_numbers_that_no_json_has_are_refused(api: Api, number: str) -> None:
    raw = f'{{"messages": "tea", "content": "tea", "user_id": "a", "metadata": {{"x": {number}}}}}'.encode()
    for path in ("/v3/memories/add/", "/v1/memories/", "/v1/agents/b/store_memory"):
        answer = await api.call("POST", path, raw=raw)
        assert _is_refused(answer)
        assert "malformed_json" == answer.code


async def test_the_position_of_the_fault_is_told(api: Api) -> None:
    answer = await api.call("POST", "/search", raw=b'{"query": tea}')
    assert (10, True) == (answer.body["position"], "byte 10" in answer.detail)


@pytest.mark.parametrize("shape", SHAPES)
async def test_bodies_that_are_no_objects_are_refused_everywhere(api: Api, shape: Any) -> None:
    for method, path in ADDRESSES:
        status = 422 if path in {"/memories", "/search", "/api-keys"} else 400
        assert _is_refused(await api.call(method, path, raw=json.dumps(shape).encode()), status)


NUL = "te\x00a"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/memories", {"messages": [{"role": "user", "content": NUL}], "user_id": "a"}),
        ("POST", "/memories", {"messages": [{"role": "user", "content": "x", "name": NUL}], "user_id": "a"}),
        ("POST", "/v3/memories/add/", {"messages": NUL, "user_id": "a"}),
        ("POST", "/v3/memories/add/", {"messages": "x", "user_id": NUL}),
        ("POST", "/v3/memories/add/", {"messages": "x", "user_id": "a", "metadata": {NUL: 1}}),
        ("POST", "/v3/memories/add/", {"messages": "x", "user_id": "a", "metadata": {"k": [{"k": NUL}]}}),
        ("POST", "/v3/memories/add/", {"messages": "x", "user_id": "a", "categories": [NUL]}),
        ("POST", "/v3/memories/search/", {"query": NUL, "filters": {"user_id": "a"}}),
        ("POST", "/v3/memories/search/", {"query": "x", "filters": {"user_id": NUL}}),
        ("POST", "/search", {"query": "x", "filters": {"user_id": "a", NUL: 1}}),
        ("POST", "/v1/agents/b/store_memory", {"content": NUL}),
        ("POST", "/ops/keys", {"label": NUL}),
        ("GET", "/memories?user_id=te%00a", None),
        ("DELETE", "/v1/memories/?user_id=te%00a", None),
        ("DELETE", "/v1/memories/?filters={'user_id': 'te\\x00a'}", None),
        ("DELETE", "/v2/entities/user/te%00a/", None),
        ("POST", "/v1/agents/te%00a/store_memory", {"content": "x"}),
        ("GET", "/memories/te%00a", None),
    ],
)
async def test_nul_characters_are_refused_wherever_they_stand(
    api: Api, method: str, path: str, body: Any
) -> None:
    assert _is_refused(await api.call(method, path, body))


async def test_a_written_backslash_u0000_is_text_like_any_other(api: Api) -> None:
    memory_id = await api.add("the escape \\u0000 in JSON", user_id="a")
    assert (
        "the escape \\u0000 in JSON" == (await api.call("GET", f"/v1/memories/{memory_id}/")).body["memory"]
    )


async def test_text_beyond_what_one_memory_takes_is_refused(api: Api) -> None:
    large = "x" * 100_000
    for path, body in (
        ("/memories", {"messages": [{"role": "user", "content": large}], "user_id": "a", "infer": False}),
        ("/v3/memories/add/", {"messages": large, "user_id": "a"}),
        ("/v1/agents/b/store_memory", {"content": large}),
    ):
        answer = await api.call("POST", path, body)
        assert _is_refused(answer)
        assert ("memory_too_large", 65536) == (answer.code, answer.body["limit"])
        assert "MEMDECK_MAX_MEMORY_BYTES" in answer.detail
    assert 0 == (await api.call("GET", "/v1/entities/")).body["count"]


async def test_the_limit_of_a_memory_counts_bytes(api: Api) -> None:
    fits, over = "ä" * 32_768, "ä" * 32_769
    await api.add(fits, user_id="a")
    assert _is_refused(await api.call("POST", "/v3/memories/add/", {"messages": over, "user_id": "a"}))


@pytest.mark.parametrize("text", ["", "  ", "x" * 100_000])
async def test_updates_take_text_of_a_memorys_size(api: Api, text: str) -> None:
    memory_id = await api.add("tea", user_id="a")
    for path in (f"/memories/{memory_id}", f"/v1/memories/{memory_id}/"):
        assert _is_refused(await api.call("PUT", path, {"text": text}))


@pytest.mark.parametrize(
    "user_id", ["", " ", "a b", "a\tb", "a\nb", "x" * 513, "\u2028", ["a"], {"a": 1}, 1.5, True]
)
async def test_identifiers_that_cannot_be_used_are_refused(api: Api, user_id: Any) -> None:
    assert _is_refused(await api.call("POST", "/v3/memories/add/", {"messages": "x", "user_id": user_id}))


@pytest.mark.parametrize(
    "user_id",
    [
        "workspace_7_user_9",
        "a/b",
        "a%2Fb",
        "ünï",
        "日本",
        "a'b\"c",
        "x" * 512,
        42,
        "..",
        "*a",
        "a&b=c",
        "{a}",
    ],
)
async def test_unusual_identifiers_are_ordinary(api: Api, user_id: Any) -> None:
    memory_id = await api.add("tea", user_id=user_id)
    listed = await api.call("POST", "/v3/memories/", {"filters": {"user_id": user_id}})
    assert [memory_id] == [row["id"] for row in listed.body["results"]]


async def test_identifiers_travel_in_paths(api: Api) -> None:
    await api.add("tea", user_id="a/b_{c}%")
    assert 1 == (await api.call("DELETE", "/v2/entities/user/a%2Fb_%7Bc%7D%25/")).body["count"]


@pytest.mark.parametrize(
    "filters",
    [
        {},
        [],
        "user_id",
        {"AND": []},
        {"AND": {"user_id": "a"}},
        {"user_id": {}},
        {"user_id": {"in": "a"}},
        {"user_id": None},
        {"user_id": {"eq": {"a": 1}}},
        {"user_id": "a", "created_at": {"gte": "soon"}},
        {"user_id": "a", "memory": {"gt": 5}},
        {"user_id": "a", "AND": [{"OR": [{"NOT": [{}]}]}]},
        {"user_id": "a", "x": {"in": list(range(1001))}},
    ],
)
async def test_filters_that_cannot_be_read_are_400(api: Api, filters: Any) -> None:
    for path, body in (
        ("/v3/memories/search/", {"query": "x", "filters": filters}),
        ("/v1/exports/", {"schema": {}, "filters": filters}),
    ):
        assert _is_refused(await api.call("POST", path, body))


async def test_filters_nested_without_end_are_400(api: Api) -> None:
    filters: dict[str, Any] = {"user_id": "a"}
    for _ in range(30):
        filters = {"AND": [filters]}
    answer = await api.call("POST", "/v3/memories/search/", {"query": "x", "filters": filters})
    assert _is_refused(answer)
    assert "nested deeper" in answer.detail


async def test_numbers_beyond_64_bits_are_kept_as_they_are(api: Api) -> None:
    metadata = {"big": 2**80, "small": -(2**80), "half": 0.5}
    memory_id = await api.add("tea", user_id="a", metadata=metadata)
    assert metadata == (await api.call("GET", f"/v1/memories/{memory_id}/")).body["metadata"]


@pytest.mark.parametrize(
    "path",
    [
        "/memories/urn:uuid:00000000-0000-4000-8000-000000000000",
        "/memories/{00000000-0000-4000-8000-000000000000}",
        "/memories/00000000000040008000000000000000",
        "/memories/%20",
        "/v1/event/1/",
    ],
)
async def test_other_spellings_of_a_uuid_are_no_ids(api: Api, path: str) -> None:
    answer = await api.call("GET", path)
    assert _is_refused(answer)
    assert "bad_identifier" == answer.code


async def test_a_byte_order_mark_is_passed_over(api: Api) -> None:
    raw = b'\xef\xbb\xbf{"query": "x", "filters": {"user_id": "a"}}'
    assert 200 == (await api.call("POST", "/search", raw=raw)).status


async def test_a_field_given_twice_in_a_query_is_refused(api: Api) -> None:
    assert _is_refused(await api.call("GET", "/memories?user_id=a&user_id=b"))
