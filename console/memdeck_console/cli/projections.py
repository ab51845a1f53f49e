"""`memdeck projections status|rebuild`: what is derived from the memories, and may be dropped at any time."""

import argparse
from typing import TYPE_CHECKING, Final

from memdeck_common.errors import MemdeckError, NotFound
from memdeck_console.cli import scope
from memdeck_console.cli.command import Command, Invocation
from memdeck_console.cli.terminal import Cell, Column
from memdeck_console.cli.wording import number

if TYPE_CHECKING:
    from memdeck_common.client import Client
    from memdeck_common.wire.projections import Projection, Projections, Rebuilding, VectorStatus

LOOK: Final = 0.2
"""Seconds between two looks whether the rebuild is done."""
COLUMNS: Final = (
    Column("PROJECTION"),
    Column("STATE"),
    Column("HOLDS", right=True),
    Column("MEMORIES", right=True),
    Column("LAG", right=True),
    Column("PARKED", right=True),
    Column("REBUILDS", right=True),
    Column("LINEAGE"),
)
VECTORS: Final = (
    Column("VECTORS OF", cut=True),
    Column("SPACE", right=True),
    Column("STATE"),
    Column("MEMORIES", right=True),
    Column("WAITING", right=True),
    Column("UNSAVED", right=True),
    Column("MB", right=True),
)
PARKED: Final = (Column("PARKED IN"), Column("OWNER", cut=True), Column("MEMORY"), Column("REASON"))


class RebuildTooSlow(MemdeckError):
    """The rebuild goes on, but was not done in time; `memdeck projections status` shows how far it is."""

    code = "rebuild_too_slow"


def _rebuild_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="which one; without it all of them")
    parser.add_argument("--no-wait", action="store_true", help="come back while it is being rebuilt")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=scope.between(1, 86_400),
        default=3_600,
        help="longest wait (3600)",
    )


async def status(invocation: Invocation) -> int:
    """Show what they hold and how far they are."""
    async with invocation.client() as client:
        _show(invocation, await client.projections())
    return 0


async def rebuild(invocation: Invocation) -> int:
    """Build one anew, or all, and wait until that is done."""
    import asyncio  # late: start-up

    options, terminal = invocation.options, invocation.terminal
    async with invocation.client() as client:
        names = [options.name] if options.name else [p.name for p in (await client.projections()).projections]
        started = {name: await client.rebuild_projection(name) for name in names}
        for one in started.values():
            (terminal.say if options.no_wait and not terminal.as_json else terminal.note)(one.message)
        if options.no_wait:
            if terminal.as_json:
                terminal.json({"rebuilding": list(started)})
            return 0
        try:
            async with asyncio.timeout(options.timeout):
                found = await _rebuilt(client, started)
        except TimeoutError:
            raise RebuildTooSlow from None
    _show(invocation, found)
    return 0


async def _rebuilt(client: "Client", started: dict[str, "Rebuilding"]) -> "Projections":
    import asyncio  # late: start-up

    while True:
        found = await client.projections()
        known = {one.name: one for one in found.projections}
        if missing := started.keys() - known.keys():
            raise NotFound(f"{', '.join(sorted(missing))} is gone.")
        if all(
            known[name].rebuilds > before.rebuilds and known[name].complete
            for name, before in started.items()
        ):
            return found
        await asyncio.sleep(LOOK)


def _show(invocation: Invocation, found: "Projections") -> None:
    terminal = invocation.terminal
    if terminal.as_json:
        terminal.json(found)
        return
    terminal.table(COLUMNS, [_line(one) for one in found.projections])
    parked = [
        [one.name, memory.owner, memory.memory_id, memory.reason]
        for one in found.projections
        for memory in one.parked_memories
    ]
    if parked:
        terminal.say("")
        terminal.table(PARKED, parked)
    vectors = [_vectors(part) for one in found.projections for part in one.vectors]
    if vectors:
        terminal.say("")
        terminal.table(VECTORS, vectors)


def _vectors(one: "VectorStatus") -> list[Cell | str]:
    return [
        one.owner,
        number(one.space),
        Cell(one.state, "ok" if one.state in {"ready", "on disk"} else "warn"),
        number(one.memories),
        number(one.waiting),
        number(one.unsaved),
        number(one.bytes // 1_000_000),
    ]


def _line(one: "Projection") -> list[Cell | str]:
    well = one.state == "following" and one.complete
    return [
        Cell(one.name, "strong"),
        Cell(one.state, "ok" if well else "warn"),
        number(one.holds),
        number(one.memories),
        number(one.lag),
        Cell(number(one.parked), "warn" if one.parked else ""),
        number(one.rebuilds),
        one.lineage or "",
    ]


COMMANDS = (
    Command(
        "projections",
        "what is derived from the memories; build it anew",
        details="The keyword index finds memories by their words, vector indexes find those of big owners by their meaning. "
        "They are derived: building them anew loses nothing, and searches go on.",
        examples=("memdeck projections status", "memdeck projections rebuild lexical"),
        parts=(
            Command(
                "status",
                "what they hold and how far they are",
                status,
                examples=("memdeck projections status --json",),
            ),
            Command(
                "rebuild",
                "build one anew from the memories, or all",
                rebuild,
                _rebuild_options,
                examples=("memdeck projections rebuild", "memdeck projections rebuild lexical --no-wait"),
            ),
        ),
    ),
)
