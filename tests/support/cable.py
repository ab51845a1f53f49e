"""The way between a daemon and its Postgres, to be cut: a small proxy on a socket of its own.

Bytes are never changed: they get through or they do not.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

SOCKET = ".s.PGSQL.5432"
Fault = Literal["none", "lose_commit", "drop_commit"]


@dataclass
class Cable:
    """One cable; `dsn` is the address of its near end."""

    dsn: str
    far: Path
    fault: Fault = "none"
    """For the next COMMIT: `lose_commit` passes it on and loses its answer, `drop_commit` does not pass it on."""
    cuts: int = 0
    """Commits that met a fault."""
    down: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def cut(self) -> None:
        """Nothing gets through any more, and what is open is closed."""
        self.down = True
        for task in list(self._tasks):
            task.cancel()

    def mend(self) -> None:
        """Everything gets through again."""
        self.down = False

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody wants to the far end."""
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all connections."""
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(writer.close)
            if self.down:
                return
            far_reader, far_writer = await asyncio.open_unix_connection(str(self.far))
            stack.callback(far_writer.close)
            losing = asyncio.Event()
            ways = [
                asyncio.create_task(self._forth(reader, far_writer, losing)),
                asyncio.create_task(self._back(far_reader, writer, losing)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    async def _forth(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if self.fault != "none" and b"COMMIT;" in data:
                fault, self.fault = self.fault, "none"
                self.cuts += 1
                if fault == "drop_commit":
                    return
                losing.set()
            server.write(data)
            await server.drain()

    async def _back(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if losing.is_set():  # the server has answered, so it is done
                return
            client.write(data)
            await client.drain()


@asynccontextmanager
async def laid(dsn: str) -> AsyncIterator[Cable]:
    """A cable to the Postgres of this address, which is behind a socket."""
    parts = urlsplit(dsn)
    folder = unquote(parse_qs(parts.query)["host"][0])
    with tempfile.TemporaryDirectory(prefix="md-cable-", dir="/tmp") as near:
        address = dsn.replace(quote(folder, safe=""), quote(near, safe=""))
        cable = Cable(address, Path(folder) / SOCKET)
        server = await asyncio.start_unix_server(cable.connected, str(Path(near) / SOCKET))
        try:
            yield cable
        finally:
            server.close()
            await cable.close()
