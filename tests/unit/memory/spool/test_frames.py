"""The spool's file format under damage: nothing is guessed, nothing whole is lost."""

import random
import struct
import zlib

import pytest

from memdeck_daemon.memory.spool import frames

SEEDS = range(60)


def _file(rng: random.Random, count: int = 12) -> tuple[bytes, list[frames.Frame]]:
    """A file, and what stands in it. Texts hold what damage may look like."""
    data, placed = b"", []
    for number in range(1, count + 1):
        text = rng.choice(["", "é", "\x00\x00", "MS1", "x" * rng.randrange(300)]) + str(rng.random())
        payload = text.encode()
        encoded = frames.encode(number, payload)
        placed.append(frames.Frame(number, len(data), len(data) + len(encoded), payload))
        data += encoded
    return data, placed


def _flipped(rng: random.Random, data: bytes) -> tuple[bytes, int]:
    place = rng.randrange(len(data))
    damaged = bytearray(data)
    damaged[place] ^= 1 << rng.randrange(8)
    return bytes(damaged), place


@pytest.mark.parametrize("seed", SEEDS)
def test_a_file_that_was_cut_off_holds_what_was_whole(seed: int) -> None:
    """A torn tail is cut, never read and never taken for damage."""
    rng = random.Random(seed)  # noqa: S311 - reproducible
    data, placed = _file(rng)
    size = rng.randrange(len(data) + 1)
    whole = [frame for frame in placed if frame.end <= size]
    found = frames.scan(data[:size])
    assert whole == found.frames
    assert [] == found.damage
    assert (whole[-1].end if whole else 0) == found.end


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flipped_bit_costs_one_frame_at_most(seed: int) -> None:
    """Every frame around it is read as it was written; the damaged one is shown unless it could be a torn tail."""
    rng = random.Random(seed)  # noqa: S311 - reproducible
    data, placed = _file(rng)
    damaged, place = _flipped(rng, data)
    expected = [frame for frame in placed if not frame.start <= place < frame.end]
    found = frames.scan(damaged)
    assert expected == found.frames
    (hit,) = [frame for frame in placed if frame.start <= place < frame.end]
    assert [(hit.start, hit.end)] == found.damage
    assert len(data) == found.end


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_to_a_file_no_frame_is_made_up(seed: int) -> None:
    """Cuts, holes and flipped bits together: what is read was written, in that order."""
    rng = random.Random(seed)  # noqa: S311 - reproducible
    data, placed = _file(rng)
    written = [(frame.number, frame.payload) for frame in placed]
    for _ in range(rng.randrange(1, 6)):
        if len(data) < 2:
            break
        first, last = sorted(rng.sample(range(len(data)), 2))
        match rng.randrange(4):
            case 0:
                data = data[:last]
            case 1:
                data = data[:first] + bytes(last - first) + data[last:]
            case 2:
                data = data[:first] + data[last:]
            case _:
                data, _ = _flipped(rng, data)
    read = [(frame.number, frame.payload) for frame in frames.scan(data).frames]
    rest = iter(written)
    assert all(one in rest for one in read)


def test_a_tail_that_was_never_written_is_torn() -> None:
    """After a power cut a file may be longer than what reached the disk: zeros."""
    data = frames.encode(1, b"kept")
    found = frames.scan(data + bytes(500))
    assert ([1], [], len(data)) == ([f.number for f in found.frames], found.damage, found.end)


def test_a_whole_last_frame_with_a_wrong_check_is_shown() -> None:
    """It may have been acknowledged: it is not cut off silently."""
    data = frames.encode(1, b"kept") + frames.encode(2, b"hurt")
    found = frames.scan(data[:-1] + b"?")
    assert [1] == [frame.number for frame in found.frames]
    assert [(len(frames.encode(1, b"kept")), len(data))] == found.damage


def test_text_that_looks_like_a_frame_is_not_read_as_one() -> None:
    """Not even behind a damaged header: what callers send is UTF-8, and no frame begins with that."""
    forged = frames.encode(7, b"forged").decode("latin-1").encode()
    data = frames.encode(1, b"<" + forged + b">")
    found = frames.scan(b"?" + data[1:] + frames.encode(2, b"kept"))
    assert [2] == [frame.number for frame in found.frames]


def test_the_form_is_what_the_record_says() -> None:
    """docs/decisions/0009: other versions read it."""
    payload = b'{"kind":"add"}'
    head = b"\xffMS1" + struct.pack(">IQ", len(payload), 5)
    checks = struct.pack(">II", zlib.crc32(head), zlib.crc32(payload))
    assert head + checks + payload == frames.encode(5, payload)
