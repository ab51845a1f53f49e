"""The form of a spool file: frames, one after the other.

Owns bytes only. A frame is `magic, length, number, check of these, check of the payload`, then the payload: UTF-8 text.
The magic begins with a byte that UTF-8 never holds, so that no text that somebody stored is ever read as a frame, not even
behind a damaged place. Nothing is guessed: a frame is whole and its checks hold, or it is told as damage. What a file
ends with is `torn` only where it can be nothing but a write that was cut off: too short, or never written (zeros).
"""

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

MAGIC: Final = b"\xffMS1"
_HEAD: Final = struct.Struct(">4sIQ")
_CHECKS: Final = struct.Struct(">II")
HEADER: Final = _HEAD.size + _CHECKS.size
"""Bytes before a payload."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a file; `start` and `end` are places of its bytes."""

    number: int
    start: int
    end: int
    payload: bytes


@dataclass(slots=True)
class Scan:
    """What a file holds."""

    frames: list[Frame] = field(default_factory=list)
    damage: list[tuple[int, int]] = field(default_factory=list)
    """Places, from and to, that hold no frame: somebody should see them."""
    end: int = 0
    """What follows is torn: nobody was told that it is kept."""


def encode(number: int, payload: bytes) -> bytes:
    """A frame; numbers grow over all files."""
    head = _HEAD.pack(MAGIC, len(payload), number)
    return head + _CHECKS.pack(zlib.crc32(head), zlib.crc32(payload)) + payload


def scan(data: bytes) -> Scan:
    """Everything that a file holds, in order."""
    found, place = Scan(), 0
    while place < len(data):
        frame = _frame_at(data, place)
        if frame is not None:
            found.frames.append(frame)
            place = frame.end
            continue
        following = _next_frame(data, place + 1)
        if following is None and _is_torn(data, place):
            break
        until = len(data) if following is None else following
        found.damage.append((place, until))
        place = until
    found.end = place
    return found


def _head_at(data: bytes, place: int) -> tuple[int, int, int] | None:
    """Length, number and check of the payload; None where no header stands whole."""
    if len(data) - place < HEADER:
        return None
    magic, length, number = _HEAD.unpack_from(data, place)
    check, payload_check = _CHECKS.unpack_from(data, place + _HEAD.size)
    if magic != MAGIC or check != zlib.crc32(data[place : place + _HEAD.size]):
        return None
    return length, number, payload_check


def _frame_at(data: bytes, place: int) -> Frame | None:
    head = _head_at(data, place)
    if head is None:
        return None
    length, number, check = head
    end = place + HEADER + length
    payload = data[place + HEADER : end]
    if len(payload) < length or zlib.crc32(payload) != check:
        return None
    return Frame(number, place, end, payload)


def _next_frame(data: bytes, place: int) -> int | None:
    while (place := data.find(MAGIC, place)) >= 0:
        if _frame_at(data, place) is not None:
            return place
        place += 1
    return None


def _is_torn(data: bytes, place: int) -> bool:
    rest = len(data) - place
    if rest < HEADER or not any(data[place:]):
        return True
    head = _head_at(data, place)
    return head is not None and place + HEADER + head[0] > len(data)
