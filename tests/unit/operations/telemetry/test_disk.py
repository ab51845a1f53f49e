"""The disk as a service: what people see when it gets full."""

from pathlib import Path

import pytest

from memdeck_daemon.operations.telemetry.probes import disk_probe


@pytest.mark.parametrize(
    ("state", "note", "free"),
    [("ok", "82 GB", 82 * 10**9), ("warn", "9.9 GB", 9_900 * 10**6), ("warn", "full", 99 * 10**6)],
)
async def test_a_disk_is_told_before_it_is_full(state: str, note: str, free: int) -> None:
    """It never makes the daemon unready: reads go on."""
    service = await disk_probe(Path("/"), lambda _: free)()
    assert (state, note) == (service.state, service.note)
