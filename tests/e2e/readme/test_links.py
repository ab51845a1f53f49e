"""The documents point to each other, and to files that exist."""

from pathlib import Path

import pytest

from tests.e2e.readme.document import ROOT, Document

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    """Pictures included."""
    document = Document(path)
    lost = [link for link in document.local_links if not (document.path.parent / link).exists()]
    assert [] == lost
