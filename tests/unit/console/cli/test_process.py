"""The daemon as a process, as far as it can be told without one."""

from pathlib import Path

import pytest

from memdeck_common.paths import Home
from memdeck_console.cli import process


def test_command_line_passes_on_what_was_given() -> None:
    """The daemon beside this interpreter, with home and the flags."""
    command = process.command_line(Home(Path("/srv/deck")), {"--port": "0"})
    assert ["serve", "--home", "/srv/deck", "--port", "0"] == command[1:]
    assert "memdeckd" == Path(command[0]).name


@pytest.mark.parametrize(
    ("line", "sentence", "plain"),
    [
        ('{"level": "INFO", "message": "making a new database"}', "making a new database", False),
        ('{"level": "ERROR", "message": "no"}', "ERROR: no", False),
        ("memdeckd: x\n", "memdeckd: x", True),
        ("3", "3", True),
    ],
)
def test_lines_of_a_log(line: str, sentence: str, plain: bool) -> None:
    """JSON lines give their message, warnings their level, plain lines themselves."""
    assert process.LogLine(sentence, plain) == process.line_of(line)


def test_a_home_without_daemon_is_quiet() -> None:
    """Nothing there is no error."""
    home = Home(Path("/nonexistent/memdeck"))
    assert process.daemon_file(home) is None
    assert not process.lock_held(home)
