"""`memdeck doctor`: what is wrong is found, named, and comes with what to do."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli.conftest import Commands, commands
from tests.support.daemon import RunningDaemon
from tests.support.waiting import eventually_sync

SMALL = 1_000_000
"""Bytes of a volume that is as good as full."""


def finding(ran: Any, check: str) -> dict[str, str]:
    """The worst finding of a check."""
    found = [one for one in ran.json["findings"] if one["check"] == check]
    order = ("fail", "warn", "pass", "na")
    return dict(min(found, key=lambda one: order.index(one["state"])))


def refused(ran: Any, check: str) -> str:
    """What a failed check says, with its advice."""
    found = finding(ran, check)
    assert ("fail", 1) == (found["state"], ran.code)
    assert found["advice"]
    return f"{found['summary']} {found['advice']}"


@pytest.fixture
def alone(tmp_path: Path) -> Commands:
    """A home in which nothing runs."""
    return commands(tmp_path / "home")


def test_all_is_well(memdeck: Commands, daemon: RunningDaemon) -> None:
    """Nothing fails on a running daemon; its ports are known as its own."""
    eventually_sync(lambda: memdeck("status", code=None).code == 0, what="all services are well")
    ran = memdeck("doctor", "--json")
    assert 0 == ran.json["failed"]
    assert ("pass", "pass") == (finding(ran, "key")["state"], finding(ran, "permissions")["state"])
    assert "by this home's daemon" in finding(ran, "port")["summary"]
    assert daemon.url in finding(ran, "daemon")["summary"]
    assert "✓ PASS" in memdeck("doctor").out


def test_before_the_first_start(alone: Commands) -> None:
    """A fresh machine is not a broken one."""
    ran = alone("doctor", "--json")
    assert "na" == finding(ran, "home")["state"]
    assert "memdeck up" in finding(ran, "daemon")["advice"]
    assert not alone.home.exists()


def test_port_in_use(alone: Commands) -> None:
    """Named with the process that holds it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(commands(alone.home, MEMDECK_PORT=str(port))("doctor", "--json", code=None), "port")
        metrics = commands(alone.home, MEMDECK_METRICS_PORT=str(port))("doctor", "--json", code=None)
    assert f"127.0.0.1:{port} cannot be used: in use" in said
    assert "--port" in said
    assert "MEMDECK_METRICS_PORT" in refused(metrics, "metrics port")
    if Path("/proc/net/tcp").exists():
        assert f"by process {os.getpid()}" in said


def test_bad_settings(alone: Commands) -> None:
    """The variable is named, the file too; a misspelt name gets a suggestion."""
    alone.home.mkdir(mode=0o700)
    (alone.home / ".env").write_text("MEMDECK_UNDO_HOURS=soon\nMEMDECK_THRESHHOLD=0.2\n", encoding="utf-8")
    (alone.home / ".env").chmod(0o600)
    ran = alone("doctor", "--json", code=None)
    assert "MEMDECK_UNDO_HOURS" in refused(ran, "settings")
    assert any("did you mean MEMDECK_THRESHOLD?" == one["advice"] for one in ran.json["findings"])
    (alone.home / ".env").write_text("this is no setting\n", encoding="utf-8")
    assert "line 1" in refused(alone("doctor", "--json", code=None), "settings")


def test_others_can_read_secrets(alone: Commands) -> None:
    """Told with the command that mends it."""
    (alone.home / "keys").mkdir(parents=True, mode=0o700)
    alone.home.chmod(0o755)
    (alone.home / "keys" / "admin.key").write_text("k", encoding="utf-8")
    (alone.home / "keys" / "admin.key").chmod(0o644)
    advice = [
        one["advice"] for one in alone("doctor", "--json").json["findings"] if one["check"] == "permissions"
    ]
    assert [f"`chmod 700 {alone.home}`", f"`chmod 600 {alone.home / 'keys' / 'admin.key'}`"] == advice


def test_home_is_a_file(alone: Commands) -> None:
    """Not a directory."""
    alone.home.write_text("", encoding="utf-8")
    assert "not a directory" in refused(alone("doctor", "--json", code=None), "home")


def test_home_that_cannot_be_written(alone: Commands, tmp_path: Path) -> None:
    """Root too meets directories that take nothing."""
    home = Path("/proc/memdeck") if os.geteuid() == 0 else tmp_path / "closed" / "home"
    if os.geteuid() != 0:
        home.parent.mkdir(mode=0o500)
    said = refused(alone("doctor", "--home", str(home), "--json", code=None), "home")
    assert str(home) in said
    assert "--home" in said


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A volume with hardly any room; only root can mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL},mode=700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True, timeout=10).returncode:
        pytest.skip("needs the right to mount a small volume")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=10)


def test_full_disk(small_volume: Path) -> None:
    """Found before writes fail; a start on it fails with a sentence and leaves nothing running."""
    full = commands(small_volume / "home", MEMDECK_POSTGRES_SYSTEM_ROOT=str(small_volume / "clusters"))
    said = refused(full("doctor", "--json", code=None), "disk")
    assert str(small_volume) in said
    assert "free some space" in said
    (small_volume / "ballast").write_bytes(b"x" * (SMALL - 100_000))
    ran = full("up", "--no-console", code=None)
    assert ran.code in {1, 78}
    assert "Traceback" not in ran.err
    assert 3 == full("status", code=None).code


def test_wrong_key_and_wrong_address(memdeck: Commands, daemon: RunningDaemon) -> None:
    """Whose key and which address is said."""
    wrong = commands(daemon.home, MEMDECK_API_KEY="m0sk_wrong")
    assert "MEMDECK_API_KEY is not accepted" in refused(wrong("doctor", "--json", code=None), "key")
    assert "m0sk_wrong" not in wrong("doctor", code=None).out
    nowhere = commands(daemon.home, MEMDECK_URL="http://127.0.0.1:1")
    assert "http://127.0.0.1:1" in refused(nowhere("doctor", "--json", code=None), "daemon")
    assert 0 == memdeck("doctor").code


def test_external_database_that_is_away(alone: Commands) -> None:
    """Host and port are named, user and password are not."""
    away = commands(alone.home, MEMDECK_DATABASE_URL="postgresql://u:geheim@127.0.0.1:1/memdeck")
    ran = away("doctor", "--json", code=None)
    assert "127.0.0.1:1 cannot be reached" in refused(ran, "database")
    assert "geheim" not in ran.out


def test_lost_cluster(alone: Commands) -> None:
    """The pointer leads nowhere."""
    (alone.home / "postgres").mkdir(parents=True)
    (alone.home / "postgres" / "CURRENT").write_text("default-1\n", encoding="utf-8")
    assert "holds no database" in refused(alone("doctor", "--json", code=None), "database")
