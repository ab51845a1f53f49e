"""`memdeck status`."""

import json
from typing import Any

import pytest

from tests.fakes.cli_daemon import HEALTH, ScriptedDaemon
from tests.unit.console.cli.conftest import ENVIRON, Memdeck

SERVICES = [
    {"name": "api", "state": "ok", "up_since": 1795165200.0, "p95_ms": 11.84, "in_use": 14, "capacity": 64},
    {"name": "embedder", "state": "crit", "note": "no answer"},
]


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("degraded", 1), ("down", 1)])
def test_exit_code_says_whether_all_is_well(
    memdeck: Memdeck, script: ScriptedDaemon, status: str, code: int
) -> None:
    """Also as JSON, where address and home stand beside the daemon's own words."""
    script.on("GET", "/health", HEALTH | {"status": status})
    ran = memdeck("status", "--json")
    answer: dict[str, Any] = json.loads(ran.out)
    assert code == ran.code == memdeck("status").code
    assert (status, "http://127.0.0.1:1", None) == (answer["status"], answer["url"], answer["metrics_url"])


def test_table(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """State as sign and word, durations compact, dashes for what is not known."""
    health = HEALTH | {"services": SERVICES, "mode": "read-only", "degraded": ["graph"], "status": "degraded"}
    script.on("GET", "/health", health)
    rows = [line.split() for line in memdeck("status").out.splitlines()]
    assert ["status", "▲", "DEGRADED"] in rows
    assert ["mode", "READ-ONLY"] in rows
    assert ["without", "graph"] in rows
    assert ["memories", "12,345", "of", "3", "users,", "0", "agents"] in rows
    assert ["up", "1h01m,", "since", "2026-11-20", "09:00:00Z"] in rows
    assert ["api", "●", "OK", "1h01m", "11.8ms", "14/64"] in rows
    assert ["embedder", "■", "CRIT", "–", "–", "–", "no", "answer"] in rows


def test_unreachable(memdeck: Memdeck) -> None:
    """Nobody at that address: 3."""
    assert 3 == memdeck("status", environ={k: v for k, v in ENVIRON.items() if k != "MEMDECK_URL"}).code
