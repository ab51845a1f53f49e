"""Settings: which source wins, what is refused and how it is said."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from memdeck_common.errors import ConfigurationError
from memdeck_common.settings import load, read_env_file, variables


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A working directory, with a home beside it."""
    (tmp_path / "cwd").mkdir()
    (tmp_path / "home").mkdir()
    with contextlib.chdir(tmp_path / "cwd"):
        yield tmp_path


def test_flags_beat_the_environment_which_beats_the_files(place: Path) -> None:
    """Flags, environment, DIR/.env, ./.env, defaults; each taken away lets the next one through."""
    (place / "cwd" / ".env").write_text("MEMDECK_PORT=4\n")
    (place / "home" / ".env").write_text("MEMDECK_PORT=3\n")
    environ = {"MEMDECK_HOME": str(place / "home"), "MEMDECK_PORT": "2"}

    def port(flags: dict[str, str | None]) -> int:
        return load(flags, environ).server.port

    assert 1 == port({"MEMDECK_PORT": "1"})
    assert 2 == port({"MEMDECK_PORT": None})
    del environ["MEMDECK_PORT"]
    assert 3 == port({})
    (place / "home" / ".env").unlink()
    assert 4 == port({})
    (place / "cwd" / ".env").unlink()
    assert 8888 == port({})


def test_the_home_is_the_flags_the_environments_or_the_users(place: Path) -> None:
    """Files do not name it: it says where they are."""
    (place / "cwd" / ".env").write_text("MEMDECK_HOME=/nowhere\n")
    assert Path("/a") == load({"MEMDECK_HOME": "/a"}, {"MEMDECK_HOME": "/b"}).home.root
    assert Path("/b") == load({}, {"MEMDECK_HOME": "/b"}).home.root
    assert place / "cwd" / "rel" == load({}, {"MEMDECK_HOME": "rel"}).home.root
    assert ".memdeck" == load({}, {}).home.root.name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEMDECK_PORT", "99999"), ("MEMDECK_PORT", "-1"), ("MEMDECK_PORT", "http"), ("AUTH_DISABLED", "maybe"),
        ("MEMDECK_REQUEST_TIMEOUT", "0"), ("MEMDECK_REQUEST_TIMEOUT", "inf"), ("MEMDECK_REQUEST_TIMEOUT", "nan"),
        ("MEMDECK_POSTGRES_POOL_MAX", "0"), ("MEMDECK_THRESHOLD", "1.5"), ("MEMDECK_LOG_LEVEL", "loud"),
        ("MEMDECK_UNDO_HOURS", "a day"), ("MEMDECK_MAX_BODY_BYTES", "2MB"),
    ],
)  # fmt: skip
def test_a_bad_value_names_its_variable(place: Path, name: str, value: str) -> None:
    """Wherever it stands, and never falls back to the default."""
    with pytest.raises(ConfigurationError, match=name):
        load({name: value}, {"MEMDECK_HOME": str(place)})
    (place / ".env").write_text(f"{name}={value}\n")
    with pytest.raises(ConfigurationError, match=name):
        load({}, {"MEMDECK_HOME": str(place)})


@pytest.mark.parametrize(
    ("word", "meant"),
    [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False), ("Off", False)],
)
def test_booleans_are_what_people_write(place: Path, word: str, meant: bool) -> None:
    """And a host called `no` stays a host."""
    found = load({"AUTH_DISABLED": word, "MEMDECK_HOST": "no"}, {"MEMDECK_HOME": str(place)})
    assert (meant, "no") == (found.server.auth_disabled, found.server.host)


def test_a_level_may_be_written_small(place: Path) -> None:
    """As everybody does."""
    assert "debug" == load({"MEMDECK_LOG_LEVEL": "debug"}, {"MEMDECK_HOME": str(place)}).server.log_level


def test_an_empty_value_is_none(place: Path) -> None:
    """Compose files pass variables that nobody set."""
    assert 8888 == load({}, {"MEMDECK_HOME": str(place), "MEMDECK_PORT": ""}).server.port


def test_a_file_of_settings_is_read_as_shells_do(tmp_path: Path) -> None:
    """Comments, `export`, one pair of quotes, spaces around; a `#` within a word is none."""
    file = tmp_path / ".env"
    file.write_text("# c\n\nexport A=1\nB = 'x # y' \nC=\"q\"\nD=a#b # c\nE=\nF=x=y\nG='open\n")
    expected = {"A": "1", "B": "x # y", "C": "q", "D": "a#b", "E": "", "F": "x=y", "G": "'open"}
    assert expected == read_env_file(file)
    assert {} == read_env_file(tmp_path / "absent")


def test_a_line_that_cannot_be_read_is_named_but_not_shown(tmp_path: Path) -> None:
    """It may be half a secret."""
    file = tmp_path / ".env"
    for content in (b"A=1\nsecret-without-name\n", b"A=1\nmy secret=2\n"):
        file.write_bytes(content)
        with pytest.raises(ConfigurationError, match="line 2") as caught:
            read_env_file(file)
        assert "secret" not in str(caught.value)
    file.write_bytes(b"A=\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_env_file(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_env_file(file)


def test_a_secret_stands_in_no_message(place: Path) -> None:
    """A URL with a password is not repeated, whatever else is wrong."""
    secret = "postgresql://u:hunter2@h/d"
    with pytest.raises(ConfigurationError) as caught:
        load({"MEMDECK_DATABASE_URL": secret, "MEMDECK_PORT": "x"}, {"MEMDECK_HOME": str(place)})
    assert "hunter2" not in str(caught.value)
    assert {
        "MEMDECK_DATABASE_URL",
        "MEMORY_REDIS_URL",
        "MEMORY_REDIS_TOKEN",
        "MEMORY_GRAPH_PASSWORD",
        "MEMDECK_QDRANT_API_KEY",
        "MEMDECK_EMBEDDING_API_KEY",
        "OPENAI_API_KEY",
    } == {name for name, (_, _, meta) in variables().items() if (meta.extra or {})["secret"]}
