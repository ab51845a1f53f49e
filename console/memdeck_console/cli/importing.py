"""`memdeck import`: memories from a file of JSON lines.

A file is read twice: first to check each line, so that a bad one stops the import before anything is stored, then to
store. A pipe is read once. Every line travels with an idempotency key made of the file up to that line, so that an
import that was broken off can simply be run again within a day: what is there is not doubled.
"""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from memdeck_common.client import Client
from memdeck_common.errors import BadRequest, BodyTooLarge, DaemonUnreachable, MemdeckError, Unavailable
from memdeck_console.cli import scope
from memdeck_console.cli.command import Invocation
from memdeck_console.cli.lanes import Lanes
from memdeck_console.cli.lines import Broken, Entry, Reader
from memdeck_console.cli.terminal import Progress, Terminal
from memdeck_console.cli.wording import counted

WIDTH = 8
"""Adds under way at once."""
DEPTH = 256
"""Lines held in memory."""
RETRIES = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each further attempt, while the daemon or its database is away."""
LONGEST_LINE = 32 * 1024 * 1024
SHOWN = 10
"""Bad lines that are told one by one."""


class BadLines(BadRequest):
    """Lines of the file cannot be imported."""

    code, exit_code = "bad_lines", 1


@dataclass(slots=True)
class Tally:
    """What became of the lines."""

    lines: int = 0
    stored: int = 0
    duplicates: int = 0
    """Of the stored ones: those whose text was there already."""
    skipped: int = 0
    """Messages that the daemon had a reason not to store."""
    pending: int = 0
    earlier: int = 0
    """Lines that an earlier run of the same import has stored."""
    bad: list[Broken] = field(default_factory=list)
    bad_count: int = 0

    def broken(self, line: Broken) -> None:
        """Count a bad line; the first ones are kept."""
        self.bad_count += 1
        if len(self.bad) < SHOWN:
            self.bad.append(line)


async def run(invocation: Invocation) -> int:
    """Import a file."""
    options, terminal = invocation.options, invocation.terminal
    tally = Tally()
    salt = secrets.token_hex(8) if options.again else ""

    def reader() -> Reader:
        return Reader(scope.identifiers(options), salt=salt)

    with _opened(options.file, terminal) as stream:
        total = None
        if stream.seekable():
            begin = stream.tell()
            total = _checked(stream, reader(), skip_bad=options.skip_bad)
            stream.seek(begin)
        async with invocation.client() as client:
            with terminal.progress("importing", total) as progress:
                lines = _taken(_read(stream), reader())
                await _store_all(client, lines, tally, progress, skip_bad=options.skip_bad)
    _report(terminal, tally)
    return 0


@contextmanager
def _opened(name: str, terminal: Terminal) -> Iterator[IO[bytes]]:
    if name == "-":
        yield getattr(terminal.stdin, "buffer", sys.stdin.buffer)
        return
    with Path(name).open("rb") as stream:
        yield stream


async def _read(stream: IO[bytes]) -> AsyncIterator[bytes]:
    """The lines; waiting for a pipe must not hold up the requests under way."""
    if stream.seekable():
        for line in stream:
            yield line
        return
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, stream)
    try:
        while line := await reader.readline():
            yield line
    except ValueError:
        raise BadLines(f"A line is longer than {LONGEST_LINE:,} bytes.") from None
    finally:
        transport.close()


async def _taken(lines: AsyncIterator[bytes], reader: Reader) -> AsyncIterator[Entry | Broken]:
    async for line in lines:
        if taken := reader.take(line):
            yield taken


def _checked(stream: IO[bytes], reader: Reader, *, skip_bad: bool) -> int:
    """How many lines there are; all of them can be stored, unless bad ones are to be skipped."""
    tally, total = Tally(), 0
    for line in filter(None, map(reader.take, stream)):
        total += 1
        if isinstance(line, Broken):
            tally.broken(line)
    if tally.bad_count and not skip_bad:
        raise BadLines(
            f"{_bad_sentence(tally)} Nothing was stored. Mend the file, or go on without them: --skip-bad."
        )
    return total


async def _store_all(
    client: Client, lines: AsyncIterator[Entry | Broken], tally: Tally, progress: Progress, *, skip_bad: bool
) -> None:
    async def store(entry: Entry) -> None:
        try:
            await _store(client, entry, tally)
        except (BadRequest, BodyTooLarge) as error:
            if not skip_bad:
                raise BadLines(f"line {entry.number}: {error} {_so_far(tally)}") from error
            tally.broken(Broken(entry.number, str(error)))
        except MemdeckError as error:
            raise type(error)(f"line {entry.number}: {error} {_so_far(tally)}") from error
        else:
            tally.lines += 1
        progress.advance()
        progress.note(f"{tally.bad_count} bad" if tally.bad_count else "")

    async with Lanes(store, width=WIDTH, depth=DEPTH).open() as lanes:
        async for line in lines:
            if isinstance(line, Entry):
                await lanes.put(line.lane, line)
                continue
            tally.broken(line)
            progress.advance()
            if not skip_bad:
                break
    if tally.bad_count and not skip_bad:
        raise BadLines(f"{_bad_sentence(tally)} {_so_far(tally)}")


async def _store(client: Client, entry: Entry, tally: Tally) -> None:
    repeated = False
    for pause in (*RETRIES, None):
        try:
            receipt = await client.add(entry.messages, idempotency_key=entry.key, **entry.fields)
            break
        except (Unavailable, DaemonUnreachable):
            # The key makes a repeated add harmless, even where the first one arrived.
            if pause is None:
                raise
            repeated = True
            await asyncio.sleep(pause)
    if receipt.replayed is True and not repeated:
        tally.earlier += 1
        return
    if receipt.status == "PENDING":
        tally.pending += 1
    for added in receipt.results or []:
        if added.event == "NONE":
            tally.skipped += 1
        else:
            tally.stored += 1
            tally.duplicates += bool(added.duplicate_of)


def _so_far(tally: Tally) -> str:
    stored = counted(tally.stored, "memory", "memories")
    return f"Stopped after {stored}; run the same import again to go on, nothing will be doubled."


def _bad_sentence(tally: Tally) -> str:
    told = "; ".join(f"line {line.number}: {line.reason}" for line in tally.bad)
    more = f"; and {tally.bad_count - len(tally.bad):,} more" if tally.bad_count > len(tally.bad) else ""
    return f"{counted(tally.bad_count, 'line')} cannot be imported: {told}{more}."


def _report(terminal: Terminal, tally: Tally) -> None:
    if terminal.as_json:
        bad = [{"line": line.number, "reason": line.reason} for line in tally.bad]
        counts = {
            name: getattr(tally, name)
            for name in ("lines", "stored", "earlier", "duplicates", "skipped", "pending")
        }
        terminal.json({**counts, "bad": tally.bad_count, "bad_lines": bad})
        return
    words = [f"stored {counted(tally.stored, 'memory', 'memories')} from {counted(tally.lines, 'line')}"]
    if tally.earlier:
        words.append(
            f"{counted(tally.earlier, 'line')} stored by an earlier run already (--again stores them anew)"
        )
    if tally.duplicates:
        words.append(f"{tally.duplicates:,} with a text that was there already")
    if tally.skipped:
        words.append(f"{tally.skipped:,} not stored by the daemon's rules")
    if tally.pending:
        words.append(f"{tally.pending:,} not in the database yet: `memdeck spool status`")
    terminal.say("; ".join(words))
    if tally.bad_count:
        terminal.note(_bad_sentence(tally))
