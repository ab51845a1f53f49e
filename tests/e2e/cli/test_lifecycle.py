"""`memdeck up|down|status` and a daemon of one's own."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.e2e.cli.conftest import Commands, Screen
from tests.support.waiting import eventually_sync


def test_up_and_down(own: Commands) -> None:
    """In the background, once, and gone again without a trace of a running one."""
    first = own("up", "--json").json
    assert first["started"] is True
    assert "/health" not in first["daemon"]["url"]
    log = own.home / "logs" / "memdeckd.log"
    assert (0o700, 0o600) == (own.home.stat().st_mode & 0o777, log.stat().st_mode & 0o777)
    again = own("up", "--no-console")
    assert "is running already" in again.out
    assert first["daemon"]["pid"] == own("up", "--json").json["daemon"]["pid"]
    eventually_sync(lambda: own("status", code=None).code == 0, what="all services are well")
    assert {"stopped": True, "pid": first["daemon"]["pid"]} == own("down", "--json").json
    with pytest.raises(URLError):
        urlopen(first["daemon"]["url"], timeout=5)  # noqa: S310 - the daemon's own address
    assert "down already" in own("down").out
    assert 3 == own("status", code=None).code


def test_two_at_once_start_one_daemon(own: Commands) -> None:
    """Both succeed with the same daemon."""
    both = [own.start("up", "--no-console") for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [0, 0] == [process.returncode for process in both], said
    assert 1 == len({re.search(r"pid (\d+)", out)[1] for out, _ in said})  # type: ignore[index]


def test_without_a_terminal_it_is_the_daemon(own: Commands) -> None:
    """In the foreground, with its addresses on its output; SIGTERM stops it, and the exit code is the daemon's."""
    process = own.start("up")
    published = own.home / "run" / "daemon.json"
    eventually_sync(lambda: published.exists() or process.poll() is not None, timeout=60, what="daemon.json")
    eventually_sync(lambda: own("status", code=None).code < 2, timeout=60, what="a daemon that answers")
    url = own("status", "--json", code=None).json["url"]
    assert process.pid == int(re.search(r'"pid":\s*(\d+)', published.read_text(encoding="utf-8"))[1])  # type: ignore[index]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert 0 == process.returncode
    assert url in out + err


def test_down_stops_no_stranger(own: Commands) -> None:
    """A file that was left behind may name the pid of somebody else."""
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            (own.home / "run").mkdir(parents=True)
            (own.home / "run" / "daemon.json").write_text(
                '{"url":"http://127.0.0.1:9","metrics_url":"http://127.0.0.1:9/metrics",'
                f'"pid":{stranger.pid},"boot_id":"b","version":"1","instance":"default"}}',
                encoding="utf-8",
            )
            assert "down already" in own("down").out
            assert stranger.poll() is None
        finally:
            stranger.terminate()


def test_daemon_that_was_killed(own: Commands) -> None:
    """After kill -9 `down` finds nothing to stop, `doctor` says so, and `up` starts a new one."""
    pid = own("up", "--json").json["daemon"]["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually_sync(lambda: own("status", code=None).code == 3, what="nobody answers")
    assert "ended without saying so" in own("doctor").out
    assert "down already" in own("down").out
    assert pid != own("up", "--json").json["daemon"]["pid"]


def test_bad_setting(own: Commands) -> None:
    """One sentence with the variable, exit code 78, nothing started."""
    own.home.mkdir()
    (own.home / ".env").write_text("MEMDECK_UNDO_HOURS=never\n", encoding="utf-8")
    ran = own("up", "--no-console", "--json", code=78)
    assert "MEMDECK_UNDO_HOURS" in ran.err
    assert "configuration" == ran.json["error"]["code"]
    assert not (own.home / "logs").exists()


def test_port_in_use(own: Commands) -> None:
    """`up` fails with what the daemon said; `doctor` says whose port it is and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = own("up", "--no-console", "--port", port, code=None)
        assert ran.code in {1, 78}
        assert port in ran.err
        assert "--port" in ran.err or "MEMDECK_PORT" in ran.err
    assert 3 == own("status", code=None).code


def test_home_that_cannot_be_made(own: Commands) -> None:
    """A file stands where the home should be."""
    own.home.write_text("not a directory", encoding="utf-8")
    ran = own("up", "--no-console", code=78)
    assert "is not a directory" in ran.err
    assert "--home" in ran.err
    assert 3 == own("status", code=None).code


def test_up_opens_the_console_and_leaves_the_daemon(own: Commands, on_screen: Callable[..., Screen]) -> None:
    """Key q closes the console; the daemon keeps running and the last line says how to stop it."""
    screen = on_screen(own, "up")
    screen.until("LIVE")
    screen.press("q")
    assert 0 == screen.ended()
    assert "The daemon keeps running" in screen.seen
    assert "memdeck down" in screen.seen
    url = own("status", "--json", code=None).json["url"]
    with urlopen(f"{url}/health/live", timeout=5) as answer:  # noqa: S310 - the daemon's own address
        assert 200 == answer.status


def test_console_starts_while_the_daemon_is_down(own: Commands, on_screen: Callable[..., Screen]) -> None:
    """It waits, and attaches by itself."""
    screen = on_screen(own, "console")
    screen.until("CONNECTING")
    own("up", "--no-console")
    screen.until("LIVE")
    screen.press("q")
    assert 0 == screen.ended()


def test_console_without_terminal_is_refused(own: Commands) -> None:
    """With a word about what programs use instead."""
    assert "status --json" in own("console", code=4).err


def test_help_is_instant(own: Commands) -> None:
    """No heavy library is loaded for it."""
    best = min(_seconds(own) for _ in range(5))
    assert best < 0.4  # 0.09 on a quiet machine; importing aiohttp, rich and Textual takes 0.8


def _seconds(own: Commands) -> float:
    begin = time.perf_counter()
    own("--help")
    return time.perf_counter() - begin


def test_signals_end_a_wait_quietly(own: Commands, tmp_path: Path) -> None:
    """ctrl+c is 130, SIGTERM 143, and neither prints a traceback."""
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        fifo = tmp_path / f"{number}.jsonl"
        os.mkfifo(fifo)
        process = own.start("import", str(fifo))
        eventually_sync(lambda at=process: _blocked(at.pid), what="the command waits for its input")  # type: ignore[misc]
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert (code, "") == (process.returncode, err)


def _blocked(pid: int) -> bool:
    """Whether the process waits for the other end of the pipe."""
    channel = Path(f"/proc/{pid}/wchan")
    return not channel.exists() or "fifo" in channel.read_text(encoding="utf-8") or _sleeps(pid)


def _sleeps(pid: int) -> bool:
    return ") S " in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
