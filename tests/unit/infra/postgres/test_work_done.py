"""Whether a server gets on, from the files of /proc."""

from pathlib import Path

import pytest

from memdeck_daemon.infra.postgres import processes


def _process(proc: Path, pid: int, cpu: int, read: int, children: str = "") -> None:
    folder = proc / str(pid)
    (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
    (folder / "task" / str(pid) / "children").write_text(children)
    (folder / "stat").write_text(f"{pid} (postgres) S " + "0 " * 10 + f"{cpu} 0 0")
    (folder / "io").write_text(f"rchar: {read}\nwchar: 0\n")


def test_the_look_of_a_postmaster_at_its_lock_file_is_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes once a minute, also when all is stuck; what its children read is work."""
    monkeypatch.setattr(processes, "PROC", tmp_path)
    _process(tmp_path, 1, 5, 100, "2")
    _process(tmp_path, 2, 5, 100)
    before = processes.work_done(1)
    _process(tmp_path, 1, 5, 200, "2")
    assert before == processes.work_done(1)
    _process(tmp_path, 2, 5, 200)
    assert before != processes.work_done(1)
