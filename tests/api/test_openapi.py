"""`/openapi.json` is complete and true: what it declares is what the server does."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.serving import Api
from tests.support.daemon import COMMANDS

TRUTHS = "status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    answer = await api.call("GET", "/openapi.json", key="")
    found: dict[str, Any] = answer.body
    return found


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, one) for path, ways in document["paths"].items() for method, one in ways.items()]


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(_references, node.values()))
    return set().union(*map(_references, node)) if isinstance(node, list) else set()


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set() == _references(document) - known


async def test_operations_have_ids_of_their_own(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(ids) == len(set(ids))


async def test_parameters_of_the_path_are_declared(document: dict[str, Any]) -> None:
    for path, _, operation in _operations(document):
        declared = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert set(re.findall(r"\{(\w+)\}", path)) == declared


async def test_refusals_of_the_border_are_declared(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        declared = set(operation["responses"])
        assert not operation["security"] or {"401", "403", "429", "503"} <= declared, path
        assert method == "get" or {"400", "408", "413"} <= declared, path
        assert "500" not in declared, path


async def test_every_method_of_the_server_is_described(api: Api, document: dict[str, Any]) -> None:
    """What is not described is only the description itself."""
    for path, ways in document["paths"].items():
        answer = await api.call(
            "TRACE", re.sub(r"\{kind\}", "user", path).translate(str.maketrans("", "", "{}"))
        )
        allowed = set(answer.headers["Allow"].lower().split(", ")) - {"head"}
        assert set(ways) <= allowed


async def test_examples_work(api: Api, document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" in body and "memory_id" not in path:
            where = path.format(agent_id="builder", org_id="memdeck", project_id="test")
            answer = await api.call(method.upper(), where, body["example"])
            # A second embedding space needs a remote embedder, which not every daemon has.
            expected = {200, 201} | ({409} if path == "/ops/spaces" else set())
            assert answer.status in expected, (path, answer.body)


async def test_the_document_is_ready_made(api: Api) -> None:
    """Nobody who asks for it a thousand times makes the daemon work."""
    async with (
        api.session.get(api.url + "/openapi.json") as one,
        api.session.get(api.url + "/openapi.json") as two,
    ):
        assert (
            await one.read() == await two.read() == msgspec.json.encode(msgspec.json.decode(await one.read()))
        )


@pytest.mark.parametrize("phase", ["examples", "coverage"])
async def test_schemathesis_finds_nothing_undeclared(api: Api, tmp_path: Path, phase: str) -> None:
    """Thousands of calls, good and bad: no status, header or shape that is not declared."""
    command = [
        "run", api.url + "/openapi.json", "--phases", phase, "--checks", TRUTHS, "--exclude-path", "/ops/feed",
        "-H", f"X-API-Key: {api.admin}", "--no-color", "--suppress-health-check", "all",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        COMMANDS / "st", *command,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"}, cwd=tmp_path,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert 0 == process.returncode, output.decode()[-6000:]
