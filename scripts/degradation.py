"""Writes docs/degradation.md from the table in `memdeck_daemon/api/degradation.py`: `python -m scripts.degradation`."""

from collections.abc import Iterator
from pathlib import Path

from memdeck_daemon.api.degradation import KINDS, PARTS, WITHOUT_EFFECT, Down, subsets
from memdeck_daemon.infra.resilience.modes import MEANING, MODES

TARGET = Path(__file__).resolve().parent.parent / "docs" / "degradation.md"

HEAD = """# What is answered while parts are down

Made from the table in the code by `python -m scripts.degradation`; the tests take every set of parts away and compare.

A cell has the status, in brackets what `Memdeck-Degraded` names, and `unverified` where `Memdeck-Cache` says so: nobody could be
asked whether a kept answer still holds. It is not given when a later write, or one that waits on the disk, is known to say
otherwise. Every 503 has `Retry-After`. Parts that are not configured are not missing.
"""


def document() -> str:
    """The whole document."""
    return "\n".join([HEAD, *_kinds(), *_matrix(), *_modes()]) + "\n"


def _kinds() -> Iterator[str]:
    yield "## Kinds of routes\n"
    yield "| kind | routes |"
    yield "|---|---|"
    for kind in KINDS:
        yield f"| {kind.name} | {kind.meaning} |"
    yield ""
    for part, reason in WITHOUT_EFFECT.items():
        yield f"- `{part}` changes no answer: {reason}."
    yield ""


def _matrix() -> Iterator[str]:
    yield "## Every set of parts\n"
    yield "| down | " + " | ".join(kind.name for kind in KINDS) + " |"
    yield "|---" * (len(KINDS) + 1) + "|"
    for down in subsets():
        yield f"| {_named(down)} | " + " | ".join(kind.answer(down).words for kind in KINDS) + " |"
    yield ""


def _named(down: Down) -> str:
    return ", ".join(part for part in PARTS if part in down) or "nothing"


def _modes() -> Iterator[str]:
    yield "## Modes\n"
    yield "| mode | meaning |"
    yield "|---|---|"
    for mode in MODES:
        yield f"| `{mode}` | {MEANING[mode]} |"


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
