"""The shape of Python sources: complexity, lengths, imports between modules, and what tests do that they should not.

Reads files and never imports them; standard library only. Owns how each figure is counted, not its limit.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

TYPE_IGNORE = re.compile(r"#\s*(?:type|pyright|ty):\s*ignore")
SLEEPERS = frozenset({"time", "asyncio", "anyio", "trio"})
PATCHES = re.compile(r"(?:.*\.)?patch(?:\.object|\.dict|\.multiple)?|monkeypatch\.setattr")


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method: where it begins, its physical lines, its cyclomatic complexity."""

    place: str
    lines: int
    complexity: int


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file; `path` is relative to the project, `name` is the dotted name it is imported by."""

    path: Path
    name: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """Physical lines, blank ones and docstrings included."""
        return self.text.count("\n")

    def place(self, node: ast.stmt | ast.expr) -> str:
        """`file:line` of a node."""
        return f"{self.path}:{node.lineno}"


def read_sources(project: Path, roots: Iterable[str]) -> list[Source]:
    """Every Python file below the roots, each root being a folder that stands on the import path."""
    return [
        Source(
            path.relative_to(project), _module_name(path.relative_to(project / root)), text, ast.parse(text)
        )
        for root in roots
        for path in sorted((project / root).rglob("*.py"))
        for text in [path.read_text(encoding="utf-8")]
    ]


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def functions(source: Source) -> Iterator[Function]:
    """All functions and methods, nested ones included."""
    for node in ast.walk(source.tree):
        if isinstance(node, FunctionNode):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Function(f"{source.place(node)} {node.name}", lines, complexity(node))


def complexity(function: FunctionNode) -> int:
    """McCabe's number as ruff's C901 counts it: branches, loops, handlers, cases and nested functions, not operators."""
    return 1 + sum(_decisions(node) for node in ast.walk(function) if node is not function)


def _decisions(node: ast.AST) -> int:
    match node:
        case ast.If() | ast.For() | ast.AsyncFor() | ast.While() | ast.ExceptHandler():
            return 1
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return 1
        case ast.Try() | ast.TryStar():
            return int(bool(node.orelse))
        case ast.Match():
            return sum(not _matches_anything(case) for case in node.cases)
        case _:
            return 0


def _matches_anything(case: ast.match_case) -> bool:
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None


def percentile(values: Iterable[int], share: float) -> int:
    """The value below which this share of the values lies (nearest rank); 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


def code_lines(source: Source) -> int:
    """Lines that hold code: neither blank nor only comment nor part of a docstring."""
    passive = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type not in passive:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in docstrings(source.tree):
        lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Every string that stands as a statement of its own: docstrings, and those that document a field."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.value


def type_ignores(source: Source) -> list[str]:
    """Where the type checker is told to look away."""
    numbered = enumerate(source.text.splitlines(), start=1)
    return [f"{source.path}:{number}" for number, line in numbered if TYPE_IGNORE.search(line)]


def import_cycle(sources: Iterable[Source]) -> list[str]:
    """One cycle among the imports that run at import time, as the modules along it; empty when there is none."""
    by_name = {source.name: source for source in sources}
    graph = {name: _own_imports(source, by_name) - {name} for name, source in by_name.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def _own_imports(source: Source, known: Mapping[str, Source]) -> set[str]:
    resolved = (_deepest_known(name, known) for name in eager_imports(source))
    return {name for name in resolved if name is not None}


def _deepest_known(name: str, known: Mapping[str, Source]) -> str | None:
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def eager_imports(source: Source) -> Iterator[str]:
    """Dotted names imported when the module is: not within functions, not for type checkers only."""
    waiting: list[ast.AST] = [source.tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported_names(node, source)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting.extend(node.orelse)
        elif not isinstance(node, FunctionNode):
            waiting.extend(ast.iter_child_nodes(node))


def imported_names(node: ast.Import | ast.ImportFrom, source: Source) -> Iterator[str]:
    """What an import statement names, in full, relative ones resolved."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        package = source.name.split(".")
        up = node.level - (source.path.name == "__init__.py")
        base = ".".join([*package[: len(package) - up], *([base] if base else [])])
    yield from (f"{base}.{alias.name}" for alias in node.names)


def tests(source: Source) -> list[str]:
    """The test functions."""
    nodes = (node for node in ast.walk(source.tree) if isinstance(node, FunctionNode))
    return [source.place(node) for node in nodes if node.name.startswith("test")]


def sleeps(source: Source) -> list[str]:
    """Calls that wait a fixed time; `sleep(0)`, which only yields, is none."""
    return [source.place(call) for call in _calls(source) if _sleeps(call)]


def _sleeps(call: ast.Call) -> bool:
    owner, _, name = _dotted(call.func).rpartition(".")
    if name != "sleep" or (owner and owner not in SLEEPERS):
        return False
    return not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)


def patches(source: Source) -> list[str]:
    """Calls that replace a part of the code under test."""
    return [source.place(call) for call in _calls(source) if PATCHES.fullmatch(_dotted(call.func))]


def _calls(source: Source) -> Iterator[ast.Call]:
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""
