"""How the figures of the sources are counted."""

import ast
from pathlib import Path

import pytest

from scripts import shape
from scripts.shape import Source


def source(text: str, name: str = "pkg.module", path: str = "pkg/module.py") -> Source:
    return Source(Path(path), name, text, ast.parse(text))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pass", 1),
        ("if a and b or c: pass", 2),
        ("if a: pass\n elif b: pass\n else: pass", 3),
        ("for x in y:\n  while x: pass", 3),
        ("try: pass\n except A: pass\n except B: pass\n else: pass", 4),
        ("return [x for x in y if x]", 1),
        ("match a:\n  case 1: pass\n  case 2: pass\n  case _: pass", 3),
        ("def inner():\n  if a: pass", 3),
    ],
)
def test_complexity_counts_decisions_and_not_operators(body: str, expected: int) -> None:
    """Branches, loops, handlers, cases and nested functions count; boolean operators and comprehensions do not."""
    (outer, *_) = shape.functions(source(f"def f():\n {body}\n"))
    assert expected == outer.complexity


def test_a_function_is_as_long_as_its_physical_lines() -> None:
    """Blank lines and docstrings count, decorators do not."""
    (function,) = shape.functions(source('@mark\ndef f():\n    """Doc."""\n\n    return 1\n'))
    assert ("pkg/module.py:2 f", 4) == (function.place, function.lines)


@pytest.mark.parametrize(("values", "expected"), [([], 0), ([7], 7), (range(1, 101), 96)])
def test_percentile_takes_the_nearest_rank(values: range | list[int], expected: int) -> None:
    """No interpolation, and nothing has the percentile 0."""
    assert expected == shape.percentile(values, 0.95)


def test_code_lines_leave_out_comments_docstrings_and_blank_lines() -> None:
    """A string that is a value is code, one that documents is not."""
    text = '"""Module.\n\nMore."""\n\n# note\nx = """a\nb"""\ny = 1\n"""What y is."""\n'
    assert 3 == shape.code_lines(source(text))


def test_imports_within_a_cycle_are_named_along_it() -> None:
    """A cycle is found through a package's member, whichever way it is imported."""
    first = source("from pkg import b\n", "pkg.a", "pkg/a.py")
    second = source("from .c import thing\n", "pkg.b", "pkg/b.py")
    third = source("import pkg.a\n", "pkg.c", "pkg/c.py")
    assert {"pkg.a", "pkg.b", "pkg.c"} == set(shape.import_cycle([first, second, third]))


@pytest.mark.parametrize(
    "late",
    ["def f():\n  import pkg.a\n", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  import pkg.a\n"],
)
def test_late_and_typing_imports_make_no_cycle(late: str) -> None:
    """Only what runs when the module is imported counts."""
    sources = [source("import pkg.b\n", "pkg.a", "pkg/a.py"), source(late, "pkg.b", "pkg/b.py")]
    assert [] == shape.import_cycle(sources)


def test_relative_imports_of_a_package_start_at_the_package() -> None:
    """`from . import x` in `__init__.py` names a member of the package itself."""
    package = source(
        "from . import store\nfrom ..other import thing\n", "pkg.memory", "pkg/memory/__init__.py"
    )
    assert {"pkg.memory.store", "pkg.other.thing"} == set(shape.eager_imports(package))


@pytest.mark.parametrize(
    "call", ["time.{}(0.1)", "await asyncio.{}(delay)", "{}(1)", "anyio.{}(seconds=1)", "asyncio.{}()"]
)
def test_waiting_a_fixed_time_is_a_sleep(call: str) -> None:
    """Whatever it is imported from."""
    text = call.format("sleep")
    assert ["pkg/module.py:2"] == shape.sleeps(source(f"async def f():\n {text}\n"))


@pytest.mark.parametrize("call", ["await asyncio.{}(0)", "clock.{}(3)", "{}er()"])
def test_yielding_and_fake_clocks_are_no_sleep(call: str) -> None:
    """`sleep(0)` hands over to other tasks, a fake clock does not wait."""
    text = call.format("sleep")
    assert [] == shape.sleeps(source(f"async def f():\n {text}\n"))


def test_patches_are_counted_in_every_spelling() -> None:
    """Functions, decorators and pytest's fixture alike; setting an environment variable is none."""
    verb, replace = "patch", "setattr"
    text = (
        f"@{verb}('a')\n@mock.{verb}.object(b, 'c')\ndef test_x(monkeypatch):\n"
        f"    monkeypatch.{replace}(a, 'b', 1)\n    monkeypatch.setenv('A', 'b')\n    client.{verb}_project()\n"
    )
    assert ["pkg/module.py:1", "pkg/module.py:2", "pkg/module.py:4"] == sorted(shape.patches(source(text)))


def test_type_ignores_are_found_in_every_dialect() -> None:
    """Both mypy's and pyright's comments count."""
    hint = "ignore"
    text = f"a = 1  # type: {hint}[x]\nb = 2  # pyright: {hint}\nc = 3\n"
    assert ["pkg/module.py:1", "pkg/module.py:2"] == shape.type_ignores(source(text))
