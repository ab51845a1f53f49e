"""Requests as bytes, for what no client sends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.api.serving import Api

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[Streams]:
    """A connection to a server, closed at the end."""
    host, port = url.removeprefix("http://").split("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def head(api: Api, path: str, *more: str, method: str = "POST", host: str = "localhost") -> bytes:
    """The head of a request by the administrator."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"X-API-Key: {api.admin}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def answer(reader: asyncio.StreamReader, *, wait: float = 5.0) -> tuple[int, dict[str, str], Any]:
    """Status, headers (names in lower case) and JSON body of the next answer."""
    async with asyncio.timeout(wait):
        told = (await reader.readuntil(b"\r\n\r\n")).decode()
        while told.startswith("HTTP/1.1 100"):
            told = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = told.split("\r\n")
        pairs = (line.partition(":") for line in lines[1:])
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers["content-length"]))
    return int(lines[0].split()[1]), headers, json.loads(body) if body else None


async def exchange(api: Api, request: bytes, *, wait: float = 5.0) -> tuple[int, dict[str, str], Any]:
    """The answer to bytes that are all sent before anything is read."""
    async with connection(api.url) as (reader, writer):
        writer.write(request)
        await writer.drain()
        return await answer(reader, wait=wait)


async def ended(reader: asyncio.StreamReader, *, wait: float = 5.0) -> bool:
    """Whether the server ends the connection, with whatever it still says."""
    try:
        async with asyncio.timeout(wait):
            while await reader.read(65536):
                pass
    except ConnectionError:
        return True
    return True
