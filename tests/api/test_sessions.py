"""Traces and contexts over HTTP; kept by the twin here and by the whole daemon in tests/integration."""

import uuid
from typing import Any

import pytest

from tests.api.serving import Api

TRACE = "/v1/agents/{}/append_trace"


def fresh(prefix: str) -> str:
    """A name that nobody has: the daemon behind these tests may be an old one."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


async def test_a_trace_comes_back_as_it_was_kept(api: Api) -> None:
    """Decision, rationale and outcome; replay traces live 90 days, telemetry 30."""
    agent, memory = fresh("ops"), str(uuid.uuid4())
    body = {
        "event": "Key leaked", "decision": "Rotate", "rationale": "It stood in a log", "outcome": "Rotated", "reward": 1.5,
        "memory_ids": [memory], "user_id": "ada", "run_id": "r1", "metadata": {"n": 1},
        "timestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    kept = await api.call("POST", TRACE.format(agent), body)
    assert 200 == kept.status, kept.body
    assert {k: v for k, v in body.items() if k != "timestamp"}.items() <= kept.body.items()
    assert ("replay", agent) == (kept.body["kind"], kept.body["agent_id"])
    assert ("2026-01-01", "2026-04-01") == (kept.body["created_at"][:10], kept.body["expires_at"][:10])
    short = await api.call("POST", TRACE.format(agent), {**body, "kind": "telemetry"})
    assert "2026-01-31" == short.body["expires_at"][:10]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"decision": "  "},
        {"decision": ""},
        {"kind": "other", "decision": "x"},
        {"decision": "x", "memory_ids": ["no uuid"]},
        {"decision": "x", "timestamp": "soon"},
        {"decision": "a\x00b"},
        {"decision": "x", "reward": "much"},
    ],
)
async def test_a_trace_that_cannot_be_kept_is_refused(api: Api, body: dict[str, Any]) -> None:
    """With a sentence; nothing is kept."""
    refused = await api.call("POST", TRACE.format("ops"), body)
    assert 400 == refused.status, refused.body
    assert refused.detail


async def test_a_repeated_trace_is_kept_once(api: Api) -> None:
    """The same key and body: the same trace; the same key and another body: a conflict."""
    agent, key = fresh("ops"), {"Idempotency-Key": fresh("k")}
    first = await api.call("POST", TRACE.format(agent), {"decision": "Rotate"}, headers=key)
    again = await api.call("POST", TRACE.format(agent), {"decision": "Rotate"}, headers=key)
    other = await api.call("POST", TRACE.format(agent), {"decision": "Wait"}, headers=key)
    assert (200, 200, 409) == (first.status, again.status, other.status)
    assert first.body == again.body


async def test_a_context_holds_what_was_said_in_order(api: Api) -> None:
    """Every part says its source; the text has all of it under headings."""
    user, run = fresh("ada"), fresh("chat")
    for text in ("Morning!", "The deploy key is on the USB stick"):
        await api.add(text, user_id=user, run_id=run)
    await api.call("POST", TRACE.format("ops"), {"decision": "Rotate it", "user_id": user, "run_id": run})
    answer = await api.call("POST", "/v1/context", {"user_id": user, "run_id": run, "token_budget": 500})
    assert 200 == answer.status, answer.body
    said = [part["text"] for part in answer.body["parts"] if part["source"] == "window"]
    assert ["user: Morning!", "user: The deploy key is on the USB stick"] == said
    (trace,) = (part["text"] for part in answer.body["parts"] if part["source"] == "traces")
    assert "decided: Rotate it" in trace
    assert all(part["text"] in answer.body["text"] for part in answer.body["parts"])
    assert 0 < answer.body["tokens"] <= answer.body["token_budget"] == 500
    assert ({}, []) == (answer.body["left_out"], answer.body["degraded"])


async def test_a_budget_is_never_exceeded(api: Api) -> None:
    """The newest entries come first; what had no room is counted."""
    user, run = fresh("ada"), fresh("chat")
    for number in range(12):
        await api.add(f"turn {number} about the garden and the fence", user_id=user, run_id=run)
    body = {"user_id": user, "run_id": run, "token_budget": 40, "memories": 0, "traces": 0}
    answer = (await api.call("POST", "/v1/context", body)).body
    assert answer["tokens"] <= 40
    assert "turn 11" in answer["parts"][-1]["text"]
    assert 12 == len(answer["parts"]) + answer["left_out"]["window"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": "x"},
        {"user_id": "*"},
        {"user_id": "a b"},
        {"user_id": "a", "token_budget": 0},
        {"user_id": "a", "window": 1000},
        {"user_id": "a", "threshold": 2},
    ],
)
async def test_a_context_that_cannot_be_built_is_refused(api: Api, body: dict[str, Any]) -> None:
    """A scope is needed, and bounds hold."""
    assert 400 == (await api.call("POST", "/v1/context", body)).status


async def test_pins_hold_for_sessions(api: Api) -> None:
    """Outside its pin a key neither appends nor reads."""
    key = await api.key(label="w7", role="agent", users=["w7_*"], agents=["bot"])
    inside = {"user_id": "w7_ada", "decision": "x"}
    assert 200 == (await api.call("POST", TRACE.format("bot"), inside, key=key)).status
    for agent, body in (
        ("bot", {"user_id": "w8", "decision": "x"}),
        ("other", inside),
        ("bot", {"decision": "x"}),
    ):
        assert 403 == (await api.call("POST", TRACE.format(agent), body, key=key)).status
    assert (
        200
        == (await api.call("POST", "/v1/context", {"user_id": "w7_ada", "agent_id": "bot"}, key=key)).status
    )
    for scope in (
        {"user_id": "w7_ada"},
        {"agent_id": "bot"},
        {"run_id": "r"},
        {"user_id": "w8", "agent_id": "bot"},
    ):
        assert 403 == (await api.call("POST", "/v1/context", scope, key=key)).status


async def test_roles_hold_for_sessions_and_index(api: Api) -> None:
    """Readers read contexts; operators look after the index; nobody else does."""
    reader, agent = await api.key(label="r", role="read"), await api.key(label="a", role="agent")
    operator = await api.key(label="o", role="operator")
    assert 200 == (await api.call("POST", "/v1/context", {"user_id": "ada"}, key=reader)).status
    assert 403 == (await api.call("POST", TRACE.format("bot"), {"decision": "x"}, key=reader)).status
    assert 403 == (await api.call("GET", "/ops/projections", key=agent)).status
    assert 403 == (await api.call("POST", "/ops/projections/lexical/rebuild", key=agent)).status
    assert 200 == (await api.call("GET", "/ops/projections", key=operator)).status
    assert 202 == (await api.call("POST", "/ops/projections/lexical/rebuild", key=operator)).status
