"""The copy of the keys for a start without the database."""

import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from memdeck_daemon.api.access.keys_on_disk import KeysOnDisk
from memdeck_daemon.api.access.store import KeyRow
from tests.fakes.clock import ManualClock

ROW = KeyRow(uuid.uuid4(), "one", "mdk_", b"digest", "agent", (), (), None, ManualClock().now())
NAME = "k" * 250
"""A file may have this name; the one beside it, which would replace it, is longer than names may be."""


def test_a_disk_that_takes_no_keys_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No old copy stays: it may hold a key that was revoked since."""
    path = tmp_path / NAME
    path.write_bytes(b"[]")
    disk = KeysOnDisk(path)
    for number in range(2):
        disk.write([replace(ROW, label=f"try {number}")])
    assert not path.exists()
    assert ["keys_not_kept"] == [record.memdeck_fields["action"] for record in caplog.records]  # type: ignore[attr-defined]
    disk.path = tmp_path / "known.json"
    disk.write([ROW])
    assert [ROW] == KeysOnDisk(disk.path).read()
    disk.path = path
    disk.write([replace(ROW, label="later")])
    assert 2 == len(caplog.records)
