"""Holds the project's figures to their limits: `python -m scripts.check_limits`.

Prints each figure beside its limit, then what is over it, and exits 1 when anything is. Owns the limits; how a figure is
counted stands in `shape`, the rules about places in `house_rules`.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts import shape
from scripts.house_rules import stray_names, stray_sql, stray_web
from scripts.shape import Source

PRODUCT = ("common", "daemon", "console")
TOOLS = ("scripts", "bench")
TESTS = ("tests",)

MAX_COMPLEXITY = 10
MAX_MODULE_LINES = 400
P95_FUNCTION_LINES = 40
TYPE_IGNORES_PER_1000_LINES = 2.0
PATCHES_PER_TEST = 0.1


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value, the most that it may be, and what to look at when it is more."""

    name: str
    value: float
    limit: float
    offenders: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """Whether the value is within its limit."""
        return self.value <= self.limit

    def row(self) -> str:
        """One line of the table."""
        return f"{'  ' if self.held else '! '}{self.name:42}{self.value:>8.4g}{self.limit:>8.4g}"


def figures(project: Path) -> list[Figure]:
    """Every figure of the project."""
    product = shape.read_sources(project, PRODUCT)
    tools = shape.read_sources(project, TOOLS)
    tests = shape.read_sources(project, TESTS)
    return [
        _complexity([*product, *tools]),
        _module_lines([*product, *tools, *tests]),
        _function_lines(product),
        _import_cycle(product),
        _type_ignores([*product, *tools, *tests]),
        _sleeps(tests),
        _patches(tests),
        _strays("SQL outside stores", (place for source in product for place in stray_sql(source))),
        _strays("aiohttp.web outside the API", (place for source in product for place in stray_web(source))),
        _strays("machine paths and registries in files", stray_names(project)),
    ]


def _complexity(sources: Iterable[Source]) -> Figure:
    found = [function for source in sources for function in shape.functions(source)]
    worst = max((function.complexity for function in found), default=0)
    over = (f"{f.place} has complexity {f.complexity}" for f in found if f.complexity > MAX_COMPLEXITY)
    return Figure("complexity, most", worst, MAX_COMPLEXITY, tuple(over))


def _module_lines(sources: list[Source]) -> Figure:
    longest = max((source.lines for source in sources), default=0)
    over = (f"{s.path}:1 has {s.lines} lines" for s in sources if s.lines > MAX_MODULE_LINES)
    return Figure("lines of a module, most", longest, MAX_MODULE_LINES, tuple(over))


def _function_lines(sources: Iterable[Source]) -> Figure:
    found = [function for source in sources for function in shape.functions(source)]
    usual = shape.percentile((function.lines for function in found), 0.95)
    over = sorted((f for f in found if f.lines > P95_FUNCTION_LINES), key=lambda f: -f.lines)
    return Figure(
        "lines of a function, 95 of 100",
        usual,
        P95_FUNCTION_LINES,
        tuple(f"{f.place} has {f.lines} lines" for f in over),
    )


def _import_cycle(sources: Iterable[Source]) -> Figure:
    cycle = shape.import_cycle(sources)
    return Figure("modules in an import cycle", len(set(cycle)), 0, (" -> ".join(cycle),))


def _type_ignores(sources: list[Source]) -> Figure:
    places = [place for source in sources for place in shape.type_ignores(source)]
    lines = sum(shape.code_lines(source) for source in sources)
    return Figure(
        "type ignores per 1,000 lines",
        1000 * len(places) / max(1, lines),
        TYPE_IGNORES_PER_1000_LINES,
        tuple(places),
    )


def _sleeps(sources: Iterable[Source]) -> Figure:
    """The helpers in tests/support/waiting.py wait on events with a limit, so that no file needs an exception."""
    places = [f"{place} sleeps" for source in sources for place in shape.sleeps(source)]
    return Figure("sleeps in tests", len(places), 0, tuple(places))


def _patches(sources: list[Source]) -> Figure:
    places = [f"{place} patches" for source in sources for place in shape.patches(source)]
    count = sum(len(shape.tests(source)) for source in sources)
    return Figure("patches per test", len(places) / max(1, count), PATCHES_PER_TEST, tuple(places))


def _strays(name: str, places: Iterator[str]) -> Figure:
    found = tuple(places)
    return Figure(name, len(found), 0, found)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Hold the project's figures to their limits.")
    parser.add_argument("project", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent)
    project = parser.parse_args().project.resolve()
    measured = figures(project)
    print(f"  {'figure':42}{'value':>8}{'limit':>8}")
    for figure in measured:
        print(figure.row())
    broken = [figure for figure in measured if not figure.held]
    for figure in broken:
        print(f"\nover the limit: {figure.name}", file=sys.stderr)
        for offender in figure.offenders:
            print(f"  {offender}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
