"""`memdeck index status|rebuild`: what is derived from the memories, so that they are found quickly, and may be dropped."""

import argparse
from typing import TYPE_CHECKING, Final

from memdeck_common.errors import MemdeckError
from memdeck_console.cli import scope
from memdeck_console.cli.command import Command, Invocation
from memdeck_console.cli.terminal import Cell, Column
from memdeck_console.cli.wording import number

if TYPE_CHECKING:
    from memdeck_common.client import Client
    from memdeck_common.wire.index import IndexStatus

LOOK: Final = 0.2
"""Seconds between two looks whether the rebuild is done."""
COLUMNS: Final = (
    Column("STATE"),
    Column("INDEXED", right=True),
    Column("MEMORIES", right=True),
    Column("LAG", right=True),
    Column("REBUILDS", right=True),
    Column("LINEAGE"),
)


VECTOR_COLUMNS: Final = (
    Column("VECTORS OF"),
    Column("SPACE", right=True),
    Column("STATE"),
    Column("MEMORIES", right=True),
    Column("WAITING", right=True),
    Column("UNSAVED", right=True),
    Column("MB", right=True),
)


class RebuildTooSlow(MemdeckError):
    """The rebuild goes on, but was not done in time; `memdeck index status` shows how far it is."""

    code = "rebuild_too_slow"


def _rebuild_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="come back while it is being rebuilt")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=scope.between(1, 86_400),
        default=3_600,
        help="longest wait (3600)",
    )


async def status(invocation: Invocation) -> int:
    """Show what the index holds and how far it is."""
    async with invocation.client() as client:
        _show(invocation, await client.index_status())
    return 0


async def rebuild(invocation: Invocation) -> int:
    """Build the index anew, and wait until that is done."""
    import asyncio  # late: start-up

    options, terminal = invocation.options, invocation.terminal
    async with invocation.client() as client:
        started = await client.rebuild_index()
        if options.no_wait:
            if terminal.as_json:
                terminal.json(started)
            else:
                terminal.say(started.message)
            return 0
        terminal.note(started.message)
        try:
            async with asyncio.timeout(options.timeout):
                found = await _rebuilt(client, started.rebuilds)
        except TimeoutError:
            raise RebuildTooSlow from None
    _show(invocation, found)
    return 0


async def _rebuilt(client: "Client", before: int) -> "IndexStatus":
    import asyncio  # late: start-up

    while True:
        found = await client.index_status()
        if found.rebuilds > before and found.complete:
            return found
        await asyncio.sleep(LOOK)


def _show(invocation: Invocation, found: "IndexStatus") -> None:
    terminal = invocation.terminal
    if terminal.as_json:
        terminal.json(found)
        return
    well = found.state == "following" and found.complete
    terminal.table(
        COLUMNS,
        [
            [
                Cell(found.state, "ok" if well else "warn"),
                number(found.documents),
                number(found.memories),
                number(found.lag),
                number(found.rebuilds),
                found.lineage or "",
            ]
        ],
    )
    if found.vectors:
        terminal.table(
            VECTOR_COLUMNS,
            [
                [
                    one.owner,
                    number(one.space),
                    Cell(one.state, "ok" if one.state in {"ready", "on disk"} else "warn"),
                    number(one.memories),
                    number(one.waiting),
                    number(one.unsaved),
                    number(one.bytes // 1_000_000),
                ]
                for one in found.vectors
            ],
        )


COMMANDS = (
    Command(
        "index",
        "state of the indexes; build them anew",
        details="The keyword index finds memories by their words, vector indexes find those of big owners by their meaning. "
        "They are derived: building them anew loses nothing, and searches go on.",
        examples=("memdeck index status", "memdeck index rebuild"),
        parts=(
            Command(
                "status",
                "what they hold and how far they are",
                status,
                examples=("memdeck index status --json",),
            ),
            Command(
                "rebuild",
                "build them anew from the memories",
                rebuild,
                _rebuild_options,
                examples=("memdeck index rebuild", "memdeck index rebuild --no-wait"),
            ),
        ),
    ),
)
