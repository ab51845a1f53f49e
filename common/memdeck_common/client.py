"""The typed async client of the daemon; console, command line, bot and benchmarks use only this.

Owns addresses, headers, decoding and the translation of error bodies back into the exceptions of `errors.py`. Refuses to
retry: who calls knows whether that is right. The key travels in a header only, and in no message.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from memdeck_common import __version__, errors
from memdeck_common.paths import Home
from memdeck_common.settings import home_of
from memdeck_common.wire.feed import Event
from memdeck_common.wire.health import DaemonFile, Health, Live, Ready
from memdeck_common.wire.keys import CreatedKey, Key, Keys, NewKey
from memdeck_common.wire.memory import Done, Entities, HistoryEntry, Memory, Page, Receipt, SearchAnswer
from memdeck_common.wire.platform import EventRecord
from memdeck_common.wire.projections import Projections, Rebuilding
from memdeck_common.wire.sessions import Context, Trace
from memdeck_common.wire.spaces import Comparison, Force, NewSpace, Space, Spaces
from memdeck_common.wire.spool import ReplayStarted, ReplayWanted, SpoolStatus

Answer = TypeVar("Answer")
FEED_SILENCE = 5.0
"""Seconds without an event (ticks come once a second) after which the feed counts as broken."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a daemon is and the key for it. `key` is empty when none was found."""

    url: str
    key: str

    def __repr__(self) -> str:
        """Without the key."""
        return f"Address(url={self.url!r})"


def find_daemon(home: Home | None = None, environ: Mapping[str, str] = os.environ) -> Address:
    """The daemon to talk to: `MEMDECK_URL` and `MEMDECK_API_KEY`, else what the home's daemon wrote about itself.

    Raises:
        DaemonUnreachable: no address is known.
    """
    home = home or home_of({}, environ)
    url = environ.get("MEMDECK_URL") or ""
    if not url:
        try:
            url = msgspec.json.decode(home.daemon_file.read_bytes(), type=DaemonFile).url
        except (OSError, msgspec.DecodeError):
            raise errors.DaemonUnreachable(
                f"No daemon is running in {home.root}; `memdeck up` starts it, `memdeck doctor` says what is wrong."
            ) from None
    key = environ.get("MEMDECK_API_KEY") or ""
    if not key:
        try:
            key = home.admin_key.read_text(encoding="utf-8").strip()
        except OSError:
            key = ""
    return Address(url.rstrip("/"), key)


