"""The frame around every command: help, usage, errors, exit codes."""

import json
from collections.abc import Iterator

import pytest

from memdeck_common.errors import DatabaseUnusable, Forbidden, StoreUnavailable
from memdeck_console.cli.command import Command, Invocation
from memdeck_console.cli.program import Terminated, build_parser, run
from memdeck_console.cli.registry import COMMANDS
from tests.fakes.cli_daemon import ScriptedDaemon
from tests.unit.console.cli.conftest import ENVIRON, Memdeck, Stream


def every(commands: tuple[Command, ...], *before: str) -> Iterator[tuple[tuple[str, ...], Command]]:
    for command in commands:
        yield (*before, command.name), command
        yield from every(command.parts, *before, command.name)


@pytest.mark.parametrize(("words", "command"), every(COMMANDS), ids=str)
def test_help_of_every_command(
    words: tuple[str, ...], command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command explains itself with examples and takes the common options."""
    with pytest.raises(SystemExit) as ended:
        build_parser(COMMANDS).parse_args([*words, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(option in text for option in ("--json", "--home", "--url", "examples:"))
    assert "--key" not in text
    assert all(example in text for example in command.examples)


def test_no_command_shows_what_there_is(memdeck: Memdeck) -> None:
    """`memdeck` alone is a usage error that lists the commands."""
    ran = memdeck()
    assert (2, "") == (ran.code, ran.out)
    assert "doctor" in ran.err


def test_usage_error_is_one_line_and_says_where_help_is(memdeck: Memdeck) -> None:
    """A missing argument gives exit code 2 and one sentence."""
    ran = memdeck("search")
    assert (2, "") == (ran.code, ran.out)
    assert "memdeck: the following arguments are required: QUERY. See `memdeck search --help`.\n" == ran.err


def test_error_as_json(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """With --json the error stands on stdout with its code, and the sentence still on stderr."""
    script.on("POST", "/v3/memories/", Forbidden("This key may not do that."))
    ran = memdeck("list", "--user", "alice", "--json")
    assert 4 == ran.code
    assert {"error": {"code": "forbidden", "detail": "This key may not do that."}} == json.loads(ran.out)
    assert "memdeck: This key may not do that.\n" == ran.err


@pytest.mark.parametrize(
    ("error", "code"), [(StoreUnavailable(), 1), (DatabaseUnusable(), 78), (Forbidden(), 4)]
)
def test_exit_code_of_an_error(memdeck: Memdeck, script: ScriptedDaemon, error: Exception, code: int) -> None:
    """An error carries its exit code."""
    script.on("GET", "/health", error)
    assert code == memdeck("status").code


def test_no_daemon_known(memdeck: Memdeck) -> None:
    """Without an address the daemon cannot be reached: exit code 3, and what to do."""
    ran = memdeck("status", environ={"MEMDECK_HOME": "/nonexistent/memdeck"})
    assert 3 == ran.code
    assert "memdeck up" in ran.err


@pytest.mark.parametrize("argv", [("--json", "version"), ("version", "--json"), ("--version", "--json")])
def test_common_options_stand_before_or_after_the_command(memdeck: Memdeck, argv: tuple[str, ...]) -> None:
    """Their place does not matter."""
    assert "version" in json.loads(memdeck(*argv).out)


def test_url_option_wins_over_the_environment(memdeck: Memdeck, script: ScriptedDaemon) -> None:
    """--url says where, the key comes from the environment."""
    memdeck("status", "--url", "http://127.0.0.1:2/")
    assert ("http://127.0.0.1:2", "m0sk_secret") == (script.addresses[0].url, script.addresses[0].key)


def raising(error: BaseException) -> tuple[Command, ...]:
    def fail(_invocation: Invocation) -> int:
        raise error

    return (Command("fail", "fail", fail),)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
        (FileNotFoundError(2, "No such file or directory", "notes.jsonl"), 1),
        (ValueError("odd"), 1),
    ],
)
def test_what_ends_a_command(error: BaseException, code: int) -> None:
    """Signals end quietly with the shell's codes; faults give one line, no traceback."""
    streams = (Stream(), Stream(), Stream())
    assert code == run(["fail"], raising(error), environ=ENVIRON, streams=streams)
    said = streams[2].text()
    assert (0 if code > 128 else 1) == said.count("\n")


def test_fault_is_shown_when_asked_for() -> None:
    """MEMDECK_DEBUG lets the traceback through."""
    with pytest.raises(ValueError, match="odd"):
        run(
            ["fail"],
            raising(ValueError("odd")),
            environ={"MEMDECK_DEBUG": "1"},
            streams=(Stream(), Stream(), Stream()),
        )


def test_control_characters_of_memories_do_not_reach_the_terminal(
    memdeck: Memdeck, script: ScriptedDaemon
) -> None:
    """Escape sequences in an error text are taken out."""
    script.on("GET", "/v1/memories/", Forbidden("no \x1b[31mred\x07"))
    assert "memdeck: no  [31mred\n" == memdeck("get", "x").err
