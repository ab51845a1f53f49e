"""`memdeck spaces list|add|compare|switch|drop`: another embedding model, while searches go on."""

import argparse
from typing import TYPE_CHECKING

from memdeck_common.errors import NotFound
from memdeck_console.cli import scope
from memdeck_console.cli.command import Command, Invocation
from memdeck_console.cli.removal import add_confirm_option
from memdeck_console.cli.terminal import Cell, Column, Tone, clean, confirm
from memdeck_console.cli.wording import number

if TYPE_CHECKING:
    from memdeck_common.wire.spaces import Comparison, Scores, Space

COLUMNS = (
    Column("ID"),
    Column("ROLE"),
    Column("MODEL", cut=True),
    Column("DIMS", right=True),
    Column("FILLED", right=True),
    Column("EMBEDDED", right=True),
    Column("QUEUE", right=True),
    Column("PARKED", right=True),
    Column("WHERE", cut=True),
)
SCORES = (
    Column("SPACE"),
    Column("MODEL", cut=True),
    Column("UNRELATED", right=True),
    Column("BEST P10", right=True),
    Column("P50", right=True),
    Column("P90", right=True),
)
TONES: dict[str, Tone] = {"primary": "ok", "candidate": "warn", "retired": "muted"}
WHOLE = 100.0
LARGEST = 32_767


def _id_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=scope.between(1, LARGEST), help="id of the space")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="name of the model at its embedder")
    parser.add_argument(
        "--dims", metavar="N", type=scope.between(1, 10**6), help="dimensions; without it, it is asked"
    )
    parser.add_argument(
        "--embedder", metavar="URL", help="where it is (MEMDECK_EMBEDDING_URL); its key goes there only"
    )


def _compare_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--queries",
        metavar="N",
        type=scope.between(1, 500),
        default=50,
        help="recent memories as queries (50)",
    )


def _switch_options(parser: argparse.ArgumentParser) -> None:
    _id_option(parser)
    parser.add_argument("--force", action="store_true", help="also while it does not hold all memories")


def _drop_options(parser: argparse.ArgumentParser) -> None:
    _id_option(parser)
    parser.add_argument(
        "--force", action="store_true", help="also the one in use; the local one answers then"
    )
    add_confirm_option(parser)


async def listing(invocation: Invocation) -> int:
    """Show all spaces."""
    async with invocation.client() as client:
        found = await client.spaces()
    if invocation.terminal.as_json:
        invocation.terminal.json(found)
    else:
        invocation.terminal.table(COLUMNS, [_row(space) for space in found.spaces])
    return 0


def _row(space: "Space") -> list[Cell | str]:
    filled = f"{space.percent:.0f} %" if space.percent >= WHOLE else f"{min(space.percent, 99.9):.1f} %"
    return [
        str(space.id),
        Cell(space.role, TONES.get(space.role, "")),
        space.model,
        str(space.dimensions),
        filled,
        number(space.embedded),
        number(space.waiting),
        Cell(number(space.parked), "warn" if space.parked else ""),
        Cell(space.url or "this machine", "muted"),
    ]


async def add(invocation: Invocation) -> int:
    """Bring a model in."""
    from memdeck_common.wire.spaces import NewSpace  # late: start-up

    options, terminal = invocation.options, invocation.terminal
    new = NewSpace(model=options.model, dims=options.dims, url=options.embedder)
    async with invocation.client() as client:
        space = await client.add_space(new)
    _told(invocation, "added", space)
    if space.role == "candidate":
        terminal.note(
            f"It is being filled in the background: `memdeck spaces list` shows how far it is, `memdeck spaces compare` "
            f"what it would change, `memdeck spaces switch {space.id}` uses it."
        )
    return 0


def _told(invocation: Invocation, done: str, space: "Space") -> None:
    if invocation.terminal.as_json:
        invocation.terminal.json(space)
    else:
        invocation.terminal.say(f"{done}  {space.id}  {clean(space.model)}  {space.dimensions}  {space.role}")


async def compare(invocation: Invocation) -> int:
    """Show what the candidate would change."""
    async with invocation.client() as client:
        found = await client.compare_spaces(invocation.options.queries)
    terminal = invocation.terminal
    if terminal.as_json:
        terminal.json(found)
        return 0
    if found.overlap_at_10 is None:
        terminal.say("The candidate holds no memories that could be compared yet.")
        return 0
    terminal.say(
        f"Of the ten nearest memories of {found.queries} recent ones both spaces agree on {found.overlap_at_10:.0%}."
    )
    terminal.table(SCORES, _scores(found))
    return 0


def _scores(found: "Comparison") -> list[list[Cell | str]]:
    sides: list[tuple[str, Scores | None]] = [("primary", found.primary), ("candidate", found.candidate)]
    return [
        [
            Cell(role, TONES[role]),
            scores.name,
            "–" if scores.background is None else f"{scores.background:.3f}",
            f"{scores.best_p10:.3f}",
            f"{scores.best_p50:.3f}",
            f"{scores.best_p90:.3f}",
        ]
        for role, scores in sides
        if scores is not None
    ]


async def switch(invocation: Invocation) -> int:
    """Search with the candidate from now on."""
    options = invocation.options
    async with invocation.client() as client:
        space = await client.switch_space(options.id, force=options.force)
    _told(invocation, "switched to", space)
    return 0


async def drop(invocation: Invocation) -> int:
    """Remove a space with its vectors."""
    options, terminal = invocation.options, invocation.terminal
    async with invocation.client() as client:
        instance = (await client.health()).instance
        space = next((s for s in (await client.spaces()).spaces if s.id == options.id), None)
        if space is None:
            raise NotFound(f"There is no space {options.id}; `memdeck spaces list` shows those that exist.")
        what = f"This removes space {space.id} ({clean(space.model)}, {space.role}) and its {number(space.embedded)} vectors"
        confirm(terminal, instance, options.confirm, what)
        dropped = await client.drop_space(options.id, force=options.force)
    _told(invocation, "dropped", dropped)
    return 0


COMMANDS = (
    Command(
        "spaces",
        "change the embedding model while searches go on",
        details=(
            "Embedding spaces. A new model is added as candidate and filled in the background, compared with the primary "
            "one, and switched to; the space before is retired until it is dropped, or added again."
        ),
        examples=(
            "memdeck spaces add --model text-embedding-3-large --dims 1024",
            "memdeck spaces compare",
            "memdeck spaces switch 3",
            "memdeck spaces drop 2",
        ),
        parts=(
            Command("list", "show spaces", listing, examples=("memdeck spaces list --json",)),
            Command(
                "add",
                "bring a model in",
                add,
                _add_options,
                examples=(
                    "memdeck spaces add --model text-embedding-3-large --dims 1024",
                    "memdeck spaces add --model bge-m3 --embedder http://127.0.0.1:11434",
                ),
            ),
            Command(
                "compare",
                "show what the candidate would change",
                compare,
                _compare_options,
                examples=("memdeck spaces compare --queries 200",),
            ),
            Command(
                "switch",
                "search with the candidate from now on",
                switch,
                _switch_options,
                examples=("memdeck spaces switch 3",),
            ),
            Command(
                "drop",
                "remove a space with its vectors",
                drop,
                _drop_options,
                examples=("memdeck spaces drop 2 --confirm default",),
            ),
        ),
    ),
)
