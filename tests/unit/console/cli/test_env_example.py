"""`.env.example` shows every setting as it is."""

import re
from pathlib import Path

import pytest

from memdeck_common.settings import AREAS, load, read_env_file, variables

EXAMPLE = Path(__file__).parents[4] / ".env.example"
SHOWN = dict(re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
OPTIONAL = {name for name, (area, field, _) in variables().items() if getattr(AREAS[area](), field) is None}
LATER = {
    "MEMORY_VECTOR_URL": "http://localhost:7000",
    "MEMORY_VECTOR_API_KEY": "dev-vector-key",
    "MEMORY_GRAPH_URL": "bolt://localhost:7687",
    "MEMORY_GRAPH_USER": "neo4j",
    "MEMORY_GRAPH_PASSWORD": "neo4j-password",
}


def test_every_variable_is_shown_and_no_other() -> None:
    """The settings tree, the four names beside it, and the local values of stores to come."""
    beside = {"MEMDECK_HOME", "MEMDECK_URL", "MEMDECK_API_KEY", "MEMDECK_INSTANCE"}
    assert variables().keys() | beside | LATER.keys() == SHOWN.keys()
    assert LATER == {name: SHOWN[name] for name in LATER}


@pytest.mark.parametrize("name", sorted(variables().keys() - OPTIONAL))
def test_shown_value_is_the_default(name: str) -> None:
    """What the file says is what happens without it."""
    area, field, _ = variables()[name]
    loaded = load({"MEMDECK_HOME": "/nonexistent/memdeck", name: SHOWN[name]}, {})
    assert getattr(getattr(loaded, area), field) == getattr(AREAS[area](), field)


def test_uncommented_file_loads(tmp_path: Path) -> None:
    """With every `# ` taken away it is a file that the daemon starts with."""
    text = EXAMPLE.read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(
        re.sub(r"^# (?=[A-Z][A-Z0-9_]+=)", "", text, flags=re.MULTILINE), encoding="utf-8"
    )
    assert SHOWN == read_env_file(tmp_path / ".env")
    loaded = load({"MEMDECK_HOME": str(tmp_path)}, {})
    assert ("default", 8888, "2GB") == (loaded.instance, loaded.server.port, loaded.database.shared_buffers)


def test_file_as_it_is_sets_nothing() -> None:
    """Copied untouched it changes nothing."""
    assert {} == read_env_file(EXAMPLE)
