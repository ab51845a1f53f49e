"""The program: parse, run one command, turn what went wrong into a sentence and an exit code.

Exit codes: 0 done, 1 failed, 2 usage, 3 the daemon cannot be reached, 4 refused, 78 configuration; 130 and 143 after
ctrl+c and SIGTERM, 141 when the reader of the output went away, as shells count them.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from memdeck_common.errors import BadRequest, MemdeckError
from memdeck_console.cli.command import Command, Connect, Invocation
from memdeck_console.cli.terminal import Terminal
from memdeck_console.cli.version import run as show_version

if TYPE_CHECKING:
    from memdeck_common.client import Address, Client

INTERRUPTED, BROKEN_PIPE, TERMINATED = 130, 141, 143
SYNOPSIS = "The memory of a fleet of AI agents on one machine, and the deck from which a person runs it."
CODES = "exit codes: 0 done, 1 failed, 2 usage, 3 daemon not reachable, 4 refused, 78 configuration"


class Usage(BadRequest):
    """The command line cannot be understood."""

    code = "usage"


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


class Parser(argparse.ArgumentParser):
    """One that raises instead of exiting, and keeps examples as they are written."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise Usage(f"{message}. See `{self.prog} --help`.")


def build_parser(commands: Sequence[Command]) -> Parser:
    """The parser of all commands; `options.command` is the one that was chosen."""
    parser = Parser(
        prog="memdeck",
        description=SYNOPSIS,
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _common_options(parser, top=True)
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.set_defaults(command=None, group=None)
    _add_commands(parser, commands)
    return parser


def _add_commands(parser: Parser, commands: Sequence[Command]) -> None:
    group = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for command in commands:
        part = group.add_parser(
            command.name,
            help=command.summary,
            description=command.details or f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=_examples(command),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.options(part)
        _common_options(part, top=False)
        part.set_defaults(**({"group": part} if command.parts else {"command": command}))
        if command.parts:
            _add_commands(part, command.parts)


def _common_options(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """Options that every command takes, before or after its name."""
    default: str | None = None if top else argparse.SUPPRESS
    group = parser.add_argument_group("options of every command")
    group.add_argument(
        "--json", action="store_true", default=default or False, help="answer as JSON, for programs"
    )
    group.add_argument(
        "--home", metavar="DIR", default=default, help="home directory (MEMDECK_HOME; default ~/.memdeck)"
    )
    group.add_argument(
        "--url",
        metavar="URL",
        default=default,
        help="address of the daemon (MEMDECK_URL); its key: MEMDECK_API_KEY",
    )


def _examples(command: Command) -> str | None:
    return "examples:\n" + "\n".join(f"  {line}" for line in command.examples) if command.examples else None


def run(
    argv: Sequence[str],
    commands: Sequence[Command],
    *,
    environ: Mapping[str, str] = os.environ,
    streams: tuple[TextIO, TextIO, TextIO] | None = None,
    connect: Connect | None = None,
) -> int:
    """Run one command line; the exit code."""
    stdin, stdout, stderr = streams or (sys.stdin, sys.stdout, sys.stderr)
    terminal = Terminal(stdin, stdout, stderr, environ, as_json="--json" in argv)
    try:
        code = _dispatched(argv, commands, terminal, environ, connect or _client)
        stdout.flush()
    except BrokenPipeError:
        terminal.silence()
        return BROKEN_PIPE
    except KeyboardInterrupt as interruption:
        return TERMINATED if isinstance(interruption, Terminated) else INTERRUPTED
    except MemdeckError as error:
        return _failed(terminal, error)
    except OSError as error:
        return _failed(terminal, MemdeckError(_sentence(error)))
    except Exception as error:
        if environ.get("MEMDECK_DEBUG"):
            raise
        text = f"{type(error).__name__}: {error}. This is a fault of memdeck; MEMDECK_DEBUG=1 shows where."
        return _failed(terminal, MemdeckError(text))
    return code


def _dispatched(
    argv: Sequence[str],
    commands: Sequence[Command],
    terminal: Terminal,
    environ: Mapping[str, str],
    connect: Connect,
) -> int:
    parser = build_parser(commands)
    options = parser.parse_args(argv)
    if options.version:
        return show_version(Invocation(options, terminal, environ, connect))
    if options.command is None:
        (options.group or parser).print_help(terminal.stderr)
        return BadRequest.exit_code
    result: int | Coroutine[Any, Any, int] = options.command.run(
        Invocation(options, terminal, environ, connect)
    )
    if isinstance(result, int):
        return result
    import asyncio  # late: start-up
    import logging

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # ctrl+c in the middle of a request is no news
    return asyncio.run(result)


def _client(address: "Address") -> "Client":
    from memdeck_common.client import Client  # late: aiohttp

    return Client(address)


def _failed(terminal: Terminal, error: MemdeckError) -> int:
    terminal.failure(error.code, str(error))
    return error.exit_code


def _sentence(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}."


def main(commands: Sequence[Command]) -> int:
    """Run the command line of this process."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # asyncio would only cancel a task at the first ctrl+c, which does not end a question or the opening of a pipe.
        signal.signal(signal.SIGINT, end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a memory may hold what this terminal's encoding lacks
    return run(sys.argv[1:], commands)
