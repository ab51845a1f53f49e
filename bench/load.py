"""Rate and latency of add, unique search and repeated search: `python -m bench.load`.

Works against any server of the self-hosted dialect: memdeck or mem0's own. Owns the command line and the exit code.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console

from bench.daemon import NotReadyError, OwnDaemon
from bench.driver import Driver
from bench.embedder import DIMENSIONS, embedder
from bench.measurement import Measured, Plan, Run, Target
from bench.report import Readiness, Report, report, show
from bench.workload import Workload

EXAMPLES = """examples:
  python -m bench.load --start                                  a daemon of its own, with a new home
  python -m bench.load --start --peer http://127.0.0.1:8000     beside a peer, in turns
  python -m bench.load --url http://127.0.0.1:8888 --pid 4711   a server that runs already

keys come from MEMDECK_API_KEY (--url) and MEMDECK_BENCH_PEER_KEY (--peer). Memories are stored for users of the run's
own (bench_…) and deleted at the end. exit codes: 0 done, 1 a request failed or a daemon did not start, 2 usage"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(
        prog="python -m bench.load",
        description="Rate, latency and cost of add and search.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    server = options.add_mutually_exclusive_group(required=True)
    server.add_argument("--start", action="store_true", help="start a daemon, measure its starts, and it")
    server.add_argument("--url", help="a server that runs")
    options.add_argument("--pid", type=int, help="process of that server, for CPU and memory")
    options.add_argument("--peer", metavar="URL", help="a second server, measured in turns with the first")
    options.add_argument("--peer-pid", type=int, metavar="PID", help="its process")
    options.add_argument("--clients", type=_count, default=20, help="clients that ask at once (20)")
    options.add_argument("--memories", type=_count, default=10_000, help="memories that are added (10000)")
    options.add_argument("--users", type=_count, default=100, help="users that they belong to (100)")
    options.add_argument("--searches", type=_count, default=4_000, help="searches of each kind (4000)")
    options.add_argument(
        "--solo", type=_count, default=300, help="requests of each kind with one client (300)"
    )
    options.add_argument("--distinct", type=_count, default=50, help="questions that are repeated (50)")
    options.add_argument(
        "--rate", type=float, default=500.0, help="requests a second of the open loop, 0 leaves it out (500)"
    )
    options.add_argument(
        "--rounds", type=_count, default=4, help="parts of each phase, in turns with the peer (4)"
    )
    options.add_argument(
        "--limit", type=float, default=120.0, help="most seconds of one part of a phase (120)"
    )
    options.add_argument("--seed", type=int, default=1, help="the same seed makes the same requests (1)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the report there as well")
    options.add_argument("--keep", action="store_true", help="leave the memories on servers that run already")
    options.add_argument(
        "--embedder",
        action="store_true",
        help="the daemon of --start gets a remote embedder: a stub, 1536 dimensions, one text a request",
    )
    options.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a setting of the daemon of --start"
    )
    return options


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main() -> int:
    """Command line."""
    options = parser().parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=150)  # a pipe has no width of its own
    try:
        with contextlib.ExitStack() as stack:
            readiness = None
            if options.start:
                own = stack.enter_context(OwnDaemon(_settings(options, stack)))
                readiness = _started(own, console)
                first = (own.url, own.key, own.pid)
            else:
                first = (options.url, os.environ.get("MEMDECK_API_KEY", ""), options.pid)
            found = _measured(options, first, readiness, console)
    except NotReadyError as error:
        console.print(str(error), style="bold red", markup=False)
        return 1
    show(found, console)
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return 1 if found.errors else 0


def _settings(options: argparse.Namespace, stack: contextlib.ExitStack) -> dict[str, str]:
    """What the daemon of --start is told, beside its defaults."""
    given = dict(pair.split("=", 1) for pair in options.set)
    if options.embedder:
        given |= {
            "MEMDECK_EMBEDDING_URL": stack.enter_context(embedder()),
            "MEMDECK_EMBEDDING_MODEL": "stub",
            "MEMDECK_EMBEDDING_DIMS": str(DIMENSIONS),
            "MEMDECK_EMBEDDING_API_KEY": "stub",
            "MEMDECK_EMBEDDING_BATCH": "1",
        }
    return given


def _started(own: OwnDaemon, console: Console) -> Readiness:
    first_start = own.start()
    own.stop()
    later_start = own.start()
    console.print(f"daemon: ready after {first_start:.2f} s, started again {later_start:.2f} s", style="dim")
    return Readiness(first_start=first_start, later_start=later_start)


def _measured(
    options: argparse.Namespace,
    first: tuple[str, str, int | None],
    readiness: Readiness | None,
    console: Console,
) -> Report:
    numbers = ("clients", "searches", "solo", "distinct", "rounds", "limit", "rate")
    plan = Plan(**{name: getattr(options, name) for name in numbers}, settle=options.embedder)
    parameters = {name: getattr(options, name) for name in (*numbers, "memories", "users", "seed")}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(_run(options, first, plan, console))
    return report(measured, parameters, readiness)


async def _run(
    options: argparse.Namespace, first: tuple[str, str, int | None], plan: Plan, console: Console
) -> Measured:
    prefix = f"bench_{options.seed}_{int(time.time()):x}"
    workload = Workload(seed=options.seed, memories=options.memories, users=options.users, prefix=prefix)
    url, key, pid = first
    async with contextlib.AsyncExitStack() as stack:
        targets = [
            Target(
                "memdeck" if options.start else "server",
                await stack.enter_async_context(Driver(url, key)),
                pid,
            )
        ]
        if options.peer:
            peer = Driver(options.peer, os.environ.get("MEMDECK_BENCH_PEER_KEY", ""))
            targets.append(Target("peer", await stack.enter_async_context(peer), options.peer_pid))
        measured = await Run(targets, workload, plan, lambda line: console.print(line, style="dim")).whole()
        for target in targets[1 if options.start else 0 :]:
            if not options.keep and (wrong := await target.driver.forget(workload.everybody)):
                console.print(
                    f"{target.name}: memories were left behind: {wrong}", style="yellow", markup=False
                )
    return measured


if __name__ == "__main__":
    sys.exit(main())
