"""`memdeck keys`."""

import json
from typing import Any

import pytest

from tests.fakes.cli_daemon import ScriptedDaemon
from tests.unit.console.cli.conftest import Memdeck


def key(number: int, **changed: Any) -> dict[str, Any]:
    plain = {
        "id": f"0193c0de-000{number}",
        "label": f"key {number}",
        "key_prefix": f"m0sk_abc{number}",
        "role": "agent",
        "users": ["workspace_7_*"],
        "agents": [],
        "rate_limit": None,
        "created_at": "2026-11-20T09:30:00Z",
        "last_used_at": None,
        "revoked_at": None,
    }
    return plain | changed


@pytest.fixture(autouse=True)
def some_keys(script: ScriptedDaemon) -> None:
    script.on("GET", "/ops/keys", {"keys": [key(1), key(2, rate_limit=0, revoked_at="2026-11-21T00:00:00Z")]})
    script.on("POST", "/ops/keys", key(3, key="m0sk_abc3_secret"))
    script.on("DELETE", "/ops/keys/", key(1, revoked_at="2026-11-22T00:00:00Z"))


def test_new_key_stands_alone_on_stdout(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """So that `> file` keeps just the key."""
    ran = memdeck(
        *("keys", "create", "--label", "ci", "--role", "standard", "--rate-limit", "0"),
        *("--user", "workspace_7_*", "u2", "--user", "u3"),
    )
    assert "m0sk_abc3_secret\n" == ran.out
    assert "secret" not in ran.err
    assert {
        "label": "ci",
        "role": "standard",
        "users": ["workspace_7_*", "u2", "u3"],
        "agents": [],
        "rate_limit": 0,
    } == script.calls[0].body


def test_list_shows_reach_and_state(memdeck: Memdeck) -> None:
    """Pins, limits and revocations are seen at a glance."""
    lines = memdeck("keys", "list").out.splitlines()
    assert ["0193c0de-0001", "valid"] == lines[1].split()[:2]
    assert ["user:workspace_7_*", "–", "–"] == lines[1].split()[-3:]
    assert "unlimited" in lines[2]
    assert "revoked 2026-11-21 00:00:00Z" in lines[2]


def test_revoke_takes_the_beginning_of_an_id(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """The whole id is what is sent."""
    ran = memdeck("keys", "revoke", "m0sk_abc1", "--confirm", "studio", "--json")
    assert 0 == ran.code
    assert "/ops/keys/0193c0de-0001" == script.calls[-1].path
    assert "2026-11-22T00:00:00Z" == json.loads(ran.out)["revoked_at"]


@pytest.mark.parametrize(
    ("text", "said"), [("0193", "beginning of 2 keys"), ("zzz", "No such key"), ("", "No such key")]
)
def test_revoke_ends_nothing_it_is_not_sure_of(
    memdeck: Memdeck, script: ScriptedDaemon, text: str, said: str
) -> None:
    """Several or none: refused."""
    ran = memdeck("keys", "revoke", text, "--confirm", "studio")
    assert 1 == ran.code
    assert said in ran.err
    assert [] == script.sent("DELETE", "/")


def test_revoke_asks(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """Without the name of the instance nothing ends."""
    assert 4 == memdeck("keys", "revoke", "0193c0de-0001").code
    assert [] == script.sent("DELETE", "/")
