"""When the lock belongs to pyproject.toml."""

from typing import Any

from scripts.lock import inputs_digest, without_uv_settings


def project(**changes: Any) -> dict[str, Any]:
    table = {
        "requires-python": ">=3.11",
        "dependencies": ["aiohttp>=3", "numpy"],
        "optional-dependencies": {"test": ["pytest"]},
        "version": "1.0",
    }
    return {"build-system": {"requires": ["hatchling"]}, "project": table | changes}


def test_the_order_of_dependencies_and_the_version_do_not_count() -> None:
    """A release or a tidier list needs no new lock."""
    changed = project(dependencies=["numpy", "aiohttp>=3"], version="2.0")
    assert inputs_digest(project()) == inputs_digest(changed)


def test_a_dependency_an_extra_and_the_lowest_python_count() -> None:
    """Each of them changes what has to be installed."""
    variants = (
        project(),
        project(dependencies=["aiohttp>=4", "numpy"]),
        project(**{"optional-dependencies": {"test": ["pytest>=8"]}}),
        project(**{"requires-python": ">=3.12"}),
    )
    assert len(variants) == len({inputs_digest(variant) for variant in variants})


def test_settings_of_uv_in_the_environment_do_not_reach_the_resolver() -> None:
    """Another index on one machine must not change everybody's lock."""
    assert {"HOME": "h"} == without_uv_settings({"HOME": "h", "UV_INDEX": "x", "UV_FIND_LINKS": "y"})
