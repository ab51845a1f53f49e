"""From bytes to validated values: bodies, queries and path parameters.

Owns reading a body within its limit (and draining what is refused), and everything that JSON allows but a database does
not store: NUL characters, deep nesting, numbers out of range. Refuses to know any route.
"""

import asyncio
import json
import re
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiMapping

from memdeck_common import errors
from memdeck_daemon.api.http.refusals import MalformedJson, invalid

DEPTH: Final = 64
"""Levels of nesting that a body may have."""
DRAIN_BYTES: Final = 16 * 1024 * 1024
DRAIN_SECONDS: Final = 1.0
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_AS_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))
_POSITION: Final = re.compile(r"\(byte (\d+)\)$")
_BROKEN: Final = (aiohttp.ClientError, HttpProcessingError, web.RequestPayloadError, ConnectionError)
_BOM: Final = b"\xef\xbb\xbf"


async def read_body(request: web.Request, limit: int) -> bytes:
    """The whole body, unpacked.

    Raises:
        BodyTooLarge: more than `limit` bytes; what still arrives shortly has been read and dropped.
        BadRequest: the body broke off, or its compression cannot be read.
    """
    if (request.content_length or 0) > limit:
        await drain(request)
        raise too_large(limit)
    try:
        body = await request.content.readany()
        if not request.content.at_eof():
            body = await _rest(request, bytearray(body), limit)
    except _BROKEN as error:
        raise errors.BadRequest(f"The body cannot be read: {error}".splitlines()[0]) from None
    if len(body) > limit:
        await drain(request)
        raise too_large(limit)
    encoding = request.headers.get("Content-Encoding")
    return _unpacked(body, encoding.strip().lower(), limit) if encoding else body


async def _rest(request: web.Request, body: bytearray, limit: int) -> bytes:
    while len(body) <= limit and (chunk := await request.content.readany()):
        body += chunk
    return bytes(body)


def _unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The server itself does not unpack: it would go on with what was refused."""
    if encoding == "identity":
        return body
    if encoding not in {"gzip", "deflate"}:
        raise errors.BadRequest(
            f"Content-Encoding {encoding[:40]!r} is not understood; gzip and deflate are."
        )
    # 32: gzip or zlib by its header; some clients send deflate without one.
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        unpacker = zlib.decompressobj(window)
        try:
            plain = unpacker.decompress(body, limit + 1)
        except zlib.error:
            continue
        if len(plain) > limit:
            raise too_large(limit)
        if unpacker.eof:
            return plain
    raise errors.BadRequest(f"The body cannot be unpacked: it is not {encoding}, or it broke off.")


def too_large(limit: int) -> errors.BodyTooLarge:
    """The refusal of a body above the limit."""
    return errors.BodyTooLarge(
        f"The body is larger than the {limit:,} bytes that this daemon takes; MEMDECK_MAX_BODY_BYTES raises the limit.",
        limit=limit,
    )


async def drain(request: web.Request) -> None:
    """Read and drop what a refused client is still sending, within bounds.

    A client that is writing when the connection closes sees a reset instead of the answer.
    """
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0 and (chunk := await request.content.readany()):
                left -= len(chunk)
    except (TimeoutError, *_BROKEN):
        return


def decoded(raw: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The body as the route's type; unknown fields are ignored.

    Raises:
        MalformedJson: not JSON, not UTF-8, nested too deeply, or with characters that cannot be stored.
        InvalidFields: JSON, but not of the right types.
    """
    raw = raw.removeprefix(_BOM)
    try:
        if not raw.isascii():
            raw.decode()  # the decoder skips over unknown fields without a look
        value = decoder.decode(raw)
    except msgspec.ValidationError as error:
        # It may not be JSON at all: the decoder stops at the first fault of either kind.
        source = _untyped(raw)
        _check_shape(raw)
        raise invalid("body", error, source) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(raw, error) from None
    _check_shape(raw)
    return value


