"""What a report says about the machine on which it was made: enough to compare runs, nothing that names its owner."""

import os
import platform
from pathlib import Path


def described() -> dict[str, str | int]:
    """Processor, cores, memory (whole GiB), kernel and Python; no host name."""
    return {
        "processor": _processor(),
        "cpus": os.cpu_count() or 0,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
