"""A small daemon: runs the embedded cluster, adds a row at each start, and says on standard output how far it is.

Usage: parent.py HOME SYSTEM_ROOT.
"""

import asyncio
import signal
import sys
from pathlib import Path

import asyncpg

from memdeck_common.clock import SystemClock
from memdeck_common.paths import Home
from memdeck_common.settings import Database
from memdeck_daemon.infra.postgres.cluster import EmbeddedCluster


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def run(home: Home, settings: Database) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    cluster = EmbeddedCluster(home, settings, "test", progress=say, clock=SystemClock())
    address = await cluster.start()
    supervision = asyncio.create_task(cluster.supervise())
    connection = await asyncpg.connect(address)
    await connection.execute("create table if not exists starts (at timestamptz default now())")
    await connection.execute("insert into starts default values")
    count = await connection.fetchval("select count(*) from starts")
    say(f"rows {count}")
    await connection.close()
    await stop.wait()
    say("stopping")
    supervision.cancel()
    await asyncio.gather(supervision, return_exceptions=True)
    await cluster.stop()
    say("stopped")


def main() -> None:
    home, system_root = sys.argv[1:3]
    asyncio.run(run(Home(Path(home)), Database(system_root=system_root, start_timeout=20)))


if __name__ == "__main__":
    main()
