"""`memdeck up|console|down`: the daemon's life, and the way into the console.

The console is a guest: it never owns the daemon. `up` starts one in the background when none runs, and leaves it
running; without a terminal it becomes the daemon itself, in the foreground, as service managers and containers want it.
"""

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING

from memdeck_common.errors import ConfigurationError, Conflict, Forbidden, MemdeckError
from memdeck_console.cli import scope
from memdeck_console.cli.command import Command, Invocation
from memdeck_console.core.formatting import duration

if TYPE_CHECKING:
    from memdeck_common.client import Address
    from memdeck_common.wire.health import DaemonFile

STOP_PATIENCE = 30.0
"""Seconds that a daemon gets to finish its requests and stop its database."""
HIGHEST_PORT = 65535


def _console_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ascii", action="store_true", help="plain characters only")
    parser.add_argument("--theme", metavar="NAME", help="dark, light or high-contrast")
    parser.add_argument("--read-only", action="store_true", help="hide everything that changes something")


def _up_options(parser: argparse.ArgumentParser) -> None:
    port = scope.between(0, HIGHEST_PORT)
    parser.add_argument(
        "--port", metavar="N", type=port, help="port of the API (8888); 0 lets the system choose"
    )
    parser.add_argument("--metrics-port", metavar="N", type=port, help="port of the metrics (9103)")
    parser.add_argument("--no-console", action="store_true", help="start in the background and return")
    _console_options(parser)


def up(invocation: Invocation) -> int:
    """Start the daemon if none runs, then open the console."""
    import asyncio  # late: start-up

    from memdeck_console.cli import process

    options, terminal, home = invocation.options, invocation.terminal, invocation.home
    flags = {"--port": options.port, "--metrics-port": options.metrics_port}
    given = {flag: str(value) for flag, value in flags.items() if value is not None}
    instance = _checked(invocation, given)
    background = options.no_console or terminal.as_json
    running = asyncio.run(process.answering(home, invocation.connect))
    if running is None and not background and not terminal.full_screen and not process.lock_held(home):
        return _foreground(process.command_line(home, given), invocation)
    file, missing = (running, []) if running else asyncio.run(_started(invocation, given))
    if terminal.as_json:
        terminal.json({"started": running is None, "daemon": file})
    else:
        _tell(invocation, file, started=running is None, missing=missing)
    if background or not terminal.full_screen:
        return 0
    code = _open_console(invocation, _own_address(invocation), instance)
    terminal.note(f"The daemon keeps running at {file.url}. `memdeck down` stops it.")
    return code


def _checked(invocation: Invocation, given: dict[str, str]) -> str:
    """The name of the instance; what cannot work is told before anything starts.

    Raises:
        ConfigurationError: home or settings cannot be used.
    """
    from memdeck_common.settings import load  # late: start-up

    root = invocation.home.root
    if root.exists() and not root.is_dir():
        raise ConfigurationError(
            f"{root} is not a directory; move that file away, or choose another home with --home or MEMDECK_HOME."
        )
    ports = {"MEMDECK_PORT": given.get("--port"), "MEMDECK_METRICS_PORT": given.get("--metrics-port")}
    return load({"MEMDECK_HOME": str(root), **ports}, invocation.environ).instance


def _foreground(command: list[str], invocation: Invocation) -> int:
    sys.stdout.flush()
    # Becoming the daemon hands it signals, terminal and exit code without anything in between.
    os.execve(command[0], command, dict(invocation.environ))  # noqa: S606 - our own binary, fixed arguments


async def _started(invocation: Invocation, flags: dict[str, str]) -> "tuple[DaemonFile, list[str]]":
    """The daemon, and what it lacks."""
    from memdeck_console.cli import process

    home = invocation.home
    waiting = process.Waiting(
        home, process.LogTail(home.log_file), invocation.connect, invocation.terminal.note
    )
    child = None if process.lock_held(home) else process.start(home, flags, invocation.environ)
    return await waiting.until_ready(child), waiting.missing


