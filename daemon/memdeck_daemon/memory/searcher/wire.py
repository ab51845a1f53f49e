"""What the daemon and its search process say to each other.

Owns the messages and their frames: four bytes of length, then msgpack. Both ends are of one release and on one machine, so
there is neither a version nor a second form. Refuses to carry memories: what is found comes back as ids.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from memdeck_common.settings import Database
from memdeck_common.wire.projections import VectorStatus
from memdeck_daemon.memory.model import Kind, Part

LENGTH: Final = struct.Struct(">I")


class PrimarySpace(Struct, frozen=True, array_like=True):
    """A space that searches use beside the local one."""

    id: int
    dimensions: int


class Opening(Struct, frozen=True, array_like=True, tag="opening"):
    """The first message to the process: what it works with."""

    dsn: str
    database: Database
    lexical: str
    """Folder of the keyword index, which the daemon writes."""
    vectors: str
    """Folder of the vector indexes, which the process writes."""
    name: str
    """Of the reader in the outbox."""
    room: int
    """Bytes that the indexes may take."""
    primary: PrimarySpace | None
    level: int
    """Of the log."""


class Spaces(Struct, frozen=True, array_like=True, tag="spaces"):
    """Searches use another primary space from now on."""

    primary: PrimarySpace | None


class Asking(Struct, frozen=True, array_like=True, tag="asking"):
    """A search in the memories of one owner."""

    kind: Kind
    value: str
    """Of the owner."""
    space: int
    query: str
    terms: list[str]
    """Of the query, as the keyword index has them."""
    top_k: int
    threshold: float
    today: int | None
    """Ordinal of the day before which expired memories are hidden."""
    explain: bool
    generation: int | None
    """Of the owner, where the daemon knows it."""
    local: bytes
    """The query in the local space, single precision; empty where the daemon supposes that nothing needs it."""
    primary: bytes
    """The query in the primary space, half precision; empty: the local space answers."""
    factor: float
    offset: float
    filter: bytes | None
    """As JSON, whose numbers have no bounds; None where it names nothing but the owner."""
    number: int = 0
    """Of the message; the sender counts."""


class Answered(Struct, frozen=True, array_like=True, tag="answered"):
    """What a search found, best first."""

    number: int
    state: str = "found"
    """`none`: there is no index that can be used. `local`: the query is needed in the local space."""
    ids: bytes = b""
    totals: list[float] = []
    cosines: list[float] = []
    keywords: list[bool] = []
    parts: list[tuple[Part, ...]] = []
    total: int = 0
    """Memories of the owner."""
    waiting: int = 0
    """Memories that are searched in the local space, because their vector is not there yet."""
    without: tuple[str, ...] = ()
    candidates_ms: float = 0.0
    score_ms: float = 0.0


class Look(Struct, frozen=True, array_like=True, tag="look"):
    """What do the indexes hold?"""

    number: int


class VectorsLook(Struct, frozen=True, array_like=True):
    """The vector indexes, as people see them."""

    parts: list[VectorStatus]
    settled: bool
    """Whether none of them is being made or waits for that."""
    rebuilds: int
    """How often one of them was made anew, or could not be."""


class Looked(Struct, frozen=True, array_like=True, tag="looked"):
    """The answer to `Look`."""

    number: int
    look: VectorsLook


class Rebuild(Struct, frozen=True, array_like=True, tag="rebuild"):
    """Make all indexes anew."""


Request = Opening | Spaces | Asking | Look | Rebuild
Reply = Answered | Looked

_encoder = msgspec.msgpack.Encoder()


class Channel(asyncio.Protocol):
    """One end of the socket. Messages are handed over as they come, in order."""

    def __init__(
        self,
        kinds: Any,
        received: Callable[[Any], None],
        lost: Callable[[], None],
        read: Callable[[], None] = lambda: None,
    ) -> None:
        """`kinds`: the union of what may come. `lost` is called once, when the other end is gone.

        `read` is called when all that came in one piece was handed over.
        """
        self._decoder = msgspec.msgpack.Decoder(kinds)
        self._received, self._lost, self._read = received, lost, read
        self._transport: asyncio.Transport | None = None
        self._waiting = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = transport  # type: ignore[assignment]  # sockets have one of both directions

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - gone is gone
        """The socket is not there any more."""
        self._transport = None
        self._lost()

    def data_received(self, data: bytes) -> None:
        """Some bytes: parts of messages, or several."""
        waiting = self._waiting
        waiting += data
        start = 0
        while len(waiting) - start >= LENGTH.size:
            end = start + LENGTH.size + LENGTH.unpack_from(waiting, start)[0]
            if len(waiting) < end:
                break
            message = self._decoder.decode(bytes(waiting[start + LENGTH.size : end]))
            start = end
            self._received(message)
        del waiting[:start]
        self._read()

    def send(self, *messages: Request | Reply) -> bool:
        """Hand messages over, in one piece; whether there is somebody."""
        if self._transport is None or self._transport.is_closing():
            return False
        bodies = [_encoder.encode(message) for message in messages]
        self._transport.write(b"".join([part for body in bodies for part in (LENGTH.pack(len(body)), body)]))
        return True

    def close(self) -> None:
        """Say goodbye."""
        if self._transport is not None:
            self._transport.close()
