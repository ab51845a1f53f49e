"""Server-Sent Events: `(id, data)` pairs as the lines of a `text/event-stream`."""

from collections.abc import AsyncIterator
from typing import Final

from memdeck_daemon.api.http.routing import Stream

CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"


def event_stream(events: AsyncIterator[tuple[str, bytes]]) -> Stream:
    """The answer that sends these events; `data` is one line (JSON without newlines)."""
    return Stream(_lines(events), CONTENT_TYPE)


async def _lines(events: AsyncIterator[tuple[str, bytes]]) -> AsyncIterator[bytes]:
    try:
        async for event_id, data in events:
            yield b"id: %b\ndata: %b\n\n" % (event_id.encode(), data)
    finally:
        if (close := getattr(events, "aclose", None)) is not None:
            await close()
