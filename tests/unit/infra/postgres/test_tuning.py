"""The server's settings follow from the machine."""

import pytest

from memdeck_daemon.infra.postgres.tuning import FIXED, GB, MB, Machine, settings_for


@pytest.mark.parametrize(
    ("memory", "buffers", "maintenance"),
    [
        (512 * MB, "128MB", "64MB"),
        (8 * GB, "2048MB", "512MB"),
        (16 * GB, "4096MB", "1024MB"),
        (256 * GB, "4096MB", "1024MB"),
    ],
)
def test_buffers_are_a_quarter_of_the_memory_within_bounds(
    memory: int, buffers: str, maintenance: str
) -> None:
    """A workstation is not handed over to its database."""
    tuned = settings_for(Machine(memory, 8), connections=6)
    assert (tuned["shared_buffers"], tuned["maintenance_work_mem"]) == (buffers, maintenance)


def test_no_machine_gets_more_than_it_has() -> None:
    """Also a small container."""
    for memory in (256 * MB, GB, 3 * GB, 64 * GB):
        tuned = settings_for(Machine(memory, 1), connections=6)
        size = {name: int(value[:-2]) * MB for name, value in tuned.items() if value.endswith("MB")}
        assert size["shared_buffers"] <= memory // 2
        assert size["effective_cache_size"] <= memory
        assert size["work_mem"] * 40 <= memory


def test_a_person_may_override_the_buffers() -> None:
    """As written, for PostgreSQL to judge."""
    assert settings_for(Machine(GB, 1), connections=6, shared_buffers="2GB")["shared_buffers"] == "2GB"


def test_there_are_connections_beside_a_large_pool() -> None:
    """Backups and consoles need some."""
    assert settings_for(Machine(GB, 1), connections=6)["max_connections"] == "40"
    assert settings_for(Machine(GB, 1), connections=100)["max_connections"] == "120"


def test_only_macos_needs_a_stronger_sync() -> None:
    """Its fsync does not reach the platter."""
    assert (
        settings_for(Machine(GB, 1, platform="darwin"), connections=6)["wal_sync_method"]
        == "fsync_writethrough"
    )
    assert "wal_sync_method" not in settings_for(Machine(GB, 1), connections=6)


def test_a_small_dev_shm_is_not_used() -> None:
    """Containers have 64 MB there, and a parallel index build would fail."""
    small, large = Machine(8 * GB, 4, shared_memory=64 * MB), Machine(8 * GB, 4, shared_memory=4 * GB)
    assert settings_for(small, connections=6)["dynamic_shared_memory_type"] == "mmap"
    assert "dynamic_shared_memory_type" not in settings_for(large, connections=6)


def test_nothing_trades_durability_and_no_log_holds_statements() -> None:
    """Whatever else changes."""
    assert {FIXED[name] for name in ("fsync", "full_page_writes", "synchronous_commit")} == {"on"}
    assert FIXED["log_min_error_statement"] == "panic"
    assert FIXED["listen_addresses"] == ""
