"""The API of a fresh home, for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.serving import Api, served


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with served(tmp_path / "home") as running:
        yield running
