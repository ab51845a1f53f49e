"""The rules about what may stand where."""

import ast
from pathlib import Path

import pytest

from scripts import house_rules
from scripts.shape import Source

MEMORY = "daemon/memdeck_daemon/memory/service.py"


def source(text: str, path: str = MEMORY) -> Source:
    return Source(Path(path), "memdeck_daemon.memory.service", text, ast.parse(text))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "\n    SELECT id\n    FROM memory",
        "INSERT INTO memory VALUES (1)",
        "UPDATE memory SET text = $1",
        "DELETE FROM memory",
        "WITH hits AS MATERIALIZED (SELECT 1) SELECT 2",
        "WITH RECURSIVE linked(id) AS (SELECT 1) SELECT 2",
    ],
)
def test_sql_in_a_service_is_found(statement: str) -> None:
    """Any statement that reads or changes rows, also as the beginning of an f-string."""
    for literal in (repr(statement), "f" + repr(statement + " {x}"), repr(statement.lower())):
        assert 1 == len(list(house_rules.stray_sql(source(f"query = {literal}\n"))))


@pytest.mark.parametrize(
    "text",
    ["UPDATE", "DELETE", "SELECT", "With care", "UPDATE of a memory", "select a memory", "Delete from here"],
)
def test_events_routes_and_prose_are_no_sql(text: str) -> None:
    """The mem0 dialect calls its history events UPDATE and DELETE."""
    assert [] == list(house_rules.stray_sql(source(f"event = {text!r}\n")))


@pytest.mark.parametrize(
    "path",
    [
        "daemon/memdeck_daemon/memory/store.py",
        "daemon/memdeck_daemon/memory/store/ledger.py",
        "daemon/memdeck_daemon/infra/postgres/pool.py",
        "daemon/memdeck_daemon/infra/postgres/migrations/0001.py",
        "daemon/memdeck_daemon/operations/backups/sources/postgres.py",
    ],
)
def test_stores_may_speak_sql(path: str) -> None:
    """Stores, the database's infrastructure, backup sources and migrations."""
    assert [] == list(house_rules.stray_sql(source("query = 'SELECT 1 '\n", path)))


@pytest.mark.parametrize(
    "text",
    [
        "from aiohttp import web",
        "from aiohttp.web import Response",
        "import aiohttp.web",
        "import aiohttp\nx = aiohttp.web.Response",
        "def f():\n    from aiohttp import web",
    ],
)
def test_the_server_side_of_aiohttp_is_found_outside_the_api(text: str) -> None:
    """However it is imported, late imports included."""
    assert 1 == len(list(house_rules.stray_web(source(text))))
    for allowed in ("daemon/memdeck_daemon/api/http/server.py", "daemon/memdeck_daemon/app.py"):
        assert [] == list(house_rules.stray_web(source(text, allowed)))


def test_the_client_side_of_aiohttp_may_stand_anywhere() -> None:
    """Only the server is bound to a place."""
    assert [] == list(house_rules.stray_web(source("import aiohttp\nsession = aiohttp.ClientSession\n")))


@pytest.mark.parametrize("folder", ["root", "home/alice", "Users/alice", "work"])
def test_a_path_of_one_machine_is_found(folder: str) -> None:
    """A developer's folder helps nobody else."""
    assert house_rules.MACHINE_PATH.search(f"open('/{folder}/notes.txt')")


@pytest.mark.parametrize(
    "path", ["/home/you/.memdeck", "~/root/notes", "https://host/root/x", "/var/lib/memdeck", "a/home/b"]
)
def test_paths_that_everybody_has_are_fine(path: str) -> None:
    """Examples say `you`; URLs and relative paths are no places of a machine."""
    assert None is house_rules.MACHINE_PATH.search(path)


@pytest.mark.parametrize(
    "parts", [("https://py", "pi.org/x"), ("--index", "-url=x"), ("http://host/sim", "ple/")]
)
def test_an_address_of_a_registry_is_found(parts: tuple[str, str]) -> None:
    """Where packages come from is the installing machine's choice."""
    assert house_rules.REGISTRY.search("".join(parts))
