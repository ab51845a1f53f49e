"""What holds for every test of the console."""

import pytest

# Textual mounts a whole screen within one callback: a fifth of a second, and thrice that beside a busy neighbour.
LIMIT = 1.5


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/console/" in item.path.as_posix() and item.get_closest_marker("loop_limit") is None:
            item.add_marker(pytest.mark.loop_limit(LIMIT))
