"""Reading the project's documents: their code blocks, their tables, their links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CELL_BORDER = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, and the line where it begins."""

    language: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Document:
    """A Markdown file of the project."""

    path: Path

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @property
    def blocks(self) -> list[Block]:
        """The fenced blocks, in order."""
        text = self.text
        return [
            Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)
            for found in FENCE.finditer(text)
        ]

    @property
    def local_links(self) -> list[str]:
        """Targets within the project, without their anchors."""
        prose = FENCE.sub("", self.text)
        targets = (target.split("#", maxsplit=1)[0] for target in LINK.findall(prose))
        return [target for target in targets if target and "://" not in target]

    def section(self, heading: str) -> str:
        """What stands below a heading, up to the next one of the same or a higher level.

        Raises:
            AssertionError: there is no such heading.
        """
        level = heading.split(" ", maxsplit=1)[0]
        _, found, rest = f"\n{self.text}".partition(f"\n{heading}\n")
        assert found, f"{self.path.name} has no heading {heading!r}"
        return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(section: str) -> list[list[str]]:
    """The cells of all tables of a section, without headers, backquotes removed from cells that are nothing else."""
    found: list[list[str]] = []
    for before, line in zip(["", *section.splitlines()], section.splitlines(), strict=False):
        if line.startswith("|") and before.startswith("|") and not line.startswith("|--"):
            cells = [cell.strip().replace("\\|", "|") for cell in CELL_BORDER.split(line)[1:-1]]
            found.append([cell[1:-1] if re.fullmatch(r"`[^`]*`", cell) else cell for cell in cells])
    return found
