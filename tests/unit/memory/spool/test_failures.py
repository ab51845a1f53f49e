"""The files of the spool fail in ways that nobody expects: every writer is told, and what follows is kept."""

import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from memdeck_common.errors import OutcomeUnknown
from memdeck_daemon.infra import durable
from memdeck_daemon.memory.intents import Delete
from memdeck_daemon.memory.model import Caller, Reach
from memdeck_daemon.memory.spool import frames
from memdeck_daemon.memory.spool.journal import Journal
from memdeck_daemon.memory.spool.parked import Parked
from memdeck_daemon.memory.spool.segments import Place, Segments
from tests.fakes.clock import ManualClock

CLOCK = ManualClock()


def write() -> Delete:
    caller = Caller("test", "k", Reach())
    return Delete(receipt_id=uuid.uuid4(), at=CLOCK.now(), caller=caller, ids=(uuid.uuid4(),))


class Broken(Segments):
    """Its first append fails as no disk does."""

    failed = False

    def append(self, encoded: Sequence[bytes]) -> list[Place]:
        """As told."""
        if not self.failed:
            self.failed = True
            raise RuntimeError
        return super().append(encoded)


async def test_nobody_waits_for_ever(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An error that is none of the disk is told as an unknown outcome, and logged with its place."""
    journal = Journal(Broken(tmp_path), Parked(tmp_path / "parked"), 1 << 20)
    await journal.open()
    first, second = write(), write()
    with pytest.raises(OutcomeUnknown) as caught:
        await journal.append(first)
    assert str(first.receipt_id) == caught.value.facts["receipt_id"]
    assert [RuntimeError] == [record.exc_info[0] for record in caplog.records if record.exc_info]
    await journal.append(second)
    assert (False, True) == (journal.waits(first.receipt_id), journal.waits(second.receipt_id))
    await journal.close()


@pytest.mark.parametrize("begun", [False, True], ids=["new file", "same file"])
def test_whatever_fails_an_append_is_taken_back(
    begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or what follows would stand elsewhere than where it is looked for."""
    segments, sync = Segments(tmp_path), durable.sync
    segments.begin()
    one, two = frames.encode(1, b"one"), frames.encode(2, b"two")
    if begun:
        segments.append([one])

    def fail(_: int) -> None:
        monkeypatch.setattr(durable, "sync", sync)
        raise MemoryError

    monkeypatch.setattr(durable, "sync", fail)
    with pytest.raises(MemoryError):
        segments.append([one])
    (place,) = segments.append([two])
    assert b"two" == segments.read(place)
    segments.seal()
