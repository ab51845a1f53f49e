"""The report of the fault harnesses."""

import json
from pathlib import Path

import pytest

from bench.faults import __main__ as faults
from bench.faults.__main__ import Part


def test_each_harness_replaces_its_own_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "REPORT", tmp_path / "reports" / "faults.json")
    faults.write("kills", Part(held=False, control_failed=True, found={}, control={}), 1)
    faults.write("soak", Part(held=True, control_failed=True, found={}, control={}), 2)
    faults.write("kills", Part(held=True, control_failed=True, found={"lost": 0}, control={}), 3)
    report = json.loads(faults.REPORT.read_text())
    assert {"kills": (True, 3), "soak": (True, 2)} == {
        name: (part["held"], part["seed"]) for name, part in report.items()
    }
    assert {"lost": 0} == report["kills"]["found"]
    assert "cpus" in report["soak"]["machine"]


@pytest.mark.parametrize(
    ("held", "failed", "good"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_a_harness_whose_control_finds_nothing_is_not_believed(held: bool, failed: bool, good: bool) -> None:
    assert good == Part(held=held, control_failed=failed, found={}, control={}).good
