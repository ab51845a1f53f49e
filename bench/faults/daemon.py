"""A daemon that is made to suffer, and the same with one of its protections taken away.

Owns the kills: the daemon, its database's postmaster, one of its backends, each as a crash does it. Owns the controls: a
harness that finds nothing wrong with a daemon that lacks the protection is blind. Nothing of this is in the product:
`python -m bench.faults.daemon --without commit …` patches it when it starts.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from bench.daemon import OwnDaemon

ROOT: Final = Path(__file__).resolve().parents[2]
LEAK: Final = 20_000
HELD: Final = 0.06
PAUSE: Final = 0.2


class Victim(OwnDaemon):
    """One daemon; `without` names protections that it lacks."""

    def __init__(self, settings: Mapping[str, str] | None = None, *, without: tuple[str, ...] = ()) -> None:
        if not without:
            super().__init__(settings)
            return
        lacking = [part for name in without for part in ("--without", name)]
        command = [sys.executable, "-m", "bench.faults.daemon", *lacking]
        super().__init__({**(settings or {}), "PYTHONPATH": str(ROOT)}, command=command)

    def kill_postgres(self, chance: random.Random) -> str:
        """Kill the postmaster or one of its backends; what was killed, empty when nothing was there."""
        postmaster = self._postmaster()
        if postmaster is None:
            return ""
        backends = children(postmaster)
        whole = chance.random() < 0.5 or not backends
        try:
            os.kill(postmaster if whole else chance.choice(backends), signal.SIGKILL)
        except ProcessLookupError:
            return ""
        return "postmaster" if whole else "backend"

    def _postmaster(self) -> int | None:
        for file in (
            *self._sandbox.glob("clusters/**/postmaster.pid"),
            *self.home.glob("postgres/*/data/postmaster.pid"),
        ):
            try:
                return int(file.read_text(encoding="utf-8").split("\n", 1)[0])
            except (OSError, ValueError):
                continue
        return None


@asynccontextmanager
async def victim(
    settings: Mapping[str, str] | None = None, *, without: tuple[str, ...] = ()
) -> AsyncIterator[Victim]:
    """One that runs, stopped and removed at the end; neither holds the event loop."""
    one = Victim(settings, without=without)
    try:
        await asyncio.to_thread(one.start)
        yield one
    finally:
        await asyncio.to_thread(one.__exit__)


def children(pid: int) -> list[int]:
    """The processes that a process started, in the order of their ids; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.parent.name))
    return sorted(found)


# --- protections, taken away -------------------------------------------------------------------------------------------


def _commit() -> None:
    """Adds are acknowledged before they are committed."""
    from memdeck_daemon.memory.model import Event, Outcome
    from memdeck_daemon.memory.writer import Writer

    stored, under_way = Writer.store, set[asyncio.Future[Any]]()

    def ended(work: asyncio.Future[Any]) -> None:
        under_way.discard(work)
        if not work.cancelled():
            work.exception()

    async def at_once(self: Writer, add: Any) -> Any:
        work = asyncio.ensure_future(stored(self, add))
        under_way.add(work)
        work.add_done_callback(ended)
        return tuple(
            Outcome(Event.ADD, row.message.text, id=row.id, role=row.message.role) for row in add.rows
        )

    Writer.store = at_once  # type: ignore[method-assign]


def _idempotency() -> None:
    """Idempotency keys are not looked at."""
    from memdeck_daemon.api.mem0 import intake

    def none(headers: Mapping[str, str]) -> None:
        del headers

    intake.idempotency_key = none


def _declarations() -> None:
    """The description says nothing of refusals."""
    from memdeck_daemon.api.http import openapi

    def none(route: object) -> set[int]:
        del route
        return set()

    openapi._refusals = none  # noqa: SLF001


def _places() -> None:
    """Requests take their place before their body is there."""
    from memdeck_daemon.api.http.endpoint import Endpoint

    value = Endpoint._value  # noqa: SLF001

    async def first_a_place(self: Any, request: Any, passage: Any) -> Any:
        if not self._queues:
            return await value(self, request, passage)
        async with self._border.admission:
            return await value(self, request, passage)

    async def handled(self: Any, call: Any) -> Any:
        return await self._route.handler(call)

    Endpoint._value, Endpoint._handled = first_a_place, handled  # type: ignore[method-assign] # noqa: SLF001


def _quiet() -> None:
    """Something holds the event loop for a while, again and again."""
    from memdeck_daemon.operations.telemetry.service import Telemetry

    run = Telemetry.run

    async def restless(self: Telemetry) -> None:
        import time

        async def hold() -> None:
            while True:
                time.sleep(HELD)  # noqa: ASYNC251 - this is the point
                await asyncio.sleep(PAUSE)

        holding = asyncio.create_task(hold())
        try:
            await run(self)
        finally:
            holding.cancel()

    Telemetry.run = restless  # type: ignore[method-assign]


def _tidiness() -> None:
    """Each request leaves something behind: memory, a task, a descriptor now and then."""
    from memdeck_daemon.api.http.endpoint import Endpoint

    served, kept = Endpoint._served, list[Any]()  # noqa: SLF001

    async def leaking(self: Any, request: Any) -> Any:
        kept.append((bytes(LEAK), asyncio.create_task(asyncio.Event().wait())))
        if len(kept) % 10 == 0:
            kept.append(os.open(os.devnull, os.O_RDONLY))
        return await served(self, request)

    Endpoint._served = leaking  # type: ignore[method-assign] # noqa: SLF001


CONTROLS: Final[dict[str, Callable[[], None]]] = {
    "commit": _commit,
    "idempotency": _idempotency,
    "places": _places,
    "quiet": _quiet,
    "tidiness": _tidiness,
    "declarations": _declarations,
}


def main() -> int:
    """Serve, without what was named."""
    options = argparse.ArgumentParser(
        prog="python -m bench.faults.daemon", description=__doc__.splitlines()[0]
    )
    options.add_argument("--without", action="append", choices=[*CONTROLS, "checks"], default=[])
    options.add_argument("--home", required=True)
    options.add_argument("--port", default="0")
    options.add_argument("--metrics-port", default="0")
    given = options.parse_args()

    import uvloop

    from memdeck_common import log
    from memdeck_common.settings import load
    from memdeck_daemon.app import serve

    for name in given.without:
        if name in CONTROLS:
            CONTROLS[name]()
    flags = {
        "MEMDECK_HOME": given.home,
        "MEMDECK_PORT": given.port,
        "MEMDECK_METRICS_PORT": given.metrics_port,
    }
    settings = load(flags)
    log.configure(settings.server.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(settings, check_answers="checks" not in given.without))


if __name__ == "__main__":
    sys.exit(main())