def converted(values: MultiMapping[str], kind: type[msgspec.Struct]) -> Any:
    """The query as the route's type; a field that is a list takes all values, others must be given once.

    Raises:
        InvalidFields: a value does not fit.
        BadRequest: a field is given twice, or holds a NUL character.
    """
    given: dict[str, Any] = {}
    listed = lists_of(kind)
    for name in dict.fromkeys(values):
        found = values.getall(name)
        for text in found:
            check_text(text, name)
        if name in listed:
            given[name] = found
        elif len(found) == 1 or name not in kind.__struct_fields__:
            given[name] = found[0]
        else:
            raise errors.BadRequest(f"{name} is given {len(found)} times; give it once.", field=name)
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid("query", error, given) from None


def path_values(matched: Mapping[str, str]) -> Mapping[str, str]:
    """Path parameters, checked for characters that cannot be stored."""
    for name, text in matched.items():
        check_text(text, name)
    return matched


def check_text(text: str, name: str) -> None:
    """Let text pass that Postgres stores.

    Raises:
        BadRequest: a NUL character or a lone surrogate.
    """
    if "\x00" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise errors.BadRequest(
            f"{name} holds a character that cannot be stored (NUL or half of a surrogate pair).", field=name
        )


@cache  # looking takes 5 µs and leaves garbage that only the collector finds
def lists_of(kind: type[msgspec.Struct]) -> frozenset[str]:
    """The fields of a query that take several values."""
    return frozenset(
        field.name for field in msgspec.structs.fields(kind) if "list" in str(field.type).lower()
    )


def _check_shape(raw: bytes) -> None:
    """Refuse what msgspec decodes but nobody can store: deep nesting and NUL characters."""
    if raw.count(b"{") + raw.count(b"[") > DEPTH and _deeper_than(raw, DEPTH):
        raise MalformedJson(f"The body is nested deeper than {DEPTH} levels.")
    # An escaped backslash before u0000 is a plain backslash: only a look at the decoded strings tells.
    if b"\\u0000" in raw:
        _check_strings(_untyped(raw), "body")


def _deeper_than(raw: bytes, limit: int) -> bool:
    """Whether brackets nest deeper than `limit`; `raw` is known to be JSON. Each pass takes one level away."""
    brackets = _STRINGS.sub(b"", raw).translate(_AS_BRACKETS, _NO_BRACKET)
    for _ in range(limit):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return False
    return True


def _check_strings(value: Any, path: str) -> None:
    if isinstance(value, str):
        check_text(value, path)
    elif isinstance(value, dict):
        for name, inside in value.items():
            check_text(name, f"a key of {path}")
            _check_strings(inside, f"{path}.{name}")
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            _check_strings(inside, f"{path}[{index}]")


def _untyped(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(raw, error) from None


def _malformed(raw: bytes, error: Exception) -> MalformedJson:
    if not raw.strip():
        return MalformedJson("The body is empty; a JSON object is expected.", position=0)
    if isinstance(error, RecursionError):
        return MalformedJson(f"The body is nested deeper than {DEPTH} levels.")
    if isinstance(error, UnicodeDecodeError):
        return MalformedJson("The body is not UTF-8.", position=_bad_byte(raw))
    try:
        # msgspec is vague about where the fault is; the standard library is not, but takes NaN and half surrogates.
        json.loads(raw)
    except json.JSONDecodeError as fault:
        position = len(fault.doc[: fault.pos].encode(errors="replace"))
        return MalformedJson(f"The body is not JSON: {fault.msg} (byte {position}).", position=position)
    except (ValueError, RecursionError):
        pass
    problem = str(error).removeprefix("JSON is malformed: ")
    if found := _POSITION.search(problem):
        return MalformedJson(f"The body is not JSON: {problem}.", position=int(found[1]))
    if "truncated" in problem:
        problem = "half of a surrogate pair"
    return MalformedJson(f"The body is not JSON that can be stored: {problem}.")


def _bad_byte(raw: bytes) -> int:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0
