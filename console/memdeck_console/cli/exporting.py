"""`memdeck export`: memories as JSON lines, as `memdeck import` takes them.

Owns the order and the wholeness of what is written. The API gives pages with the newest first; an import must see the
oldest first, or the neighbours within a run would be swapped. So pages go to a spool, each turned round, and the spool is
copied page by page from its end. The file appears under its name only when it is whole.
"""

import os
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any

import msgspec

from memdeck_common.client import Client
from memdeck_common.errors import BadRequest
from memdeck_common.wire.memory import Memory
from memdeck_console.cli import scope
from memdeck_console.cli.command import Invocation
from memdeck_console.cli.terminal import Progress, Terminal
from memdeck_console.cli.wording import counted

PAGE = 200
REMEMBERED = 4
"""Pages whose ids are kept, so that memories which move from page to page meanwhile are written once."""


async def run(invocation: Invocation) -> int:
    """Export to a file or to stdout."""
    options, terminal = invocation.options, invocation.terminal
    target = None if options.output == "-" else Path(options.output)
    if target is not None and not target.parent.is_dir():
        raise BadRequest(f"There is no folder {target.parent} to write {target.name} into.")
    where = scope.scope_filter(options)
    async with invocation.client() as client:
        # The spool lies beside the target, where there must be space anyway.
        with tempfile.TemporaryFile(dir=target.parent if target else None) as spool:
            first = await client.page(where, page_size=1, show_expired=True)
            with terminal.progress("exporting", first.count) as progress:
                ends = await _spooled(client, where, spool, progress)
            count = _published(spool, ends, target, terminal)
    if target is not None and terminal.as_json:
        terminal.json({"exported": count, "file": str(target)})
    else:
        terminal.note(f"exported {counted(count, 'memory', 'memories')} to {target or 'stdout'}")
    return 0


async def _spooled(
    client: Client, where: dict[str, Any], spool: IO[bytes], progress: Progress
) -> list[tuple[int, int]]:
    """Write all pages; `(offset, memories)` of each, in the order of the spool."""
    ends: list[tuple[int, int]] = []
    async for page in _pages(client, where):
        spool.write(b"".join(line_of(memory) for memory in reversed(page)))
        ends.append((spool.tell(), len(page)))
        progress.advance(len(page))
    return ends


async def _pages(client: Client, where: dict[str, Any]) -> AsyncIterator[list[Memory]]:
    """The memories page by page, newest first, each of them once.

    New memories push others to later pages, which are then met again and left out. When the count shrinks, others have
    moved to earlier pages: then one page is read again.
    """
    seen: deque[set[str]] = deque(maxlen=REMEMBERED)
    number, count = 1, 0
    while True:
        page = await client.page(where, page=number, page_size=PAGE, show_expired=True)
        if page.count < count and number > 1:
            number, count = number - 1, page.count
            continue
        known = set().union(*seen)
        fresh = [memory for memory in page.results if memory.id not in known]
        seen.append({memory.id for memory in page.results})
        if fresh:
            yield fresh
        if not page.next:
            return
        number, count = number + 1, page.count


def line_of(memory: Memory) -> bytes:
    """One memory as a line, under the names that an import reads; empty fields are left out."""
    values = msgspec.to_builtins(memory)
    values["run_id"] = memory.run_id or memory.session_id
    for name in ("session_id", "score", "score_details"):
        values.pop(name, None)
    return (
        msgspec.json.encode(
            {name: value for name, value in values.items() if value not in (None, {}, [], False)}
        )
        + b"\n"
    )


def _published(spool: IO[bytes], ends: list[tuple[int, int]], target: Path | None, terminal: Terminal) -> int:
    """Copy the spool, last page first, to where it was asked for; how many memories it holds."""
    if target is None:
        terminal.stdout.flush()
        _copied(spool, ends, terminal.stdout.buffer)
        terminal.stdout.buffer.flush()
    else:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, made 0600 by mkstemp
                _copied(spool, ends, file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return sum(count for _, count in ends)


def _copied(spool: IO[bytes], ends: list[tuple[int, int]], out: IO[bytes]) -> None:
    begins = [0, *(end for end, _ in ends)]
    for index in range(len(ends) - 1, -1, -1):
        spool.seek(begins[index])
        out.write(spool.read(begins[index + 1] - begins[index]))
