"""PostgreSQL's settings for a machine: a pure function of its memory and processors, and the reading of both.

Owns every figure. The cluster is a guest on a workstation: buffers are taken from the system only when data fills
them, but never more than a quarter of the memory. Never trades durability for speed.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MB = 1 << 20
GB = 1 << 30
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
SPARE_CONNECTIONS = 20
"""Beside the pool: backups, consoles, locks, the superuser's reserve."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a cluster may use."""

    memory: int
    """Bytes of memory, of the machine or of its container."""
    processors: int
    shared_memory: int | None = None
    """Bytes of /dev/shm; containers often have 64 MiB. None where there is no such thing."""
    platform: str = "linux"


def this_machine() -> Machine:
    """The machine that this process runs on."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in CGROUP_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            memory = min(memory, int(text))
    shm = Path("/dev/shm")  # noqa: S108 - measured, not written to
    return Machine(
        memory=memory,
        processors=os.cpu_count() or 1,
        shared_memory=shutil.disk_usage(shm).total if shm.is_dir() else None,
        platform=sys.platform,
    )


def settings_for(machine: Machine, *, connections: int, shared_buffers: str | None = None) -> dict[str, str]:
    """The settings that depend on the machine; `connections` is the pool's maximum, `shared_buffers` overrides."""
    maintenance = _within(machine.memory // 16, 64 * MB, 1 * GB)
    settings = {
        "shared_buffers": shared_buffers or _megabytes(_within(machine.memory // 4, 32 * MB, 4 * GB)),
        "effective_cache_size": _megabytes(_within(machine.memory * 6 // 10, 128 * MB, machine.memory)),
        "maintenance_work_mem": _megabytes(maintenance),
        "autovacuum_work_mem": _megabytes(min(maintenance, 256 * MB)),
        "work_mem": _megabytes(_within(machine.memory // 1024, 4 * MB, 32 * MB)),
        "max_wal_size": _megabytes(_within(machine.memory // 8, 512 * MB, 4 * GB)),
        "min_wal_size": "128MB",
        "max_connections": str(max(40, connections + SPARE_CONNECTIONS)),
        "max_parallel_workers": str(machine.processors),
        # Many callers at once: one processor per query serves them better. Long work may raise it for itself.
        "max_parallel_workers_per_gather": "0",
        "max_parallel_maintenance_workers": str(_within(machine.processors // 2, 1, 4)),
    }
    if machine.platform == "darwin":
        settings["wal_sync_method"] = "fsync_writethrough"  # fsync alone does not reach the platter
    if machine.shared_memory is not None and machine.shared_memory < maintenance * 5 // 4:
        # A parallel index build takes maintenance_work_mem from /dev/shm and fails where that is small.
        settings["dynamic_shared_memory_type"] = "mmap"
    return settings


FIXED: Mapping[str, str] = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "wal_compression": "pglz",
    "max_wal_senders": "5",
    "huge_pages": "try",
    "jit": "off",
    "random_page_cost": "1.1",
    "max_locks_per_transaction": "256",
    "client_connection_check_interval": "5s",
    "track_io_timing": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "datestyle": "iso, ymd",
    "default_text_search_config": "pg_catalog.simple",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
    "log_startup_progress_interval": "2s",
    "log_lock_waits": "on",
    # Statements, details and parameters hold people's memories: none of them in a log.
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
"""Settings that are the same everywhere."""


def _within(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))


def _megabytes(size: int) -> str:
    return f"{size // MB}MB"
