"""`/ops/spaces` over spaces in memory: who may do what, and what is refused."""

import pytest

from tests.api.serving import Api


async def test_a_space_lives_from_add_to_drop(api: Api) -> None:
    """The first one is primary at once; the second one is a candidate until it is switched to."""
    first = await api.call("POST", "/ops/spaces", {"model": "small", "dims": 1536})
    second = await api.call("POST", "/ops/spaces", {"model": "large"})
    assert [(201, "primary"), (201, "candidate")] == [
        (one.status, one.body["role"]) for one in (first, second)
    ]
    assert 200 == (await api.call("GET", "/ops/spaces/compare?queries=5")).status
    switched = await api.call("POST", f"/ops/spaces/{second.body['id']}/switch", {})
    assert (200, "primary") == (switched.status, switched.body["role"])
    dropped = await api.call("DELETE", f"/ops/spaces/{first.body['id']}")
    assert (200, "retired") == (dropped.status, dropped.body["role"])
    listed = (await api.call("GET", "/ops/spaces")).body["spaces"]
    assert ["local", "primary"] == [one["role"] for one in listed]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/ops/spaces", {}, 400),
        ("POST", "/ops/spaces", {"model": "m", "dims": 0}, 400),
        ("POST", "/ops/spaces", {"model": "m", "url": "ftp://somewhere"}, 400),
        ("POST", "/ops/spaces", {"model": "m", "url": "http://user:secret@somewhere"}, 400),
        ("POST", "/ops/spaces/x/switch", {}, 404),
        ("POST", "/ops/spaces/99999999999999999999/switch", {}, 404),
        ("POST", "/ops/spaces/7/switch", {}, 409),
        ("DELETE", "/ops/spaces/1", None, 409),
        ("DELETE", "/ops/spaces/-1", None, 404),
        ("GET", "/ops/spaces/compare", None, 409),
        ("GET", "/ops/spaces/compare?queries=0", None, 400),
    ],
)
async def test_what_cannot_be_done_is_refused(
    api: Api, method: str, path: str, body: object, status: int
) -> None:
    """With a sentence and a code."""
    answer = await api.call(method, path, body)
    assert (status, True) == (answer.status, bool(answer.detail and answer.code))


@pytest.mark.parametrize(("role", "statuses"), [("operator", [200, 403, 403]), ("agent", [403, 403, 403])])
async def test_operators_look_and_administrators_change(api: Api, role: str, statuses: list[int]) -> None:
    """As everywhere under /ops."""
    key = await api.key(role=role)
    pinned = await api.key(role="admin", users=["workspace_7_*"])
    assert 403 == (await api.call("POST", "/ops/spaces", {"model": "m"}, key=pinned)).status
    calls = [
        ("GET", "/ops/spaces", None),
        ("POST", "/ops/spaces", {"model": "m"}),
        ("DELETE", "/ops/spaces/2", None),
    ]
    assert statuses == [(await api.call(method, path, body, key=key)).status for method, path, body in calls]
