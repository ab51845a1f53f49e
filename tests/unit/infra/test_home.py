"""A daemon's home: made private, held by one, never half written."""

import contextlib
import os
import stat
from pathlib import Path

import msgspec
import pytest

from memdeck_common.errors import ConfigurationError
from memdeck_common.paths import Home
from memdeck_common.wire.health import DaemonFile
from memdeck_daemon.infra import home as homes

ABOUT = DaemonFile(url="http://h:1", metrics_url="http://h:2", pid=3, boot_id="b", version="v", instance="i")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "deep" / "home")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_home_is_made_for_this_user_alone(home: Home) -> None:
    """Keys too, when they were open before; made twice is made once."""
    homes.prepare(home)
    home.keys.chmod(0o755)
    homes.prepare(home)
    assert {0o700} == {
        mode(folder) for folder in (home.root, home.keys, home.run, home.postgres, home.indexes)
    }
    assert [] == list(home.run.iterdir())


def test_two_daemons_in_one_home_are_refused(home: Home) -> None:
    """The second is told the first one's pid and what to do; once the first has left, it may come."""
    homes.prepare(home)
    refusal = pytest.raises(ConfigurationError, match=rf"pid {os.getpid()}.*memdeck down")
    with homes.locked(home), refusal, homes.locked(home):
        pytest.fail("both hold the home")
    with homes.locked(home):
        assert str(os.getpid()) == home.daemon_lock.read_text()


def test_an_address_that_a_killed_daemon_left_is_removed(home: Home) -> None:
    """Or clients would talk to whoever has its port now."""
    homes.prepare(home)
    home.daemon_file.write_text("{}")
    with homes.locked(home):
        assert not home.daemon_file.exists()


def test_the_address_stands_there_as_long_as_the_daemon_answers(home: Home) -> None:
    """Private, and gone when it stops by an error too."""
    homes.prepare(home)
    with contextlib.suppress(KeyError), homes.announced(home, ABOUT):
        assert msgspec.json.decode(home.daemon_file.read_bytes(), type=DaemonFile) == ABOUT
        assert 0o600 == mode(home.daemon_file)
        raise KeyError
    assert [] == list(home.run.iterdir())


def test_a_home_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    """With its path and the way out."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"file/home cannot be used: .*--home"):
        homes.prepare(Home(tmp_path / "file" / "home"))


def test_a_home_that_everybody_can_write_is_refused(home: Home) -> None:
    """Who can replace its keys owns the memories."""
    homes.prepare(home)
    home.root.chmod(0o777)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        homes.prepare(home)


def test_a_lock_that_cannot_be_opened_is_a_sentence(home: Home) -> None:
    """Such as one that root made once."""
    homes.prepare(home)
    home.daemon_lock.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be taken"), homes.locked(home):
        pytest.fail("the home is held")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was there stays when the writing fails, and nothing is left beside it."""
    file = tmp_path / "f"
    homes.write_atomically(file, b"one", 0o600)
    homes.write_atomically(file, b"two", 0o640)
    assert (b"two", 0o640) == (file.read_bytes(), mode(file))
    with pytest.raises(TypeError):
        homes.write_atomically(file, "text", 0o600)  # type: ignore[arg-type]  # what fails half-way
    assert (b"two", [file]) == (file.read_bytes(), list(tmp_path.iterdir()))
