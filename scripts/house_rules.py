"""Rules of the house that import-linter cannot see: where SQL and `aiohttp.web` may stand, and what no file may name.

import-linter knows external packages only as a whole, so it cannot tell `aiohttp.web` from aiohttp's client.
"""

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from scripts.shape import Source, docstrings, imported_names

# Each needs a second word: `UPDATE` alone is also the name of an event. Prose begins with one capital, SQL has all or none.
SQL = re.compile(
    r"\s*(?:SELECT\s|INSERT\s+INTO\s|UPDATE\s+[\w.]+\s+(?:AS\s+\w+\s+)?SET\s|DELETE\s+FROM\s|MERGE\s+INTO\s|TRUNCATE\s+\w"
    r"|WITH\s+(?:RECURSIVE\s+)?\w+\s*(?:\([\w\s,]*\)\s*)?AS\s"
    r"|select\s(?:.*\sfrom\s|\d|\w+\()|insert\s+into\s|update\s+[\w.]+\s+(?:as\s+\w+\s+)?set\s|delete\s+from\s"
    r"|with\s+(?:recursive\s+)?\w+\s*(?:\([\w\s,]*\)\s*)?as\s+(?:materialized\s*)?\()",
    re.DOTALL,
)
# A store that outgrows one file becomes a package of the same name.
SQL_FOLDERS = ("/store/", "memdeck_daemon/infra/postgres/", "/backups/sources/", "/migrations/")

WEB = "aiohttp.web"
WEB_PLACES = ("memdeck_daemon/api/", "memdeck_daemon/app.py")

# Homes with a name for everybody (`/home/you`) may stand in documents.
MACHINE_PATH = re.compile(
    r"(?<![\w.~}-])/(?:root|work|workspace)/[\w.]|(?<![\w.~}-])/(?:home|Users)/(?!you\b|me\b)\w"
)
REGISTRY = re.compile(
    r"\bpypi\.org|\bpythonhosted\.org|\bregistry\.npmjs|\bdeb\.debian\.org|:/{2}\S+/simple\b|--(?:extra-)?index-url[ =]|--find-links[ =]"
)
NOT_TEXT = frozenset({".png", ".jpg", ".gif", ".ico", ".gz", ".zip", ".woff2"})


def stray_sql(source: Source) -> Iterator[str]:
    """Strings that are SQL in a file that is no store."""
    path = source.path.as_posix()
    if path.endswith("/store.py") or any(folder in path for folder in SQL_FOLDERS):
        return
    prose = set(docstrings(source.tree))
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node in prose:
            continue
        if SQL.match(node.value):
            yield f"{source.place(node)} SQL stands in store.py files, infra/postgres, backups/sources and migrations"


def stray_web(source: Source) -> Iterator[str]:
    """Imports of aiohttp's server outside the API."""
    if any(place in source.path.as_posix() for place in WEB_PLACES):
        return
    for node in ast.walk(source.tree):
        if _names_web(node, source) and isinstance(node, ast.stmt | ast.expr):
            yield f"{source.place(node)} {WEB} stands in api/ and app.py"


def _names_web(node: ast.AST, source: Source) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any(name == WEB or name.startswith(f"{WEB}.") for name in imported_names(node, source))
    return isinstance(node, ast.Attribute) and ast.unparse(node) == WEB


def stray_names(project: Path) -> Iterator[str]:
    """Lines of the project's files that name a developer's machine or a package registry."""
    for path in project_files(project):
        if path.suffix in NOT_TEXT:
            continue
        for number, line in enumerate(
            (project / path).read_text(encoding="utf-8", errors="replace").splitlines(), 1
        ):
            if MACHINE_PATH.search(line):
                yield f"{path}:{number} names a path of one machine"
            if REGISTRY.search(line):
                yield f"{path}:{number} names a package registry"


def project_files(project: Path) -> list[Path]:
    """What git tracks or would track, relative to the project.

    Raises:
        subprocess.CalledProcessError: the project is not a git checkout.
    """
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    # A hook's GIT_DIR or GIT_INDEX_FILE would point somewhere else.
    environ = {k: v for k, v in os.environ.items() if k not in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}}
    listing = subprocess.run(
        command, cwd=project, env=environ, check=True, capture_output=True, text=True, timeout=60
    )
    paths = (Path(name) for name in sorted(set(listing.stdout.split("\0"))) if name)
    return [path for path in paths if (project / path).is_file()]
