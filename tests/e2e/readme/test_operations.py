"""docs/operations.md: its tables are what the product says of itself."""

import ast
import re
from pathlib import Path

from memdeck_common import settings
from memdeck_daemon.api.access.principals import GRANTS
from tests.e2e.readme.document import ROOT, Document, rows
from tests.support.daemon import RunningDaemon

OPERATIONS = Document(ROOT / "docs" / "operations.md")


def documented_fields() -> dict[tuple[str, str], str]:
    """The docstring of each field, by class and field: the line that follows it in the source."""
    tree = ast.parse(Path(settings.__file__).read_text(encoding="utf-8"))
    return {
        (area.name, field.target.id): " ".join(said.value.value.split())
        for area in tree.body
        if isinstance(area, ast.ClassDef)
        for field, said in zip(area.body, area.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(said, ast.Expr)
        and isinstance(said.value, ast.Constant)
        and isinstance(said.value.value, str)
    }


def shown(value: object) -> str:
    """A default as one would write it into `.env`."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def test_the_table_of_settings_is_the_settings_tree() -> None:
    """Every variable with its default and its own words, in the order of the source."""
    said = documented_fields()
    expected = [
        [name, shown(getattr(struct(), field)), said[struct.__name__, field]]
        for name, (area, field, _) in settings.variables().items()
        for struct in (settings.AREAS[area],)
    ]
    table = "\n".join(
        f"| `{name}` | {f'`{default}`' if default else ''} | {words} |" for name, default, words in expected
    )
    assert expected == rows(OPERATIONS.section("### Settings of the daemon")), f"the table should be\n{table}"


def test_the_table_of_metrics_is_what_the_daemon_exports(daemon: RunningDaemon) -> None:
    """Every family with its type; the times at which counters began are left out."""
    exported = daemon.get("/metrics", url=daemon.metrics_url)[1].decode()
    families = re.findall(r"^# TYPE (\S+) (\w+)$", exported, re.MULTILINE)
    expected = {name: kind for name, kind in families if not name.endswith("_created")}
    listed = {
        name.strip("` "): kind
        for names, kind, _ in rows(OPERATIONS.section("## Metrics"))
        for name in names.split(",")
    }
    assert expected == listed


def test_the_table_of_roles_has_every_role() -> None:
    """And no other."""
    assert set(GRANTS) == {row[0] for row in rows(OPERATIONS.section("## Keys"))}


def test_what_the_home_holds_is_there(daemon: RunningDaemon) -> None:
    """Files that the document names exist in the home of a running daemon, but for those that need something more."""
    optional = {".env", "postgres/<name>/", "logs/memdeckd.log"}
    named = {
        path.strip("` ")
        for paths, _ in rows(OPERATIONS.section("## Homes and instances"))
        for path in paths.split(",")
    }
    assert optional < named
    assert [] == [path for path in sorted(named - optional) if not (daemon.home / path).exists()]
