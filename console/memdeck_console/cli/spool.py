"""`memdeck spool status|replay|export`: writes that wait on the disk while the database does not take them."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from memdeck_common.errors import MemdeckError
from memdeck_console.cli import scope
from memdeck_console.cli.command import Command, Invocation
from memdeck_console.cli.terminal import Cell, Column, Tone
from memdeck_console.cli.wording import MISSING, counted, instant, number, size

if TYPE_CHECKING:
    from memdeck_common.client import Client
    from memdeck_common.wire.spool import SpoolStatus

LOOK: Final = 0.2
"""Seconds between two looks whether all of it is done."""
TONES: Final[dict[str, Tone]] = {
    "empty": "ok",
    "replaying": "warn",
    "waiting": "warn",
    "full": "crit",
    "off": "muted",
}
PARKED: Final = (Column("RECEIPT"), Column("KIND"), Column("ACKNOWLEDGED"), Column("REASON", cut=True))


class ReplayTooSlow(MemdeckError):
    """Writes still wait; they are carried out as soon as the database takes them. `memdeck spool status` shows how far it is."""

    code = "replay_too_slow"


def _replay_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parked", action="store_true", help="also what was set aside, once more")
    parser.add_argument("--no-wait", action="store_true", help="come back while it is going on")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=scope.between(1, 86_400), default=600, help="longest wait (600)"
    )


def _export_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", "-o", metavar="FILE", default="-", help="file to write (-: standard output)"
    )


async def status(invocation: Invocation) -> int:
    """Show what waits and what was set aside."""
    async with invocation.client() as client:
        _show(invocation, await client.spool())
    return 0


async def replay(invocation: Invocation) -> int:
    """Carry out what waits, and wait until that is done."""
    import asyncio  # late: start-up

    options, terminal = invocation.options, invocation.terminal
    async with invocation.client() as client:
        started = await client.replay_spool(parked=options.parked)
        if options.no_wait:
            if terminal.as_json:
                terminal.json(started)
            else:
                terminal.say(started.message)
            return 0
        terminal.note(started.message)
        try:
            async with asyncio.timeout(options.timeout):
                found = await _emptied(client, terminal.note)
        except TimeoutError:
            raise ReplayTooSlow from None
    _show(invocation, found)
    return 0


async def _emptied(client: "Client", tell: Callable[[str], None]) -> "SpoolStatus":
    import asyncio  # late: start-up

    told = ""
    while True:
        found = await client.spool()
        if not found.waiting:
            return found
        if found.note and found.note != told:
            told = found.note
            tell(f"{counted(found.waiting, 'write')} left; waits for: {told}")
        await asyncio.sleep(LOOK)


async def export(invocation: Invocation) -> int:
    """Write everything in the spool as JSON lines."""
    target, count = invocation.options.output, 0
    with _opened(target) as file:
        async with invocation.client() as client:
            async for line in client.export_spool():
                file.write(line)
                count += 1
        file.flush()
    if target != "-":
        invocation.terminal.note(f"exported {count} writes to {target}")
    return 0


@contextmanager
def _opened(target: str) -> Iterator[IO[bytes]]:
    """Standard output, or a file that nobody else may read."""
    if target == "-":
        yield sys.stdout.buffer
        return
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
        yield file


def _show(invocation: Invocation, found: "SpoolStatus") -> None:
    terminal = invocation.terminal
    if terminal.as_json:
        terminal.json(found)
        return
    facts: dict[str, Cell | str] = {
        "state": Cell(found.state, TONES[found.state]),
        "waiting": counted(found.waiting, "write"),
        "oldest": MISSING if found.oldest_seconds is None else f"{found.oldest_seconds:.0f} s",
        "size": f"{size(found.bytes)} of {size(found.limit_bytes)}",
        "carried out": f"{number(found.replayed)} since the start",
        "parked": Cell(number(found.parked), "warn" if found.parked else ""),
    }
    if found.note:
        facts["waits for"] = found.note
    terminal.facts(facts)
    if found.parked_writes:
        terminal.say("")
        terminal.table(
            PARKED, [[one.receipt_id, one.kind, instant(one.at), one.reason] for one in found.parked_writes]
        )
    for part in found.damaged:
        terminal.say(f"damaged: {size(part.bytes)} in spool/parked/{part.name}")


COMMANDS = (
    Command(
        "spool",
        "writes that wait on the disk; carry them out, export them",
        details="While the database does not answer, writes are kept on the disk and acknowledged; they are carried out as soon as it does.",
        examples=(
            "memdeck spool status",
            "memdeck spool replay --parked",
            "memdeck spool export -o writes.jsonl",
        ),
        parts=(
            Command(
                "status",
                "what waits, and what was set aside",
                status,
                examples=("memdeck spool status --json",),
            ),
            Command(
                "replay",
                "carry out what waits, now",
                replay,
                _replay_options,
                examples=("memdeck spool replay", "memdeck spool replay --parked --no-wait"),
            ),
            Command(
                "export",
                "everything in the spool as JSON lines",
                export,
                _export_options,
                details="Waiting and parked writes with all that they hold. Needs an admin key.",
                examples=("memdeck spool export", "memdeck spool export -o writes.jsonl"),
            ),
        ),
    ),
)
