"""Keys: limits, life and secrecy; and life without them."""

import logging
from pathlib import Path
from typing import Any

import pytest

from memdeck_common import errors
from memdeck_common.clock import SystemClock, SystemIdentity
from memdeck_daemon.api.access.access import Access
from tests.api.serving import Api, served, settings_of
from tests.fakes.key_store import FakeKeyStore

ROLES = ("admin", "operator", "agent", "standard", "read")


async def test_wrong_keys_are_logged_without_the_key(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await api.call("GET", "/v1/ping/", key="m0sk_secretsecret")

    assert "refused an unknown API key" in caplog.text
    assert "secretsecret" not in caplog.text


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_a_key_that_used_up_its_hour_is_told_when_to_come_back(api: Api) -> None:
    key = await api.key(role="agent", rate_limit=2)
    first, second, third = [await api.call("GET", "/v1/ping/", key=key) for _ in range(3)]

    assert ("2", "1") == (first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"])
    assert "0" == second.headers["X-RateLimit-Remaining"]
    assert (429, "rate_limited") == (third.status, third.code)
    assert 0 < int(third.headers["Retry-After"]) <= 1800
    assert int(third.headers["X-RateLimit-Reset"]) > 0


async def test_classes_have_their_own_limits_and_zero_means_none(tmp_path: Path) -> None:
    async with served(tmp_path, rate_limit_agent=0, rate_limit_standard=7) as api:
        limits = {}
        for role in ROLES:
            answer = await api.call("GET", "/v1/ping/", key=await api.key(role=role))
            limits[role] = answer.headers.get("X-RateLimit-Limit")
        off = await api.call("GET", "/v1/ping/", key=await api.key(role="standard", rate_limit=0))

    assert {"admin": None, "operator": "7", "agent": None, "standard": "7", "read": "7"} == limits
    assert "X-RateLimit-Limit" not in off.headers


# --- the keys themselves ----------------------------------------------------------------------------------------------


async def test_the_admin_key_is_made_once_and_private(api: Api) -> None:
    assert api.home is not None
    for path in (api.home.admin_key, api.home.hash_key):
        assert 0o600 == path.stat().st_mode & 0o777
    assert 0o700 == api.home.keys.stat().st_mode & 0o777
    assert ("m0sk_", 48) == (api.admin[:5], len(api.admin))
    async with served(api.home.root) as again:
        assert api.admin == again.admin


async def test_keys_are_listed_without_their_secret(api: Api) -> None:
    made = (
        await api.call("POST", "/ops/keys", {"label": "x", "role": "read", "users": ["a"], "rate_limit": 5})
    ).body
    (listed,) = (await api.call("GET", "/ops/keys")).body["keys"]

    assert {name: made[name] for name in made if name != "key"} == listed
    assert ("read", ["a"], [], 5) == (listed["role"], listed["users"], listed["agents"], listed["rate_limit"])


async def test_a_revoked_key_ends_at_once(api: Api) -> None:
    key = await api.key(label="x")
    revoked = await api.call("DELETE", f"/ops/keys/{key[:12]}")

    assert revoked.body["revoked_at"] is not None
    assert 401 == (await api.call("GET", "/v1/ping/", key=key)).status
    assert 409 == (await api.call("DELETE", f"/ops/keys/{key[:12]}")).status


async def test_an_ambiguous_or_unknown_reference_revokes_nothing(api: Api) -> None:
    await api.key()
    await api.key()
    ambiguous, unknown = [await api.call("DELETE", f"/ops/keys/{one}") for one in ("m0sk_", "zzz")]

    assert (409, 404) == (ambiguous.status, unknown.status)
    assert "key_not_found" == unknown.code


@pytest.mark.parametrize(
    "new",
    [{"role": "king"}, {"rate_limit": -1}, {"rate_limit": 10**12}, {"users": [""]}, {"label": "x" * 201}],
)
async def test_a_key_that_makes_no_sense_is_refused(api: Api, new: dict[str, Any]) -> None:
    assert 400 == (await api.call("POST", "/ops/keys", new)).status


async def test_a_damaged_admin_key_is_a_configuration_error(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.home.keys.mkdir(parents=True)
    settings.home.admin_key.write_text("two words\n")
    clock = SystemClock()
    access = Access(settings.server, settings.home, FakeKeyStore(), clock, SystemIdentity(clock))

    with pytest.raises(errors.ConfigurationError, match=r"admin\.key must hold the bare admin key"):
        await access.load()


# --- without keys -----------------------------------------------------------------------------------------------------


async def test_authentication_can_be_disabled_on_loopback(tmp_path: Path) -> None:
    async with served(tmp_path, auth_disabled=True) as api:
        assert 200 == (await api.call("GET", "/ops/keys", key="")).status
        assert 200 == (await api.call("GET", "/v1/ping/", key="whatever")).status


@pytest.mark.parametrize(
    ("headers", "status"), [({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example:8888"}, 421)]
)
async def test_pages_of_other_origins_do_not_profit(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with served(tmp_path, auth_disabled=True) as api:
        assert status == (await api.call("GET", "/memories", key="", headers=headers)).status


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", "::"])  # noqa: S104 - refused
async def test_authentication_stays_on_where_others_reach_the_port(tmp_path: Path, host: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="only allowed on loopback"):
        async with served(tmp_path, auth_disabled=True, host=host):
            pass
