"""What the server's last words become."""

import signal
from pathlib import Path

from memdeck_common.paths import Home
from memdeck_daemon.infra.postgres.journal import LIMIT, Journal, explain

PREFIX = "2026-11-20 10:00:00.000 UTC [42] "


def said(*lines: str, code: int = 1) -> str:
    return explain(
        "The embedded database", code, [PREFIX + line for line in lines], Path("/d/data"), Path("/d/log")
    )


def test_a_full_disk_is_named() -> None:
    """With the folder on it."""
    text = said('FATAL:  could not write lock file "postmaster.pid": No space left on device')
    assert (
        text
        == "The embedded database failed because the disk that holds /d/data is full: free some space and start again."
    )


def test_an_old_processor_is_named() -> None:
    """It ends by a signal and says nothing."""
    assert "AVX2" in said(code=-signal.SIGILL)


def test_other_causes_are_told_in_its_own_words() -> None:
    """Without times and pids, and without the lines that only say what goes well."""
    text = said(
        "LOG:  starting PostgreSQL 18.4",
        'LOG:  invalid value for parameter "shared_buffers": "plenty"',
        'FATAL:  configuration file "/d/data/memdeck.conf" contains errors',
    )
    assert text == (
        'The embedded database failed: LOG:  invalid value for parameter "shared_buffers": "plenty" | '
        'FATAL:  configuration file "/d/data/memdeck.conf" contains errors. The whole log is /d/log.'
    )


def test_silence_is_told_too() -> None:
    """With the code."""
    assert "ended with code 3 and said nothing" in said(code=3)


def test_a_big_log_is_put_aside_where_that_can_be(tmp_path: Path) -> None:
    """Where it cannot, for want of room say, the daemon goes on."""
    journal = Journal(Home(tmp_path))
    journal.open()
    aside = journal.path.with_suffix(".log.1")
    aside.mkdir()
    for expected in (LIMIT + 1, 0):
        with journal.path.open("wb") as file:
            file.truncate(LIMIT + 1)
        journal.rotate()
        assert expected == journal.size
        if aside.is_dir():
            aside.rmdir()
