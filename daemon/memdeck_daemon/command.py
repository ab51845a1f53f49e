"""The command line of the daemon.

Owns flags, exit codes and the event loop. `serve` runs in the foreground until SIGTERM or SIGINT; `check` looks at the
settings alone.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from memdeck_common import __version__, log
from memdeck_common.errors import MemdeckError
from memdeck_common.settings import Settings, load

EXAMPLES = """examples:
  memdeckd serve                              the daemon of ~/.memdeck on ports 8888 and 9103
  memdeckd serve --home /srv/memory --port 0  another home, a port that the system chooses
  memdeckd check                              whether the settings can be used

settings come from flags, the environment, DIR/.env, ./.env, defaults, in this order; .env.example lists them all.
exit codes: 0 done, 1 failed, 2 usage, 78 configuration error"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    options = _parser().parse_args(arguments)
    flags = {
        "MEMDECK_HOME": options.home,
        "MEMDECK_PORT": getattr(options, "port", None),
        "MEMDECK_METRICS_PORT": getattr(options, "metrics_port", None),
    }
    try:
        settings = load(flags)
        log.configure(settings.server.log_level)
        if options.command == "check":
            sys.stdout.write(f"The settings of {settings.home.root} can be used.\n")
            return 0
        return _serve(settings)
    except MemdeckError as error:
        sys.stderr.write(f"memdeckd: {error}\n")
        return error.exit_code


def _serve(settings: Settings) -> int:
    from memdeck_daemon.infra import descriptors, heap, interpreter

    interpreter.share()
    heap.economise()  # before the first thread
    descriptors.allow(settings.server.max_connections)
    import uvloop  # late: `check` and `--help` do without

    from memdeck_daemon.app import serve

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(settings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="memdeckd",
        description="The memory of a fleet of AI agents, served over HTTP.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"memdeckd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the daemon in the foreground")
    check = commands.add_parser("check", help="check the settings")
    for command in (serve, check):
        command.add_argument(
            "--home", metavar="DIR", help="home directory (MEMDECK_HOME, default ~/.memdeck)"
        )
    serve.add_argument("--port", metavar="N", help="port of the API (MEMDECK_PORT, default 8888); 0: any")
    serve.add_argument(
        "--metrics-port", metavar="N", help="port of the metrics (MEMDECK_METRICS_PORT, default 9103); 0: any"
    )
    return parser
