"""The benchmark of many memories, in its short form: everything that it measures is there."""

import asyncio
import json
import sys
from pathlib import Path


async def test_the_short_form_measures_everything(tmp_path: Path) -> None:
    report = tmp_path / "scale.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.scale", "--smoke", "--dims", "256", "--json", str(report),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 240)
    assert 0 == process.returncode, out.decode()
    (found,) = json.loads(await asyncio.to_thread(report.read_bytes)).values()
    assert found["recall_dense"] > 0.9
    assert found["recall_fused"] > 0.9
    assert {"processor", "cpus", "memory_gib", "system", "python"} == set(found["machine"])
    assert 7 == len(found["searches"])
    assert all(one["answered"] and not one["failed"] for one in found["searches"])
    assert all(
        found[name] > 0
        for name in ("load_seconds", "vector_index_seconds", "restart_seconds", "bare_rate", "daemon_mb")
    )