class Client:
    """One daemon. Use as an async context manager.

    Every method raises `DaemonUnreachable` when nothing answers in `timeout` seconds, and the exception that the
    answer's `code` names when the daemon refuses.
    """

    def __init__(self, address: Address, *, timeout: float = 30.0) -> None:
        self.address = address
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=2.0)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool; nothing is sent yet."""
        headers = {"User-Agent": f"memdeck/{__version__}"}
        if self.address.key:
            headers["X-API-Key"] = self.address.key
        self._session = aiohttp.ClientSession(headers=headers, timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection pool."""
        if self._session:
            await self._session.close()

    # --- memories ---------------------------------------------------------------------------------------------------

    async def add(
        self, messages: list[dict[str, Any]], *, idempotency_key: str | None = None, **fields: Any
    ) -> Receipt:
        """Store messages; `fields` are those of `POST /v3/memories/add/` (user_id, metadata, timestamp, infer, …).

        The same `idempotency_key` within 24 hours stores nothing again and answers with the first receipt.
        """
        body = {"messages": messages, "infer": False, **fields}
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return await self._call("POST", "/v3/memories/add/", Receipt, body, headers=headers)

    async def search(self, query: str, filters: dict[str, Any], **fields: Any) -> SearchAnswer:
        """Search; `fields`: top_k, threshold, explain, show_expired."""
        body = {"query": query, "filters": filters, **fields}
        return await self._call("POST", "/v3/memories/search/", SearchAnswer, body)

    async def page(
        self, filters: dict[str, Any], *, page: int = 1, page_size: int = 100, **fields: Any
    ) -> Page:
        """A page of memories, newest first; page_size ≤ 200."""
        path = f"/v3/memories/?page={page}&page_size={page_size}"
        return await self._call("POST", path, Page, {"filters": filters, **fields})

    async def get(self, memory_id: str) -> Memory:
        """One memory."""
        return await self._call("GET", f"/v1/memories/{_part(memory_id)}/", Memory)

    async def update(self, memory_id: str, **fields: Any) -> Memory | Done:
        """Change text, metadata or expiration_date (None clears it); a `Done` where the change waits on the daemon's disk."""
        said = await self._call("PUT", f"/v1/memories/{_part(memory_id)}/", dict[str, Any], fields)
        return msgspec.convert(said, Done) if "event_id" in said else msgspec.convert(said, Memory)

    async def delete(self, memory_id: str) -> Done:
        """Delete one memory; `undo` brings it back for 24 hours."""
        return await self._call("DELETE", f"/v1/memories/{_part(memory_id)}/", Done)

    async def delete_scope(self, **identifiers: str) -> Done:
        """Delete all memories of the identifiers, AND-ed; the answer's event_id undoes it for 24 hours."""
        return await self._call("DELETE", "/v1/memories/", Done, params=identifiers)

    async def history(self, memory_id: str) -> list[HistoryEntry]:
        """All changes of a memory, oldest first."""
        path = f"/v1/memories/{_part(memory_id)}/history/"
        return await self._call("GET", path, list[HistoryEntry])

    async def undo(self, memory_id: str) -> Done:
        """Revert the memory's last change."""
        return await self._call("POST", f"/v1/memories/{_part(memory_id)}/undo", Done)

    async def undo_event(self, event_id: str) -> Done:
        """Bring back everything that a deletion of a scope took."""
        return await self._call("POST", f"/v1/events/{_part(event_id)}/undo", Done)

    async def entities(self, *, page: int = 1, page_size: int = 100) -> Entities:
        """Users, agents, apps and runs that have memories."""
        return await self._call("GET", f"/v1/entities/?page={page}&page_size={page_size}", Entities)

    # --- sessions ---------------------------------------------------------------------------------------------------

    async def append_trace(
        self, agent_id: str, *, idempotency_key: str | None = None, **fields: Any
    ) -> Trace:
        """Keep what an agent decided; `fields` are those of `wire.sessions.AppendTrace`."""
        path = f"/v1/agents/{_part(agent_id)}/append_trace"
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return await self._call("POST", path, Trace, fields, headers=headers)

    async def context(self, **fields: Any) -> Context:
        """What an agent should have in mind; `fields` are those of `wire.sessions.BuildContext`."""
        return await self._call("POST", "/v1/context", Context, fields)

    # --- operations -------------------------------------------------------------------------------------------------

    async def health(self) -> Health:
        """Everything about the daemon's state; 503 answers are read as well."""
        return await self._call("GET", "/health", Health, accept=(200, 503))

    async def live(self) -> Live:
        """Whether the process answers, and which of its lives it is in."""
        return await self._call("GET", "/health/live", Live)

    async def ready(self) -> Ready:
        """Whether requests can be served."""
        return await self._call("GET", "/health/ready", Ready, accept=(200, 503))

    async def keys(self) -> Keys:
        """All keys, newest first."""
        return await self._call("GET", "/ops/keys", Keys)

    async def create_key(self, new: NewKey) -> CreatedKey:
        """Make a key; the answer is the only place where it is told."""
        return await self._call("POST", "/ops/keys", CreatedKey, new)

    async def revoke_key(self, key_id: str) -> Key:
        """End a key at once; an id or an unambiguous prefix."""
        return await self._call("DELETE", f"/ops/keys/{_part(key_id)}", Key)

    async def projections(self) -> Projections:
        """What is derived from the memories, and how far it is."""
        return await self._call("GET", "/ops/projections", Projections)

    async def rebuild_projection(self, name: str) -> Rebuilding:
        """Have one built anew in the background."""
        return await self._call("POST", f"/ops/projections/{_part(name)}/rebuild", Rebuilding)

    async def spool(self) -> SpoolStatus:
        """Writes that wait on the disk, and those that were set aside."""
        return await self._call("GET", "/ops/spool", SpoolStatus)

    async def replay_spool(self, *, parked: bool = False) -> ReplayStarted:
        """Have what waits carried out now; with `parked` also what was set aside."""
        return await self._call("POST", "/ops/spool/replay", ReplayStarted, ReplayWanted(parked=parked))

    async def export_spool(self) -> AsyncIterator[bytes]:
        """Everything in the spool, a line of JSON each (`wire.spool.ExportedWrite`)."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=2.0, sock_read=FEED_SILENCE)
        try:
            async with self._open().get(
                self.address.url + "/ops/spool/export", timeout=timeout, allow_redirects=False
            ) as answer:
                if answer.status != 200:  # noqa: PLR2004
                    raise _refusal(answer.status, await answer.read())
                rest = b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        yield line + b"\n"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self.address.url, error) from None

    async def receipt(self, receipt_id: str) -> EventRecord:
        """What became of a write, message by message."""
        return await self._call("GET", f"/v1/receipts/{_part(receipt_id)}", EventRecord)

    async def spaces(self) -> Spaces:
        """Embedding spaces and how much they hold."""
        return await self._call("GET", "/ops/spaces", Spaces)

    async def add_space(self, new: NewSpace) -> Space:
        """Bring an embedding model in; it is filled in the background."""
        return await self._call("POST", "/ops/spaces", Space, new)

    async def compare_spaces(self, queries: int = 50) -> Comparison:
        """The primary space and the candidate side by side."""
        return await self._call("GET", "/ops/spaces/compare", Comparison, params={"queries": str(queries)})

    async def switch_space(self, space_id: int, *, force: bool = False) -> Space:
        """Search with the candidate from now on."""
        return await self._call("POST", f"/ops/spaces/{space_id}/switch", Space, Force(force=force))

    async def drop_space(self, space_id: int, *, force: bool = False) -> Space:
        """Remove a space with its vectors."""
        params = {"force": "true"} if force else {}
        return await self._call("DELETE", f"/ops/spaces/{space_id}", Space, params=params)

    async def feed(self, last_event_id: str | None = None) -> AsyncIterator[tuple[str, Event]]:
        """`(id, event)` pairs for ever: a snapshot first, then a tick a second.

        Raises:
            DaemonUnreachable: the stream ended, or stayed silent for `FEED_SILENCE` seconds.
        """
        decoder = msgspec.json.Decoder(Event)
        headers = {"Accept": "text/event-stream"} | (
            {"Last-Event-ID": last_event_id} if last_event_id else {}
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=2.0, sock_read=FEED_SILENCE)
        try:
            async with self._open().get(
                self.address.url + "/ops/feed", headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                if answer.status != 200:  # noqa: PLR2004
                    raise _refusal(answer.status, await answer.read())
                async for event_id, data in _events(answer.content):
                    yield event_id, decoder.decode(data)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self.address.url, error) from None
        raise errors.DaemonUnreachable("The daemon closed the feed.")

    async def _call(
        self,
        method: str,
        path: str,
        answer_type: type[Answer],
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (200, 201, 202),
    ) -> Answer:
        data = None if body is None else msgspec.json.encode(body)
        headers = {**(headers or {}), **({"Content-Type": "application/json"} if data else {})}
        try:
            # No redirects: the key would go along to wherever they point.
            async with self._open().request(
                method,
                self.address.url + path,
                data=data,
                headers=headers,
                params=params,
                allow_redirects=False,
            ) as answer:
                content, status = await answer.read(), answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self.address.url, error) from None
        if status not in accept:
            raise _refusal(status, content)
        try:
            return msgspec.json.decode(content, type=answer_type)
        except msgspec.DecodeError as error:
            raise errors.MemdeckError(
                f"{self.address.url} answered {method} {path} in a form that this version does not know ({error}); "
                "is it a memdeck daemon of the same version?"
            ) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use the client as an async context manager")
        return self._session


async def _events(stream: aiohttp.StreamReader) -> AsyncIterator[tuple[str, bytes]]:
    """`(id, data)` of each event; comments are passed over."""
    event_id, data = "", b""
    buffer = bytearray()
    async for chunk in stream.iter_any():
        buffer += chunk
        while (end := buffer.find(b"\n")) >= 0:
            line = bytes(buffer[:end]).rstrip(b"\r")
            del buffer[: end + 1]
            if line.startswith(b"id:"):
                event_id = line[3:].strip().decode()
            elif line.startswith(b"data:"):
                data += line[5:].strip()
            elif not line and data:
                yield event_id, data
                data = b""


def _part(value: str) -> str:
    return quote(value, safe="")


def _unreachable(url: str, error: BaseException) -> errors.DaemonUnreachable:
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        reason = "no answer in time"
    elif isinstance(error, aiohttp.InvalidURL):
        reason = "that is no address such as http://127.0.0.1:8888"
    else:
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        number = getattr(cause, "errno", None) or 0  # negative: a name that is not known
        reason = os.strerror(number) if number > 0 else str(cause)
    return errors.DaemonUnreachable(
        f"The daemon at {url} cannot be reached ({reason}); `memdeck up` starts it, `memdeck doctor` says what is wrong."
    )


def _kinds(root: type[errors.MemdeckError]) -> dict[str, type[errors.MemdeckError]]:
    found = {root.code: root}
    for kind in root.__subclasses__():
        # Not those that a daemon in the same process adds for its own border.
        if kind.__module__ == errors.__name__:
            # Of those that share a code, the widest.
            found |= {code: one for code, one in _kinds(kind).items() if code not in found}
    return found


_BY_CODE = _kinds(errors.MemdeckError)


def _refusal(status: int, content: bytes) -> errors.MemdeckError:
    """The exception that an error body names; one by its status when it names none."""
    try:
        body = msgspec.json.decode(content)
        detail, code = body.get("detail"), body.get("code", "")
    except (msgspec.DecodeError, AttributeError):
        detail, code = content.decode(errors="replace")[:200], ""
    kind = _BY_CODE.get(code)
    if kind is None:
        kind = next((k for k in _BY_CODE.values() if k.status == status), errors.MemdeckError)
    text = detail if isinstance(detail, str) else msgspec.json.encode(detail).decode()
    return kind(text or f"The daemon answered {status}.")