def _tell(invocation: Invocation, file: "DaemonFile", *, started: bool, missing: list[str]) -> None:
    words = "serves, but is not ready yet," if missing else "is ready" if started else "is running already"
    for sentence in missing:
        invocation.terminal.note(f"It waits for {sentence}")
    invocation.terminal.say(f"memdeck {words} at {file.url} (metrics {file.metrics_url}, pid {file.pid})")


def console(invocation: Invocation) -> int:
    """Open the console; it waits for a daemon that is down."""
    if not invocation.terminal.full_screen:
        raise Conflict(
            "The console needs a terminal. For programs there are `memdeck status --json` and the others."
        )
    address = invocation.address() if invocation.options.url else None
    return _open_console(invocation, address)


def _own_address(invocation: Invocation) -> "Address | None":
    """The home's own daemon, whatever MEMDECK_URL says; None where the console finds it by itself, also after a restart."""
    from memdeck_common.client import find_daemon  # late: aiohttp

    if not invocation.environ.get("MEMDECK_URL"):
        return None
    return find_daemon(invocation.home, {k: v for k, v in invocation.environ.items() if k != "MEMDECK_URL"})


def _open_console(invocation: Invocation, address: "Address | None", instance: str = "") -> int:
    from memdeck_console.app import run_console  # late: Textual

    options = invocation.options
    return run_console(
        address,
        invocation.home,
        ascii=options.ascii,
        read_only=options.read_only,
        theme=options.theme,
        instance=instance,
    )


async def down(invocation: Invocation) -> int:
    """Stop the home's daemon."""
    from memdeck_console.cli import process

    home = invocation.home
    file = await process.answering(home, invocation.connect)
    if file is None and not process.lock_held(home):
        _stopped(invocation, None, f"memdeck is down already ({home.root}).")
        return 0
    file = file or process.daemon_file(home)
    if file is None or not (
        await process.answering(home, invocation.connect) or process.opened_by(file.pid, home.daemon_lock)
    ):
        raise Conflict(
            f"A daemon holds {home.daemon_lock}, but which process it is cannot be made sure; nothing was stopped. "
            "If it is still starting, try again shortly."
        )
    await _stop(invocation, file)
    _stopped(invocation, file.pid, "memdeck is down; its data is safe on disk.")
    return 0


async def _stop(invocation: Invocation, file: "DaemonFile") -> None:
    import asyncio  # late: start-up

    from memdeck_console.cli import process

    try:
        os.kill(file.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise Forbidden(
            f"The daemon (pid {file.pid}) belongs to another user; stop it as that user."
        ) from None
    loop = asyncio.get_running_loop()
    begin, told = loop.time(), process.PATIENCE
    while process.lock_held(invocation.home):
        elapsed = loop.time() - begin
        if elapsed > STOP_PATIENCE:
            raise MemdeckError(
                f"The daemon (pid {file.pid}) is still stopping after {duration(elapsed)}; it finishes by itself. "
                f"Its log: {invocation.home.log_file}"
            )
        if elapsed >= told:
            invocation.terminal.note(f"  {process.duration_words(elapsed)}  waiting for the daemon to finish")
            told = elapsed + 2
        await asyncio.sleep(process.POLL)


def _stopped(invocation: Invocation, pid: int | None, sentence: str) -> None:
    if invocation.terminal.as_json:
        invocation.terminal.json({"stopped": pid is not None, "pid": pid})
    else:
        invocation.terminal.say(sentence)


COMMANDS = (
    Command(
        "up",
        "start the daemon if none runs, then open the console",
        up,
        _up_options,
        details=(
            "Start the daemon in the background if none runs, then open the console. Quitting the console leaves the\n"
            "daemon running. Without a terminal, the daemon runs in the foreground instead; --json and --no-console\n"
            "start it in the background and return."
        ),
        examples=("memdeck up", "memdeck up --home ~/test --port 0 --metrics-port 0 --no-console --json"),
    ),
    Command(
        "console",
        "open the console",
        console,
        _console_options,
        details="Open the console. It starts while the daemon is down and attaches as soon as that answers.",
        examples=("memdeck console", "memdeck console --read-only --url http://127.0.0.1:8888"),
    ),
    Command("down", "stop the daemon", down, examples=("memdeck down", "memdeck down --home ~/test --json")),
)
